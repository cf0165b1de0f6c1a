//! What a table's stream tells of a commit.

use serde::{Deserialize, de::DeserializeOwned};

use crate::{domain::time::Timestamp, error::Error};

/// One item's change: what it was, and what it is.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    keys: serde_dynamo::Item,
    old_image: Option<serde_dynamo::Item>,
    new_image: Option<serde_dynamo::Item>,
    /// When it was committed, in seconds since 1970.
    approximate_creation_date_time: Option<f64>,
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

    /// When it was committed, to the second.
    pub(super) fn at(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, reason = "a number of seconds, as the stream writes it")]
        let seconds = self.approximate_creation_date_time.unwrap_or_default() as i64;
        Timestamp::from_millis(seconds * 1000)
    }

    /// The item before and after, where it was there.
    pub(super) fn images<T: DeserializeOwned>(self) -> Result<(Option<T>, Option<T>), Error> {
        let read = |image: Option<_>| image.map(serde_dynamo::from_item).transpose().map_err(Error::internal);
        Ok((read(self.old_image)?, read(self.new_image)?))
    }

    /// The item before and after, if it was there on both sides.
    pub(super) fn both<T: DeserializeOwned>(self) -> Result<Option<(T, T)>, Error> {
        let (old, new) = self.images()?;
        Ok(old.zip(new))
    }
}
