//! The check of a password.

use std::sync::Arc;

use futures_util::future;

use crate::{
    auth::{KeySet, MailToken},
    config::ConfigError,
    domain::{id::Entity, time::Timestamp, user::EmailAddress, validation::Violation},
    error::Error,
    password::Password,
    secrets::{HmacKeys, Secrets},
    store::{
        Store,
        attempts::{Attempts, LoginAttempt},
        logins::Authenticated,
        users::Users,
    },
    telemetry::{self, Metric},
};

/// Accounts, and the log-in attempts at them.
pub struct Accounts {
    pub(super) users: Users,
    pub(super) attempts: Attempts,
    keys: HmacKeys,
}

impl Accounts {
    /// # Errors
    /// `USERS_TABLE` or `HMAC_SECRET` is missing.
    pub async fn open(store: &Store) -> Result<Self, ConfigError> {
        let keys = Secrets::connect()?.hmac_keys().await?;
        Ok(Self { users: store.users()?, attempts: store.attempts(keys.clone())?, keys })
    }

    /// Returns the keys that tokens in mails are made with.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if they can't be read.
    pub async fn keys(&self) -> Result<Arc<KeySet>, Error> {
        self.keys.get().await
    }

    /// Counts an attempt and verifies the password of an account.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], alike for an unknown address, a wrong password and a disabled account;
    /// [`Error::TooManyAttempts`].
    pub(super) async fn authenticate(
        &self,
        email: &EmailAddress,
        password: &Password,
        address: &str,
        now: Timestamp,
    ) -> Result<(Authenticated, LoginAttempt), Error> {
        let (attempt, login) =
            future::join(self.attempts.count(email, address, now), self.users.login(email)).await;
        let (attempt, login) = (count_locked(attempt)?, login?);
        let authenticated = Authenticated::by_password(email, login, password);
        if let Err(Error::InvalidCredentials) = &authenticated {
            telemetry::count(Metric::LoginsRefused);
        }
        Ok((authenticated?, attempt))
    }

    /// Completes `action`, and clears the attempts that led to it at the same time.
    pub(super) async fn clear_attempts_after<T>(
        &self,
        attempt: &LoginAttempt,
        now: Timestamp,
        action: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        future::join(action, self.attempts.clear(attempt, now)).await.0
    }
}

/// Counts an attempt that was refused because there were too many before.
pub(super) fn count_locked(attempt: Result<LoginAttempt, Error>) -> Result<LoginAttempt, Error> {
    if let Err(Error::TooManyAttempts { .. }) = &attempt {
        telemetry::count(Metric::LoginsLocked);
    }
    attempt
}

/// Reads a token from a mail.
pub(super) fn mail_token<T: Entity>(text: &str, keys: &KeySet) -> Result<MailToken<T>, Violation> {
    MailToken::read(text, keys).ok_or(Violation::Format("the token from the mail"))
}
