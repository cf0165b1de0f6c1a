//! The decision of a user about an authorization request.

use super::{authorization::Authorization, parameters::Parameters};
use crate::{
    accounts::{Accounts, Credentials},
    domain::time::Timestamp,
    error::Error,
    html::Html,
    store::sessions::Sessions,
};

/// Answer of the authorization endpoint to a decision.
pub enum ConsentAnswer {
    Redirect(String),
    /// The page again, with a message.
    Page(Html),
    /// The page again, and the seconds until the next attempt.
    TooManyAttempts(Html, i64),
}

impl Authorization {
    /// Handles the submitted page: the user has declined, or signs in and consents.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn decide(
        &self,
        form: &Parameters,
        accounts: &Accounts,
        sessions: &Sessions,
        address: &str,
        now: Timestamp,
    ) -> Result<ConsentAnswer, Error> {
        if form.get("decision") != Some("allow") {
            return Ok(ConsentAnswer::Redirect(self.denied()));
        }
        let email = form.get("email").unwrap_or("");
        let Some(credentials) = Credentials::parse(email, form.get("password").unwrap_or("")) else {
            let message = "Enter your e-mail address and your password.";
            return Ok(ConsentAnswer::Page(self.page(Some(message), email)));
        };
        match accounts.authorize(&credentials, sessions, self.consent.clone(), address, now).await {
            Ok(code) => Ok(ConsentAnswer::Redirect(self.agreed(&code))),
            Err(error @ Error::InvalidCredentials) => {
                Ok(ConsentAnswer::Page(self.page(Some(&error.to_string()), email)))
            }
            Err(Error::TooManyAttempts { retry_after_seconds: wait }) => {
                let message = format!("Too many wrong passwords. Try again in {wait} seconds.");
                Ok(ConsentAnswer::TooManyAttempts(self.page(Some(&message), email), wait))
            }
            Err(error) => Err(error),
        }
    }
}
