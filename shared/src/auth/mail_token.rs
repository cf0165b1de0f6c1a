//! Tokens in mails. They are stored nowhere: sender and verifier derive them by HMAC from the id of their registration or
//! reset.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::key_set::KeySet;
use crate::{
    domain::{
        id::{Entity, Id},
        time::Timestamp,
        user::EmailAddress,
    },
    error::Error,
};

/// A token in a mail.
#[derive(Debug)]
pub struct MailToken<T: Entity> {
    /// Id of the registration or reset.
    pub id: Id<T>,
    /// Recipient.
    pub email: EmailAddress,
}

const TAG_BYTES: usize = 32;
const ID_BYTES: usize = 16;

impl<T: Entity> MailToken<T> {
    /// Writes the token: base64url of tag, id and address.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn write(&self, keys: &KeySet, now: Timestamp) -> Result<String, Error> {
        let message = [&self.id.to_bytes()[..], self.email.as_str().as_bytes()].concat();
        let tag = keys.hmac(now, &label::<T>(), &message)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&tag[..], &message].concat()))
    }

    /// Parses and verifies a token of this purpose.
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

/// Returns the HMAC label of the token's purpose.
fn label<T: Entity>() -> String {
    format!("mail-token-{}", T::PREFIX)
}
