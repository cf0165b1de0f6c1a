//! Idempotency records: what was answered to a key, committed together with the effect. A crash, a retry storm or a
//! lost answer therefore sees "nothing happened" or "all of it".

use serde::{Deserialize, Serialize};

use super::{Item, key};
use crate::{
    auth::hash,
    domain::{cause::Cause, user::Actor},
    error::Error,
};

/// How long a key is kept, in seconds: the promised day, and another for those who retry late.
const KEPT_SECONDS: i64 = 48 * 60 * 60;

/// An attempt to do something once: whose, which operation, which key, which payload.
pub struct Attempt {
    caller: Actor,
    operation: &'static str,
    key_hash: String,
    payload_hash: String,
    cause: Cause,
}

impl Attempt {
    /// The attempt that a request is. The payload is all that decides what the operation does.
    ///
    /// # Errors
    /// [`Error::Internal`] where the payload can't be written as JSON.
    pub fn new(
        caller: Actor,
        operation: &'static str,
        key: &str,
        payload: &impl Serialize,
        cause: Cause,
    ) -> Result<Self, Error> {
        let payload = serde_json::to_vec(payload).map_err(Error::internal)?;
        Ok(Self { caller, operation, key_hash: hash(key.as_bytes()), payload_hash: hash(&payload), cause })
    }

    /// What the effect has as its cause.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The record that this attempt was answered so.
    pub fn answered(&self, answer: Recorded) -> Record {
        self.record(Some(answer), None)
    }

    /// The record that this attempt has begun something, which takes more than one step.
    pub fn begun(&self, what: impl ToString) -> Record {
        self.record(None, Some(what.to_string()))
    }

    fn record(&self, answer: Option<Recorded>, begun: Option<String>) -> Record {
        let expires_at = self.cause.at.as_seconds() + KEPT_SECONDS;
        let payload_hash = self.payload_hash.clone();
        Record { payload_hash, answer, begun, expires_at, ttl: expires_at, key: self.key() }
    }

    /// Where its record lies.
    pub(super) fn key(&self) -> Item {
        key(partition(self.caller), format!("IDEM#{}#{}", self.operation, self.key_hash))
    }

    /// What a record under its key means for it.
    pub(super) fn against(&self, earlier: Item) -> Result<Earlier, Error> {
        self.record(None, None).against(earlier)
    }
}

pub(super) fn partition(caller: Actor) -> String {
    match caller {
        Actor::User(id) => format!("USER#{id}"),
        Actor::Client(id) => format!("CLIENT#{id}"),
    }
}

/// An answer as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recorded {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The body.
    pub body: String,
}

/// What is kept of an attempt.
#[derive(Serialize, Deserialize)]
pub struct Record {
    #[serde(skip)]
    key: Item,
    payload_hash: String,
    /// None while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Recorded>,
    /// What it has begun, if that takes more than one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<String>,
    /// The TTL attribute of most tables: seconds since 1970.
    expires_at: i64,
    /// That of the table of orders, where `expires_at` is what an order says to its customer.
    ttl: i64,
}

/// What was found under a key that had been used before.
pub enum Earlier {
    /// Something was begun.
    Begun(String),
    /// It was answered.
    Answered(Recorded),
}

impl Record {
    pub(super) fn item(&self) -> Result<Item, Error> {
        let mut item: Item = serde_dynamo::to_item(self).map_err(Error::internal)?;
        item.extend(self.key.clone());
        Ok(item)
    }

    /// What an earlier record under the same key means for this attempt.
    pub(super) fn against(&self, earlier: Item) -> Result<Earlier, Error> {
        let earlier: Record = serde_dynamo::from_item(earlier).map_err(Error::internal)?;
        if earlier.payload_hash != self.payload_hash {
            return Err(Error::IdempotencyKeyReused);
        }
        Ok(match earlier.answer {
            Some(answer) => Earlier::Answered(answer),
            None => Earlier::Begun(earlier.begun.unwrap_or_default()),
        })
    }
}

/// The answer to an attempt of several steps.
#[derive(Debug)]
pub struct Answered {
    /// What is answered.
    pub answer: Recorded,
    /// Whether it had been answered before.
    pub replayed: bool,
}

/// How an attempt came out.
pub enum Outcome {
    /// The effect and its record are committed, just now.
    Done,
    /// They had been before; this was answered then.
    Replayed(Recorded),
}
