//! Idempotency records, committed together with the effect. After a crash, a retry storm or a lost response, a client
//! therefore sees either no effect or all of it.
//!
//! A record holds the result of the operation, not its HTTP response: the handler builds the same response from it again.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Item, schema::Key};
use crate::{
    auth::{OrderAccess, hash},
    domain::{change::ChangeContext, user::Actor},
    error::Error,
};

/// Records are kept for the promised day, and one more for late retries.
const EXPIRES_AFTER: Duration = Duration::from_secs(48 * 60 * 60);

/// A request with an idempotency key: caller, operation, key and payload identify it.
pub struct IdempotentRequest {
    caller: Actor,
    key_hash: String,
    payload_hash: String,
    context: ChangeContext,
}

/// Result of an operation that takes effect once per idempotency key.
#[derive(Clone, Debug)]
pub struct Idempotent<T> {
    pub value: T,
    /// Set if an earlier request with the same key had this result.
    pub replayed: bool,
    /// Id of the request that had this result first.
    pub request_id: String,
}

impl IdempotentRequest {
    /// `payload` is everything that decides what the operation does.
    ///
    /// # Errors
    /// [`Error::Internal`] if the payload can't be serialized.
    pub fn new(
        caller: Actor,
        key: &str,
        payload: &impl Serialize,
        context: ChangeContext,
    ) -> Result<Self, Error> {
        let payload = serde_json::to_vec(payload).map_err(Error::internal)?;
        Ok(Self { caller, key_hash: hash(key.as_bytes()), payload_hash: hash(&payload), context })
    }

    /// Returns the context of the changes that this request makes.
    pub fn context(&self) -> &ChangeContext {
        &self.context
    }

    /// Returns the result of this request, which is not a replay.
    pub fn first<T>(&self, value: T) -> Idempotent<T> {
        Idempotent { value, replayed: false, request_id: self.context.request_id.clone() }
    }

    /// Makes the record that this request had this result.
    ///
    /// # Errors
    /// [`Error::Internal`] if the result can't be serialized.
    pub fn completed(&self, result: &impl Serialize) -> Result<Record, Error> {
        Ok(self.record(Some(serde_json::to_string(result).map_err(Error::internal)?), None))
    }

    /// Makes the record that this request has started `process`, which takes several steps.
    pub fn in_progress(&self, process: impl ToString) -> Record {
        self.record(None, Some(process.to_string()))
    }

    fn record(&self, result: Option<String>, process: Option<String>) -> Record {
        let expires_at = (self.context.at + EXPIRES_AFTER).as_seconds();
        Record {
            key: self.key(),
            payload_hash: self.payload_hash.clone(),
            request_id: self.context.request_id.clone(),
            result,
            process,
            expires_at,
            ttl: expires_at,
        }
    }

    pub(super) fn key(&self) -> Key {
        let (caller, operation) = (self.caller, self.context.operation);
        let key_hash = self.key_hash.clone();
        Key::Idempotency { caller, operation, key_hash }
    }

    /// Decodes an existing record under this request's key.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] if it has another payload.
    pub(super) fn existing<T: DeserializeOwned>(&self, item: Item) -> Result<ExistingRecord<T>, Error> {
        StoredRecord::decode(item, &self.payload_hash)?.try_into()
    }
}

/// An idempotency record to be written.
#[derive(Serialize)]
pub struct Record {
    #[serde(skip)]
    key: Key,
    payload_hash: String,
    request_id: String,
    /// JSON; absent while the process is in progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    /// TTL attribute of most tables, in seconds since the Unix epoch.
    expires_at: i64,
    /// TTL attribute of the Orders table, where `expires_at` is an order's payment deadline.
    ttl: i64,
}

impl Record {
    pub(super) fn item(&self) -> Result<Item, Error> {
        Ok(self.key.on(serde_dynamo::to_item(self).map_err(Error::internal)?))
    }

    /// Decodes an existing record under the same key.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`] if it has another payload.
    pub(super) fn existing(&self, item: Item) -> Result<StoredRecord, Error> {
        StoredRecord::decode(item, &self.payload_hash)
    }
}

/// A record as the table holds it.
#[derive(Debug, Deserialize)]
pub struct StoredRecord {
    payload_hash: String,
    request_id: String,
    result: Option<String>,
    process: Option<String>,
}

impl StoredRecord {
    fn decode(item: Item, payload_hash: &str) -> Result<Self, Error> {
        let stored: Self = serde_dynamo::from_item(item).map_err(Error::internal)?;
        if stored.payload_hash == payload_hash { Ok(stored) } else { Err(Error::IdempotencyKeyReused) }
    }

    pub(super) fn is_completed(&self) -> bool {
        self.result.is_some()
    }

    /// Returns the result of the earlier request.
    ///
    /// # Errors
    /// [`Error::Internal`] if the record has none.
    pub(crate) fn replay<T: DeserializeOwned>(self) -> Result<Idempotent<T>, Error> {
        match self.try_into()? {
            ExistingRecord::Completed(result) => Ok(result),
            ExistingRecord::InProgress(_) => Err(Error::internal("a completed record has no result")),
        }
    }
}

/// Record of an earlier request with the same key and payload.
#[derive(Debug)]
pub enum ExistingRecord<T> {
    Completed(Idempotent<T>),
    /// It has started this process.
    InProgress(String),
}

impl<T: DeserializeOwned> TryFrom<StoredRecord> for ExistingRecord<T> {
    type Error = Error;

    fn try_from(stored: StoredRecord) -> Result<Self, Error> {
        match (stored.result, stored.process) {
            (Some(result), _) => {
                let value = serde_json::from_str(&result).map_err(Error::internal)?;
                Ok(Self::Completed(Idempotent { value, replayed: true, request_id: stored.request_id }))
            }
            (None, Some(process)) => Ok(Self::InProgress(process)),
            (None, None) => Err(Error::internal("an idempotency record has neither result nor process")),
        }
    }
}

/// Write of an idempotency record in a transaction.
pub enum RecordWrite<'a> {
    None,
    /// The first record of the request, by a caller whose authority is checked.
    Insert(&'a Record, &'a OrderAccess),
    /// The result of a process that the request has started.
    Complete(&'a Record),
}
