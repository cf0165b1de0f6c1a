//! Logs a user in, to the shop or to an OAuth client.

use super::access::Accounts;
use crate::{
    domain::{
        id::Id,
        time::Timestamp,
        user::{EmailAddress, Session},
        validation::Object,
    },
    error::Error,
    password::Password,
    store::{
        codes::Consent,
        sessions::{OpenSession, Sessions},
    },
};

/// E-mail address and password.
pub struct Credentials {
    pub email: EmailAddress,
    pub password: Password,
}

impl Credentials {
    pub fn read(body: &mut Object) -> Option<Self> {
        let email = body.field("email").text(EmailAddress::parse);
        let password = body.field("password").text(Password::parse);
        Some(Self { email: email?, password: password? })
    }

    /// Parses the fields of a form. Returns `None` if they can't be credentials.
    pub fn parse(email: &str, password: &str) -> Option<Self> {
        let (email, password) = (EmailAddress::parse(email).ok(), Password::parse(password).ok());
        Some(Self { email: email?, password: password? })
    }
}

impl Accounts {
    /// Begins a session of the shop's own storefront.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`].
    pub async fn log_in(
        &self,
        Credentials { email, password }: &Credentials,
        sessions: &Sessions,
        id: Id<Session>,
        address: &str,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let (user, attempt) = self.authenticate(email, password, address, now).await?;
        self.clear_attempts_after(&attempt, now, sessions.begin(&user, id, now)).await
    }

    /// Issues an authorization code to a client that the user has consented to.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`].
    pub async fn authorize(
        &self,
        Credentials { email, password }: &Credentials,
        sessions: &Sessions,
        consent: Consent,
        address: &str,
        now: Timestamp,
    ) -> Result<String, Error> {
        let (user, attempt) = self.authenticate(email, password, address, now).await?;
        self.clear_attempts_after(&attempt, now, sessions.authorize(&user, consent, now)).await
    }
}
