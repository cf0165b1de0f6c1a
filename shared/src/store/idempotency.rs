//! Idempotency records: what was answered to a key, committed together with the effect. A crash, a retry storm or a
//! lost answer therefore sees "nothing happened" or "all of it".

use serde::{Deserialize, Serialize};

use super::{Item, key};
use crate::{
    auth::hash,
    domain::{time::Timestamp, user::Actor},
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
    now: Timestamp,
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
        now: Timestamp,
    ) -> Result<Self, Error> {
        let payload = serde_json::to_vec(payload).map_err(Error::internal)?;
        Ok(Self { caller, operation, key_hash: hash(key.as_bytes()), payload_hash: hash(&payload), now })
    }

    /// The record that this attempt was answered so.
    pub fn answered(self, answer: Recorded) -> Record {
        Record {
            payload_hash: self.payload_hash,
            answer,
            expires_at: self.now.as_seconds() + KEPT_SECONDS,
            key: key(partition(self.caller), format!("IDEM#{}#{}", self.operation, self.key_hash)),
        }
    }
}

fn partition(caller: Actor) -> String {
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
    answer: Recorded,
    /// The table's TTL attribute: seconds since 1970.
    expires_at: i64,
}

impl Record {
    pub(super) fn item(&self) -> Result<Item, Error> {
        let mut item: Item = serde_dynamo::to_item(self).map_err(Error::internal)?;
        item.extend(self.key.clone());
        Ok(item)
    }

    /// What an earlier record under the same key means for this attempt.
    pub(super) fn against(&self, earlier: Item) -> Result<Recorded, Error> {
        let earlier: Record = serde_dynamo::from_item(earlier).map_err(Error::internal)?;
        if earlier.payload_hash == self.payload_hash {
            Ok(earlier.answer)
        } else {
            Err(Error::IdempotencyKeyReused)
        }
    }
}

/// How an attempt came out.
pub enum Outcome {
    /// The effect and its record are committed, just now.
    Done,
    /// They had been before; this was answered then.
    Replayed(Recorded),
}
