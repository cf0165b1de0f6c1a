//! Private keys, hashes and randomness.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    hmac::{self, HMAC_SHA256},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};

use crate::{domain::time::Timestamp, error::Error};

/// A private key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    pub id: String,
    /// When the key comes into force.
    pub from: Timestamp,
    /// PKCS#8 of a signing key, or 32 random bytes of an HMAC key.
    #[serde(rename = "key", with = "base64url")]
    pub(super) bytes: Vec<u8>,
}

impl Key {
    pub fn new(id: String, from: Timestamp, bytes: &[u8]) -> Self {
        Self { id, from, bytes: bytes.to_vec() }
    }

    /// Generates an HMAC key.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn random(from: Timestamp) -> Result<Self, Error> {
        Ok(Self::new(format!("hmac-{}", from.as_millis()), from, &random::<32>()?))
    }

    pub(super) fn hmac(&self) -> hmac::Key {
        hmac::Key::new(HMAC_SHA256, &self.bytes)
    }
}

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

/// Hashes a secret that is stored only as a hash (SHA-256, base64url).
pub(crate) fn hash(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

/// Returns random bytes of the system's generator.
///
/// # Errors
/// [`Error::Internal`] if it has none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::internal("the system has no randomness"))?;
    Ok(bytes)
}
