//! The token endpoint (RFC 6749, section 3.2).

use super::{
    credentials::ClientCredentials,
    parameters::Parameters,
    registry::Registry,
    tokens::{TokenResponse, Tokens},
};
use crate::{
    config::ConfigError,
    domain::{id::Id, time::Timestamp, user::Session},
    error::{Error, OAuthError},
    store::{
        Store,
        codes::CodeExchange,
        sessions::{OpenSession, Sessions},
    },
};

/// Exchanges grants for tokens.
pub struct TokenEndpoint {
    registry: Registry,
    sessions: Sessions,
    tokens: Tokens,
}

impl TokenEndpoint {
    /// # Errors
    /// A variable is missing.
    pub async fn open(store: &Store) -> Result<Self, ConfigError> {
        let registry = Registry::new(store.clients()?);
        Ok(Self { registry, sessions: store.sessions()?, tokens: Tokens::open().await? })
    }

    /// Issues tokens for a grant. `id` is that of a session which begins.
    ///
    /// # Errors
    /// [`Error::OAuth`].
    pub async fn grant(
        &self,
        form: &Parameters,
        client: &ClientCredentials,
        id: Id<Session>,
        now: Timestamp,
    ) -> Result<TokenResponse, Error> {
        let scope = form.scope()?;
        match form.required("grant_type", "grant_type is missing.")? {
            "authorization_code" => self.session(self.exchange(form, client, id, now).await?, now).await,
            "refresh_token" => self.session(self.refresh(form, client, now).await?, now).await,
            "client_credentials" => {
                self.tokens.of_client(&self.registry.authenticate(client, scope).await?, now).await
            }
            _ => Err(OAuthError::UnsupportedGrantType.into()),
        }
    }

    async fn session(&self, session: OpenSession, now: Timestamp) -> Result<TokenResponse, Error> {
        self.tokens.of_session(&session, now).await
    }

    async fn exchange(
        &self,
        form: &Parameters,
        client: &ClientCredentials,
        id: Id<Session>,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let exchange = CodeExchange {
            code: form.required("code", "code is missing.")?,
            client_id: client.public()?,
            redirect_uri: form.required("redirect_uri", "redirect_uri is missing.")?,
            code_verifier: code_verifier(form)?,
        };
        let exchanging = self.sessions.exchange(&exchange, id, now);
        self.registry.while_public(exchange.client_id, exchanging).await
    }

    async fn refresh(
        &self,
        form: &Parameters,
        client: &ClientCredentials,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let token = form.required("refresh_token", "refresh_token is missing.")?;
        let (client_id, scope) = (client.public()?, form.scope()?);
        let keys = self.tokens.keys().await?;
        let rotating = self.sessions.rotate(token, client_id, scope.as_ref(), &keys, now);
        self.registry.while_public(client_id, rotating).await
    }
}

/// Reads the verifier of a code challenge: 43 to 128 unreserved characters (RFC 7636, section 4.1).
fn code_verifier(form: &Parameters) -> Result<&str, OAuthError> {
    const FORM: &str = "code_verifier must have 43 to 128 letters, digits and characters of -._~ (RFC 7636).";
    let verifier = form.required("code_verifier", "code_verifier is missing (RFC 7636).")?;
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved) {
        Ok(verifier)
    } else {
        Err(OAuthError::InvalidRequest(FORM))
    }
}
