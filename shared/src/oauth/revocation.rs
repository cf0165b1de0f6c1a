//! The revocation endpoint (RFC 7009).

use super::{credentials::ClientCredentials, registry::Registry};
use crate::{
    auth::RefreshToken,
    config::ConfigError,
    domain::{time::Timestamp, user::Actor},
    error::{Error, OAuthError},
    secrets::{HmacKeys, Secrets},
    store::{Store, clients::Clients, keys::Keys, sessions::Sessions},
};

/// Ends the sessions of tokens.
pub struct Revocation {
    keys: Keys,
    hmac_keys: HmacKeys,
    sessions: Sessions,
    clients: Clients,
    registry: Registry,
}

impl Revocation {
    /// # Errors
    /// A variable is missing.
    pub async fn open(store: &Store) -> Result<Self, ConfigError> {
        let hmac_keys = Secrets::connect()?.hmac_keys().await?;
        let (sessions, clients) = (store.sessions()?, store.clients()?);
        let registry = Registry::new(clients.clone());
        Ok(Self { keys: store.keys().await?, hmac_keys, sessions, clients, registry })
    }

    /// Ends the session of a user's token, or all access tokens of a machine client, which has to authenticate. A token that is
    /// not ours counts as revoked already.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`] if it is another client's, [`OAuthError::InvalidClient`].
    pub async fn revoke(&self, token: &str, client: &ClientCredentials, now: Timestamp) -> Result<(), Error> {
        if let Some(token) = RefreshToken::read(token, &*self.hmac_keys.get().await?) {
            return self.sessions.revoke(token.user, token.session, client.named(), now).await;
        }
        let access = match self.keys.verify(token).await {
            Ok(access) => access,
            Err(Error::InvalidToken) => return Ok(()),
            Err(error) => return Err(error),
        };
        match (access.session(), access.authority().subject) {
            (Some((user, session)), _) => self.sessions.revoke(user, session, client.named(), now).await,
            (None, Actor::Client(id)) => {
                let grant = self.registry.authenticate(client, None).await?;
                if grant.authority.subject != Actor::Client(id) {
                    return Err(OAuthError::InvalidGrant("The token was issued to another client.").into());
                }
                self.clients.end_tokens(id, now).await
            }
            (None, Actor::User(_)) => Ok(()),
        }
    }
}
