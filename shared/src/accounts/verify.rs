//! Verifies an e-mail address and opens its account.

use futures_util::future;

use super::access::{Accounts, count_locked, mail_token};
use crate::{
    auth::{KeySet, MailToken},
    config::{self, ConfigError},
    domain::{
        id::Id,
        time::Timestamp,
        user::{EmailAddress, Registration, Role, User},
        validation::{Object, Violation},
    },
    error::Error,
    password::{Password, PasswordCheck},
    store::{attempts::LoginAttempt, registrations::PendingRegistration},
    telemetry::{self, Metric},
};

/// Request to verify an e-mail address: the token from the mail, and the registered password. Someone who registered
/// another person's address lacks the first, someone who reads another person's mail the second.
pub struct EmailVerification {
    token: MailToken<Registration>,
    password: Password,
}

impl EmailVerification {
    pub fn read(body: &mut Object, keys: &KeySet) -> Option<Self> {
        let token = body.field("token").text(|text| mail_token(text, keys));
        let password = body.field("password").text(Password::parse);
        Some(Self { token: token?, password: password? })
    }
}

/// E-mail address that becomes an admin on registration: how a shop gets its first one.
pub struct FirstAdmin(Option<EmailAddress>);

impl FirstAdmin {
    /// # Errors
    /// `ADMIN_EMAIL` is set, but not an e-mail address.
    pub fn from_env() -> Result<Self, ConfigError> {
        let email = config::optional("ADMIN_EMAIL").map(|email| EmailAddress::parse(&email));
        let unusable = |violation: Violation| ConfigError::Unusable {
            name: "ADMIN_EMAIL",
            reason: format!("it {violation}"),
        };
        email.transpose().map(Self).map_err(unusable)
    }

    fn role_of(&self, email: &EmailAddress) -> Role {
        if self.0.as_ref() == Some(email) { Role::Admin } else { Role::Customer }
    }
}

impl Accounts {
    /// Opens the account of a registration.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`], [`Error::TokenExpired`] if the token is used up.
    pub async fn verify(
        &self,
        EmailVerification { token, password }: &EmailVerification,
        first_admin: &FirstAdmin,
        user: Id<User>,
        address: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (registration, attempt) = self.check_registration(token, password, address, now).await?;
        let role = first_admin.role_of(&token.email);
        let opening = self.users.open_account(token, registration, user, role, now);
        self.clear_attempts_after(&attempt, now, opening).await?;
        if role == Role::Admin {
            telemetry::count(Metric::AdminsMade);
        }
        Ok(())
    }

    async fn check_registration(
        &self,
        token: &MailToken<Registration>,
        password: &Password,
        address: &str,
        now: Timestamp,
    ) -> Result<(PendingRegistration, LoginAttempt), Error> {
        let (attempt, pending) =
            future::join(self.attempts.count(&token.email, address, now), self.users.registration(token))
                .await;
        let (attempt, pending) = (count_locked(attempt)?, pending?);
        let pending = pending.filter(|pending| pending.is_open(now)).ok_or(Error::TokenExpired)?;
        if pending.password.verify(password)? == PasswordCheck::Wrong {
            telemetry::count(Metric::LoginsRefused);
            return Err(Error::InvalidCredentials);
        }
        Ok((pending, attempt))
    }
}
