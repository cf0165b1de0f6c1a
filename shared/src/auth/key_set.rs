//! Sets of keys, as secrets in Secrets Manager hold them.

use std::time::Duration;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{
    key::Key,
    token::{PublicKeys, SigningKey},
};
use crate::{domain::time::Timestamp, error::Error};

/// A replaced key is kept this long: longer than anything made with it lives. Refresh tokens live longest, for 30 days.
const REMOVED_AFTER: Duration = Duration::from_secs(32 * 24 * 60 * 60);
/// A replaced signing key retires after this time: its last access token has then expired, even if a signer could not read
/// the new key at once.
const RETIRED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Keys for one purpose, oldest first.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    pub fn empty() -> Self {
        Self::default()
    }

    pub fn of(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// Parses the text of a secret.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|_| Error::internal("a secret holds no set of keys"))
    }

    /// Writes the text of a secret.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Returns the key in force at a moment.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is none yet: the first deployment makes the first key.
    pub fn at(&self, moment: Timestamp) -> Result<&Key, Error> {
        let in_force = self.keys.iter().filter(|key| key.from <= moment).max_by_key(|key| key.from);
        in_force.ok_or_else(|| Error::Unavailable("no key is in force yet".into()))
    }

    /// Adds a key, and removes those that were replaced long ago.
    pub fn with(&self, key: Key, now: Timestamp) -> Self {
        let mut keys = self.keys.clone();
        keys.push(key);
        let replaced = |index: usize| keys.get(index + 1).is_some_and(|next| next.from + REMOVED_AFTER < now);
        let kept = (0..keys.len()).filter(|index| !replaced(*index)).map(|index| keys[index].clone());
        Self { keys: kept.collect() }
    }

    /// Returns whether one of the keys has this id.
    pub fn contains(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    /// Removes a key that must not be used any more.
    pub fn without(&self, id: &str) -> Self {
        Self { keys: self.keys.iter().filter(|key| key.id != id).cloned().collect() }
    }

    /// Computes HMAC-SHA-256 with the key in force at a moment. A tag is valid only for its `purpose`.
    ///
    /// # Errors
    /// As for [`at`](Self::at).
    pub fn hmac(&self, moment: Timestamp, purpose: &str, message: &[u8]) -> Result<[u8; 32], Error> {
        let tag = hmac::sign(&self.at(moment)?.hmac(), &labelled(purpose, message));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Verifies a tag with any of the keys.
    pub fn verify(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        let message = labelled(purpose, message);
        self.keys.iter().any(|key| hmac::verify(&key.hmac(), &message, tag).is_ok())
    }

    /// Checks that the public keys of all signing keys are published.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn check_published(&self, published: &PublicKeys) -> Result<(), Error> {
        for key in &self.keys {
            let key = SigningKey::of(key)?;
            if published.get(key.kid()).is_some_and(|public| public != key.public()) {
                return Err(Error::internal("another key is published under the name of one that signs"));
            }
        }
        let newest = self.keys.last().is_some_and(|key| published.contains_key(&key.id));
        if newest { Ok(()) } else { Err(Error::Unavailable("the new key is not published yet".into())) }
    }

    /// Returns the replaced keys, and when each retires.
    pub fn retirements(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let successors = self.keys.iter().skip(1);
        self.keys
            .iter()
            .zip(successors)
            .map(|(key, successor)| (key.id.as_str(), successor.from + RETIRED_AFTER))
    }
}

/// Separates purpose and message by a NUL, which no purpose contains.
fn labelled(purpose: &str, message: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], message].concat()
}
