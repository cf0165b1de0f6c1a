//! Identifiers: a prefix that names the kind, and a ULID.

use std::{
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

use super::{time::Timestamp, validation::Violation};

/// A kind of thing that has ids.
pub trait Entity {
    /// Prefix of its ids, before the underscore.
    const PREFIX: &'static str;
}

/// The id of a `T`: its prefix, then a [ULID](https://github.com/ulid/spec) in lower case, as in
/// `prod_01jd8x2m9q5w3r7t1v6y4z0abc`. Ids of one kind sort by the millisecond in which they were made.
pub struct Id<T> {
    ulid: Ulid,
    kind: PhantomData<fn() -> T>,
}

impl<T: Entity> Id<T> {
    /// Makes the id of something created at `at`. `entropy`, of which 80 bits count, makes it unique.
    pub fn new(at: Timestamp, entropy: u128) -> Self {
        // No clock of ours runs before 1970.
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self::of(Ulid::from_parts(millis, entropy))
    }

    /// Returns the moment of creation.
    pub fn created_at(self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.ulid.timestamp_ms()).unwrap_or(i64::MAX))
    }

    /// Returns the id just before this one.
    pub fn predecessor(self) -> Self {
        Self::of(Ulid(self.ulid.0.saturating_sub(1)))
    }

    /// Returns the id without its prefix.
    pub(super) fn ulid(self) -> String {
        self.ulid.to_string()
    }

    /// Returns the id as 16 bytes, for compact encodings.
    pub fn to_bytes(self) -> [u8; 16] {
        self.ulid.to_bytes()
    }

    /// Restores the id from [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self::of(Ulid::from_bytes(bytes))
    }

    fn of(ulid: Ulid) -> Self {
        Self { ulid, kind: PhantomData }
    }
}

impl<T: Entity> FromStr for Id<T> {
    type Err = Violation;

    /// Accepts only what [`Display`](fmt::Display) writes: an id has one spelling.
    fn from_str(text: &str) -> Result<Self, Violation> {
        let ulid = text.strip_prefix(T::PREFIX).and_then(|rest| rest.strip_prefix('_'));
        let id = ulid.and_then(|ulid| Ulid::from_string(ulid).ok()).map(Self::of);
        id.filter(|id| id.to_string() == text).ok_or(Violation::Format("a valid id"))
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

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ulid.hash(state);
    }
}

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
