//! Refresh tokens (RFC 6749, section 1.5). They contain the key of their session, and each use rotates them.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    key::{hash, random},
    key_set::KeySet,
};
use crate::{
    domain::{
        id::Id,
        time::Timestamp,
        user::{Session, User},
    },
    error::Error,
};

const TAG_BYTES: usize = 32;
/// HMAC label of the tag that proves a token genuine.
const GENUINE: &str = "refresh-token";
/// HMAC label for deriving the next token.
const SUCCESSOR: &str = "refresh-token-successor";

/// A refresh token.
#[derive(Clone)]
pub struct RefreshToken {
    pub user: Id<User>,
    pub session: Id<Session>,
    secret: [u8; 32],
}

impl RefreshToken {
    /// Makes the first token of a session.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn first(user: Id<User>, session: Id<Session>) -> Result<Self, Error> {
        Ok(Self { user, session, secret: random()? })
    }

    /// Derives the successor of this token if it is used at `at`: always the same one.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn successor(&self, keys: &KeySet, used_at: Timestamp) -> Result<Self, Error> {
        Ok(Self { secret: keys.hmac(used_at, SUCCESSOR, &self.message())?, ..self.clone() })
    }

    /// Returns the hash to store.
    pub fn hash(&self) -> String {
        hash(&self.secret)
    }

    /// Writes the token: base64url of user, session, secret and tag.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn write(&self, keys: &KeySet, now: Timestamp) -> Result<String, Error> {
        let message = self.message();
        let tag = keys.hmac(now, GENUINE, &message)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&message[..], &tag].concat()))
    }

    /// Parses and verifies a token. A forged one thus neither reaches the store nor ends a session.
    pub fn read(text: &str, keys: &KeySet) -> Option<Self> {
        let bytes: [u8; 96] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (message, tag) = bytes.split_at(bytes.len() - TAG_BYTES);
        let (user, rest) = message.split_first_chunk()?;
        let (session, secret) = rest.split_first_chunk()?;
        let token = Self {
            user: Id::from_bytes(*user),
            session: Id::from_bytes(*session),
            secret: secret.try_into().ok()?,
        };
        keys.verify(GENUINE, message, tag).then_some(token)
    }

    fn message(&self) -> Vec<u8> {
        [&self.user.to_bytes()[..], &self.session.to_bytes(), &self.secret].concat()
    }
}
