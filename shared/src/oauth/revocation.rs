//! The revocation endpoint (RFC 7009).

use super::credentials::ClientCredentials;
use crate::{
    auth::RefreshToken,
    config::ConfigError,
    domain::{
        id::Id,
        time::Timestamp,
        user::{Session, User},
    },
    error::Error,
    secrets::{HmacKeys, Secrets},
    store::{Store, keys::Keys, sessions::Sessions},
};

/// Ends the sessions of tokens.
pub struct Revocation {
    keys: Keys,
    hmac_keys: HmacKeys,
    sessions: Sessions,
}

impl Revocation {
    /// # Errors
    /// A variable is missing.
    pub async fn open(store: &Store) -> Result<Self, ConfigError> {
        let hmac_keys = Secrets::connect()?.hmac_keys().await?;
        Ok(Self { keys: store.keys().await?, hmac_keys, sessions: store.sessions()? })
    }

    /// Ends the session of a refresh or access token. A token that is not ours counts as revoked already.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`](crate::error::OAuthError::InvalidGrant) if it is another client's.
    pub async fn revoke(&self, token: &str, client: &ClientCredentials, now: Timestamp) -> Result<(), Error> {
        match self.session_of(token).await? {
            Some((user, session)) => self.sessions.revoke(user, session, client.named(), now).await,
            None => Ok(()),
        }
    }

    async fn session_of(&self, token: &str) -> Result<Option<(Id<User>, Id<Session>)>, Error> {
        if let Some(token) = RefreshToken::read(token, &*self.hmac_keys.get().await?) {
            return Ok(Some((token.user, token.session)));
        }
        match self.keys.verify(token).await {
            Ok(access) => Ok(access.session()),
            Err(Error::InvalidToken) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
