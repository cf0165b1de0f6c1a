//! Registered clients, and the shop's own storefront.

use futures_util::future;

use super::credentials::ClientCredentials;
use crate::{
    auth::{Authority, FIRST_PARTY, Grant, Scopes},
    domain::user::Actor,
    error::{Error, OAuthError},
    store::clients::{ClientItem, Clients},
};

/// Access to registered clients.
pub struct Registry {
    clients: Clients,
}

impl Registry {
    pub fn new(clients: Clients) -> Self {
        Self { clients }
    }

    /// Completes `action` for a public client, and checks at the same time that the client still exists.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::UnauthorizedClient`], and those of `action`.
    pub async fn while_public<T>(
        &self,
        client_id: &str,
        action: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (known, result) = future::join(self.check_public(client_id), action).await;
        known.and(result)
    }

    async fn check_public(&self, client_id: &str) -> Result<(), Error> {
        if client_id == FIRST_PARTY {
            return Ok(());
        }
        let client = self.find(client_id).await?.ok_or(OAuthError::InvalidClient)?;
        if client.is_machine() { Err(OAuthError::UnauthorizedClient.into()) } else { Ok(()) }
    }

    /// Authenticates a machine client, and grants the requested scopes if it may have them.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`], [`OAuthError::UnauthorizedClient`], [`OAuthError::InvalidScope`].
    pub async fn authenticate(
        &self,
        credentials: &ClientCredentials,
        scope: Option<Scopes>,
    ) -> Result<Grant, Error> {
        let id = credentials.id.as_deref().ok_or(OAuthError::InvalidClient)?;
        let client = match self.find(id).await? {
            Some(client) => client,
            None if id == FIRST_PARTY => return Err(OAuthError::UnauthorizedClient.into()),
            None => return Err(OAuthError::InvalidClient.into()),
        };
        if !client.is_machine() {
            return Err(OAuthError::UnauthorizedClient.into());
        }
        if !credentials.secret.as_deref().is_some_and(|secret| client.has_secret(secret)) {
            return Err(OAuthError::InvalidClient.into());
        }
        let scope = scope.unwrap_or_else(|| client.scope.clone());
        if !scope.are_within(&client.scope) {
            return Err(OAuthError::InvalidScope.into());
        }
        let authority = Authority {
            subject: Actor::Client(client.id),
            client_id: id.to_owned(),
            session: None,
            epoch: client.epoch,
        };
        Ok(Grant { authority, scope })
    }

    pub(super) async fn find(&self, client_id: &str) -> Result<Option<ClientItem>, Error> {
        match client_id.parse() {
            Ok(id) => self.clients.get(id).await,
            Err(_) => Ok(None),
        }
    }
}
