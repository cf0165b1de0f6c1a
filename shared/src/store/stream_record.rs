//! Records of a table's stream, decoded into what changed.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Changed, Versioned, inventory::StockItem, logins::Login, schema::Key, sessions::SessionItem,
    users::Account,
};
use crate::{
    domain::{
        id::Id,
        order::Order,
        product::Product,
        time::Timestamp,
        user::{EmailAddress, Registration, Reset, Session, User},
    },
    error::Error,
};

/// A committed change of one item:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html>.
#[derive(Debug)]
pub enum StreamRecord {
    Product(Images<Changed<Versioned<Product>>>),
    Stock(Images<Changed<StockItem>>),
    Order(Box<Images<Versioned<Order>>>),
    /// Carries the commit time, to the second: a removed profile does not say when.
    Profile(Images<Changed<Account>>, Timestamp),
    Login(EmailAddress, Images<Login>),
    Session(Id<User>, Id<Session>, Images<SessionItem>),
    RegistrationCreated(EmailAddress, Id<Registration>),
    ResetCreated(EmailAddress, Id<Reset>),
    /// Of no interest to any reader.
    Other,
}

/// An item before and after the change; `None` where it did not exist.
#[derive(Debug)]
pub struct Images<T> {
    pub old: Option<T>,
    pub new: Option<T>,
}

impl<T> Images<T> {
    /// Returns both images of an item that was updated.
    pub fn updated(self) -> Option<(T, T)> {
        self.old.zip(self.new)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    keys: serde_dynamo::Item,
    old_image: Option<serde_dynamo::Item>,
    new_image: Option<serde_dynamo::Item>,
    /// Seconds since the Unix epoch.
    approximate_creation_date_time: Option<f64>,
}

#[derive(Deserialize)]
struct RawKey {
    pk: String,
    sk: String,
}

impl StreamRecord {
    /// Decodes the `dynamodb` member of a record.
    ///
    /// # Errors
    /// [`Error::Internal`] for a damaged record, which belongs in the dead-letter queue.
    pub fn decode(record: serde_json::Value) -> Result<Self, Error> {
        let raw: Raw = serde_json::from_value(record).map_err(Error::internal)?;
        let RawKey { pk, sk } = serde_dynamo::from_item(raw.keys.clone()).map_err(Error::internal)?;
        Ok(match Key::parse(&pk, &sk) {
            Some(Key::Product(_)) => Self::Product(raw.images()?),
            Some(Key::Stock(_)) => Self::Stock(raw.images()?),
            Some(Key::Order(_)) => Self::Order(Box::new(raw.images()?)),
            Some(Key::Profile(_)) => {
                let at = raw.committed_at()?;
                Self::Profile(raw.images()?, at)
            }
            Some(Key::Login(email)) => Self::Login(email, raw.images()?),
            Some(Key::Session(user, id)) => Self::Session(user, id, raw.images()?),
            Some(Key::Registration(email, id)) if raw.is_insert() => Self::RegistrationCreated(email, id),
            Some(Key::Reset(email, id)) if raw.is_insert() => Self::ResetCreated(email, id),
            _ => Self::Other,
        })
    }
}

impl Raw {
    fn is_insert(&self) -> bool {
        self.old_image.is_none() && self.new_image.is_some()
    }

    fn committed_at(&self) -> Result<Timestamp, Error> {
        let seconds = self.approximate_creation_date_time;
        let seconds = seconds.ok_or_else(|| Error::internal("a stream record has no time"))?;
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds, which streams write as a float")]
        let seconds = seconds as i64;
        Ok(Timestamp::from_millis(seconds * 1000))
    }

    fn images<T: DeserializeOwned>(self) -> Result<Images<T>, Error> {
        let read = |image: Option<_>| image.map(serde_dynamo::from_item).transpose().map_err(Error::internal);
        Ok(Images { old: read(self.old_image)?, new: read(self.new_image)? })
    }
}
