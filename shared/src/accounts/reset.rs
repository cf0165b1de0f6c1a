//! Resets a forgotten password.

use super::access::{Accounts, mail_token};
use crate::{
    auth::{KeySet, MailToken},
    domain::{time::Timestamp, user::Reset, validation::Object},
    error::Error,
    password::{NewPassword, PasswordHash},
};

/// Request to set a new password with the token from a mail.
pub struct PasswordReset {
    token: MailToken<Reset>,
    password: NewPassword,
}

impl PasswordReset {
    pub fn read(body: &mut Object, keys: &KeySet) -> Option<Self> {
        let token = body.field("token").text(|text| mail_token::<Reset>(text, keys));
        let known = [token.as_ref().map_or("", |token| token.email.as_str())];
        let password = body.field("new_password").text(|text| NewPassword::parse(text, &known));
        Some(Self { token: token?, password: password? })
    }
}

impl Accounts {
    /// Sets a new password and ends all sessions. The owner of the mailbox is the owner of the account, so attempts by
    /// others no longer lock their address out.
    ///
    /// # Errors
    /// [`Error::TokenExpired`].
    pub async fn reset_password(
        &self,
        PasswordReset { token, password }: &PasswordReset,
        address: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.users.reset_password(token, PasswordHash::of(password)?, now).await?;
        self.attempts.trust_address(&token.email, address, now).await;
        Ok(())
    }
}
