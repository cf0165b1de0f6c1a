//! Changes a password.

use super::access::Accounts;
use crate::{
    auth::Customer,
    domain::{time::Timestamp, validation::Object},
    error::Error,
    password::{NewPassword, Password, PasswordHash},
};

/// Request to replace the current password.
pub struct PasswordChange {
    current: Password,
    new: NewPassword,
}

impl PasswordChange {
    pub fn read(body: &mut Object) -> Option<Self> {
        let current = body.field("current_password").text(Password::parse);
        let new = body.field("new_password").text(|text| NewPassword::parse(text, &[]));
        Some(Self { current: current?, new: new? })
    }
}

impl Accounts {
    /// Sets a new password and ends all other sessions of the caller.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`], [`Error::Validation`].
    pub async fn change_password(
        &self,
        customer: &Customer,
        PasswordChange { current, new }: PasswordChange,
        address: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let account = self.users.own(customer).await?;
        let new = account.new_password(new, "/new_password")?;
        let (checked, attempt) = self.authenticate(&account.user.email, &current, address, now).await?;
        let changing = self.users.change_password(customer, &checked, PasswordHash::of(&new)?, now);
        self.clear_attempts_after(&attempt, now, changing).await
    }
}
