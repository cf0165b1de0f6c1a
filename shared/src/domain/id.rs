//! Identifiers: a prefix that tells the kind, and a time-sortable random part.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

use super::{input::Fault, time::Timestamp};

/// A kind of thing that has ids of its own.
pub trait Entity {
    /// What its ids begin with, before the underscore.
    const PREFIX: &'static str;
}

/// The id of a `T`: its prefix, then a [ULID](https://github.com/ulid/spec) in lower case, as in
/// `prod_01jd8x2m9q5w3r7t1v6y4z0abc`. Ids of one kind sort by the millisecond in which they were made.
pub struct Id<T> {
    ulid: Ulid,
    kind: PhantomData<fn() -> T>,
}

impl<T: Entity> Id<T> {
    /// The id of something made at `at`; `entropy` (of which 80 bits count) keeps it apart from all others.
    pub fn new(at: Timestamp, entropy: u128) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or_default();
        Self::of(Ulid::from_parts(millis, entropy))
    }

    /// The moment in which it was made.
    pub fn created_at(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.ulid.timestamp_ms()).unwrap_or(i64::MAX))
    }

    /// The id without its prefix.
    pub(super) fn ulid(self) -> String {
        self.ulid.to_string()
    }

    /// The id as 16 bytes, for what has to be short.
    pub fn to_bytes(self) -> [u8; 16] {
        self.ulid.to_bytes()
    }

    /// The id that [`to_bytes`](Self::to_bytes) has given.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::of(Ulid::from_bytes(bytes))
    }

    fn of(ulid: Ulid) -> Self {
        Self { ulid, kind: PhantomData }
    }
}

impl<T: Entity> FromStr for Id<T> {
    type Err = Fault;

    /// Takes only what [`Display`](fmt::Display) writes: one spelling a thing.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let ulid = text.strip_prefix(T::PREFIX).and_then(|rest| rest.strip_prefix('_'));
        let id = ulid.and_then(|ulid| Ulid::from_string(ulid).ok()).map(Self::of);
        id.filter(|id| id.to_string() == text).ok_or(Fault::Format("an id of this kind"))
    }
}

impl<T: Entity> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", T::PREFIX, self.ulid.to_string().to_ascii_lowercase())
    }
}

impl<T: Entity> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// Written out because a derive would ask the same of `T`, which is only a name.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.ulid == other.ulid
    }
}

impl<T> Eq for Id<T> {}

impl<T: Entity> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Entity> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
