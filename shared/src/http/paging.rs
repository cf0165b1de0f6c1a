//! Paging of lists.

use serde::{Serialize, de::DeserializeOwned};

use super::cursor;
use crate::{
    domain::{listing, validation::Object},
    error::Error,
};

/// Limit and cursor of a list.
pub struct Paging {
    /// Maximum items of the page.
    pub limit: usize,
    cursor: Option<String>,
}

impl Paging {
    pub fn read(query: &mut Object) -> Option<Self> {
        let limit = listing::limit(query);
        let cursor = query.field("cursor").optional(|field| field.text(|text| Ok(text.to_owned())));
        Some(Self { limit: limit?, cursor: cursor? })
    }

    /// Decodes the cursor, which is bound to `query`.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    pub fn after<P: DeserializeOwned>(&self, query: &impl Serialize) -> Result<Option<P>, Error> {
        self.cursor.as_deref().map(|cursor| cursor::decode(cursor, query)).transpose()
    }
}
