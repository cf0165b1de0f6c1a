//! JSON merge patches.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    domain::validation::{self, FieldError, Object, ValidationErrors, Violation},
    error::Error,
};

/// A JSON merge patch (RFC 7396).
pub struct MergePatch(pub(super) Value);

impl MergePatch {
    /// Applies the patch to a document and reads the result.
    ///
    /// # Errors
    /// [`Error::Validation`].
    pub fn apply<T>(&self, to: &impl Serialize, read: impl Fn(&mut Object) -> Option<T>) -> Result<T, Error> {
        let mut document = serde_json::to_value(to).map_err(Error::internal)?;
        json_patch::merge(&mut document, &self.0);
        let unknown = self.unknown(&read);
        match validation::read(document, read) {
            Ok(value) => Ok(ValidationErrors::check(unknown).map(|()| value)?),
            Err(errors) => Err(errors.and(unknown).into()),
        }
    }

    /// Finds removed fields that the document can't have. The merged document does not show them, since removing an absent
    /// field changes nothing.
    fn unknown<T>(&self, read: impl Fn(&mut Object) -> Option<T>) -> Vec<FieldError> {
        let removed = self.0.as_object().into_iter().flatten().filter(|(_, value)| value.is_null());
        let removed: Map<_, _> = removed.map(|(name, value)| (name.clone(), value.clone())).collect();
        if removed.is_empty() {
            return Vec::new();
        }
        let errors = validation::read(removed.into(), read).err().into_iter().flatten();
        errors.filter(|error| error.violation == Violation::UnknownField).collect()
    }
}
