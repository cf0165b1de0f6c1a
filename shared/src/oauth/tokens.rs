//! Token responses.

use std::sync::Arc;

use serde::Serialize;

use crate::{
    auth::{ACCESS_TOKEN_LIFETIME, Grant, KeySet, Scopes},
    config::ConfigError,
    domain::time::Timestamp,
    error::Error,
    secrets::{HmacKeys, Issuer, Secrets},
    store::sessions::OpenSession,
};

/// A token response (RFC 6749, section 5.1).
#[derive(Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    pub token_type: &'static str,
    /// Lifetime of the access token in seconds.
    pub expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    pub scope: Scopes,
}

/// Issuer of access and refresh tokens.
pub struct Tokens {
    issuer: Issuer,
    keys: HmacKeys,
}

impl Tokens {
    /// # Errors
    /// `SIGNING_SECRET`, `HMAC_SECRET` or `PUBLIC_URL` is missing.
    pub async fn open() -> Result<Self, ConfigError> {
        let secrets = Secrets::connect()?;
        Ok(Self { issuer: secrets.issuer().await?, keys: secrets.hmac_keys().await? })
    }

    /// Returns the keys that derive refresh tokens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if they can't be read.
    pub(super) async fn keys(&self) -> Result<Arc<KeySet>, Error> {
        self.keys.get().await
    }

    /// Issues the tokens of a session.
    ///
    /// # Errors
    /// As for [`Issuer::issue`].
    pub async fn of_session(&self, session: &OpenSession, now: Timestamp) -> Result<TokenResponse, Error> {
        let refresh_token = session.refresh_token.write(&*self.keys.get().await?, now)?;
        Ok(TokenResponse { refresh_token: Some(refresh_token), ..self.of_client(&session.grant, now).await? })
    }

    /// Issues an access token without a refresh token, for a machine client.
    ///
    /// # Errors
    /// As for [`Issuer::issue`].
    pub async fn of_client(&self, grant: &Grant, now: Timestamp) -> Result<TokenResponse, Error> {
        Ok(TokenResponse {
            access_token: self.issuer.issue(grant, now).await?,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
            refresh_token: None,
            scope: grant.scope.clone(),
        })
    }
}
