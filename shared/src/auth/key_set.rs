//! The keys of one purpose, each with the moment from which it is in force: what a secret of Secrets Manager holds.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use super::{PublicKeys, SigningKey};
use crate::{domain::time::Timestamp, error::Error};

/// How long a key that was replaced is kept, in milliseconds: longer than anything lives that was made with it (the
/// refresh token of a session, 30 days).
const KEPT_MILLIS: i64 = 32 * 24 * 60 * 60 * 1000;
/// The last access token that a key has signed expires by so many milliseconds after its successor came into force: 15
/// minutes of the token's life, the rest for a signer that could not read the new key at once.
const LAST_TOKEN_MILLIS: i64 = 60 * 60 * 1000;

/// A private key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// Its name.
    pub id: String,
    /// From when on it is the one to use.
    pub from: Timestamp,
    /// PKCS#8 of a key that signs, 32 random bytes of one for HMAC.
    #[serde(rename = "key", with = "base64url")]
    pub(super) bytes: Vec<u8>,
}

impl Key {
    /// A key that comes into force at `from`.
    pub fn new(id: String, from: Timestamp, bytes: &[u8]) -> Self {
        Self { id, from, bytes: bytes.to_vec() }
    }

    /// A key for HMAC, of the system's randomness.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system has no randomness to give.
    pub fn random(from: Timestamp) -> Result<Self, Error> {
        Ok(Self::new(format!("hmac-{}", from.as_millis()), from, &random::<32>()?))
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.bytes)
    }
}

/// Bytes as JSON has them.
mod base64url {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_URL_SAFE_NO_PAD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Keys of one purpose, the oldest first.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// A set of one key.
    pub fn of(key: Key) -> Self {
        Self { keys: vec![key] }
    }

    /// Reads the text of a secret.
    ///
    /// # Errors
    /// [`Error::Internal`] where it is none.
    pub fn read(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|_| Error::internal("a secret holds no set of keys"))
    }

    /// The text that a secret keeps.
    ///
    /// # Errors
    /// [`Error::Internal`] where it can't be written.
    pub fn write(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// The key that is in force at a moment.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is none yet: the first is made right after the first deployment.
    pub fn at(&self, moment: Timestamp) -> Result<&Key, Error> {
        let in_force = self.keys.iter().filter(|key| key.from <= moment).max_by_key(|key| key.from);
        in_force.ok_or_else(|| Error::Unavailable("no key is in force yet".into()))
    }

    /// This set with a further key, without those that were replaced long ago.
    pub fn with(&self, key: Key, now: Timestamp) -> Self {
        let mut keys = self.keys.clone();
        keys.push(key);
        let replaced = |index: usize| {
            keys.get(index + 1).is_some_and(|next| next.from.as_millis() + KEPT_MILLIS < now.as_millis())
        };
        let kept = (0..keys.len()).filter(|index| !replaced(*index)).map(|index| keys[index].clone());
        Self { keys: kept.collect() }
    }

    /// HMAC-SHA-256 with the key that is in force at a moment. `purpose` keeps what is made for one thing from being
    /// good for another.
    ///
    /// # Errors
    /// As for [`at`](Self::at).
    pub fn hmac(&self, moment: Timestamp, purpose: &str, message: &[u8]) -> Result<[u8; 32], Error> {
        let tag = hmac::sign(&self.at(moment)?.hmac(), &labelled(purpose, message));
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Ok(bytes)
    }

    /// Whether one of the keys has made this tag.
    pub fn verify(&self, purpose: &str, message: &[u8], tag: &[u8]) -> bool {
        let message = labelled(purpose, message);
        self.keys.iter().any(|key| hmac::verify(&key.hmac(), &message, tag).is_ok())
    }

    /// Goes on if the public halves of all keys, which sign, are among the published ones.
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

    /// When the keys that are replaced retire: once the last that they have made, an access token, has expired.
    pub fn retirements(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        let successors = self.keys.iter().skip(1);
        self.keys.iter().zip(successors).map(|(key, successor)| {
            let retires = successor.from.as_millis() + LAST_TOKEN_MILLIS;
            (key.id.as_str(), Timestamp::from_millis(retires))
        })
    }
}

/// No purpose has a NUL, so that purpose and message can't run into each other.
fn labelled(purpose: &str, message: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], message].concat()
}

/// Base64url of the SHA-256 of what is kept as a hash alone.
pub(crate) fn hash(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

/// Random bytes from the system's generator.
///
/// # Errors
/// [`Error::Internal`] where it has none to give.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::internal("the system has no randomness to give"))?;
    Ok(bytes)
}
