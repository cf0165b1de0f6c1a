//! Refresh tokens (RFC 6749, section 1.5): they name their session, so that one write by key finds it, and rotate.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{KeySet, hash, random};
use crate::{
    domain::{
        id::Id,
        time::Timestamp,
        user::{Session, User},
    },
    error::Error,
};

const TAG_BYTES: usize = 32;
/// The label of the tag, by which a token shows that it was made here.
const GENUINE: &str = "refresh-token";
/// The label under which the next token of the family is derived.
const SUCCESSOR: &str = "refresh-token-successor";

/// A refresh token: whose, of which session, and its secret.
#[derive(Clone)]
pub struct RefreshToken {
    /// Whose it is.
    pub user: Id<User>,
    /// The session that it prolongs.
    pub session: Id<Session>,
    secret: [u8; 32],
}

impl RefreshToken {
    /// The first of a session.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system has no randomness to give.
    pub fn first(user: Id<User>, session: Id<Session>) -> Result<Self, Error> {
        Ok(Self { user, session, secret: random()? })
    }

    /// The one that follows when this one is used at that moment: the same, however often it is asked for.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn successor(&self, keys: &KeySet, used_at: Timestamp) -> Result<Self, Error> {
        Ok(Self { secret: keys.hmac(used_at, SUCCESSOR, &self.message())?, ..self.clone() })
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash(&self.secret)
    }

    /// The token's text: base64url of user, session, secret and tag.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn write(&self, keys: &KeySet, now: Timestamp) -> Result<String, Error> {
        let message = self.message();
        let tag = keys.hmac(now, GENUINE, &message)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&message[..], &tag].concat()))
    }

    /// Reads a token, if it was made here. What is made up ends no session and never reaches the store.
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
