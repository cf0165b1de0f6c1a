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
    /// The item before and after, if it was there on both sides and has this sort key.
    pub(super) fn of<T: DeserializeOwned>(self, sk: &str) -> Result<Option<(T, T)>, Error> {
        let this =
            matches!(self.keys.inner().get("sk"), Some(serde_dynamo::AttributeValue::S(key)) if key == sk);
        match (self.old_image, self.new_image) {
            (Some(old), Some(new)) if this => {
                let read = |image| serde_dynamo::from_item(image).map_err(Error::internal);
                Ok(Some((read(old)?, read(new)?)))
            }
            _ => Ok(None),
        }
    }
}
