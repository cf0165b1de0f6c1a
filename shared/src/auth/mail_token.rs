//! Tokens that are sent by mail. They are at rest nowhere: who sends or checks one derives it, with HMAC, from the id of
//! what it is for.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::KeySet;
use crate::{
    domain::{
        id::{Entity, Id},
        time::Timestamp,
        user::EmailAddress,
    },
    error::Error,
};

/// A mailed token, taken apart: the thing that it is for, and the address that it went to.
#[derive(Debug)]
pub struct MailToken<T: Entity> {
    /// What it is for.
    pub id: Id<T>,
    /// Where it was sent.
    pub email: EmailAddress,
}

const TAG_BYTES: usize = 32;
const ID_BYTES: usize = 16;

impl<T: Entity> MailToken<T> {
    /// The token's text: base64url of tag, id and address.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn write(&self, keys: &KeySet, now: Timestamp) -> Result<String, Error> {
        let message = [&self.id.to_bytes()[..], self.email.as_str().as_bytes()].concat();
        let tag = keys.hmac(now, &label::<T>(), &message)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&tag[..], &message].concat()))
    }

    /// Reads a token, if it is one of ours and for this.
    pub fn read(text: &str, keys: &KeySet) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, message) = bytes.split_at_checked(TAG_BYTES)?;
        if !keys.verify(&label::<T>(), message, tag) {
            return None;
        }
        let (id, email) = message.split_first_chunk::<ID_BYTES>()?;
        let email = EmailAddress::parse(std::str::from_utf8(email).ok()?).ok()?;
        Some(Self { id: Id::from_bytes(*id), email })
    }
}

/// The label of the HMAC: what the token is for.
fn label<T: Entity>() -> String {
    format!("mail-token-{}", T::PREFIX)
}
