//! What a table's stream tells of a commit.

use serde::{Deserialize, de::DeserializeOwned};

use crate::error::Error;

/// One item's change: what it was, and what it is.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    keys: serde_dynamo::Item,
    old_image: Option<serde_dynamo::Item>,
    new_image: Option<serde_dynamo::Item>,
}

impl Change {
    /// The item's partition and sort key.
    pub(super) fn key(&self) -> Result<(String, String), Error> {
        #[derive(Deserialize)]
        struct Key {
            pk: String,
            sk: String,
        }
        let key: Key = serde_dynamo::from_item(self.keys.clone()).map_err(Error::internal)?;
        Ok((key.pk, key.sk))
    }

    /// Whether the item was not there before, and is now.
    pub(super) fn is_creation(&self) -> bool {
        self.old_image.is_none() && self.new_image.is_some()
    }

    /// The item before and after, if it was there on both sides.
    pub(super) fn both<T: DeserializeOwned>(self) -> Result<Option<(T, T)>, Error> {
        let read = |image| serde_dynamo::from_item(image).map_err(Error::internal);
        match (self.old_image, self.new_image) {
            (Some(old), Some(new)) => Ok(Some((read(old)?, read(new)?))),
            _ => Ok(None),
        }
    }
}
