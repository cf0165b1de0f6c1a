//! Registration of clients.

use serde::Serialize;
use strum::VariantArray;

use crate::{
    auth::{Scope, Scopes},
    domain::{
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Actor, Client},
        validation::{self, Object, Violation},
    },
    error::Error,
    store::clients::{ClientItem, ClientSecret},
};

/// Request to register a client. With redirect URIs it is a public client that acts for users, without a machine client
/// that acts for itself.
#[derive(Clone, Debug, Serialize)]
pub struct NewClient {
    name: String,
    scope: Scopes,
    redirect_uris: Vec<RedirectUri>,
}

impl NewClient {
    pub fn read(body: &mut Object) -> Option<Self> {
        let name = body.field("name").text(|text| validation::line(text, 1, 100));
        let redirect_uris = body
            .field("redirect_uris")
            .or(Vec::new(), |field| field.list(10, |uri| uri.text(RedirectUri::parse)));
        let (allowed, expected): (&[Scope], _) = match redirect_uris.as_deref() {
            Some([]) => (&Scope::MACHINE, "scopes that a machine client can have"),
            Some(_) => (&Scope::DELEGABLE, "orders:own or profile:read, since the client has redirect URIs"),
            // The redirect URIs are invalid, so its kind is unknown.
            None => (Scope::VARIANTS, "scopes of the shop"),
        };
        let scope = body.field("scope").text(|text| {
            let scopes = Scopes::parse(text)?;
            if scopes.are_among(allowed) { Ok(scopes) } else { Err(Violation::Format(expected)) }
        });
        Some(Self { name: name?, scope: scope?, redirect_uris: redirect_uris? })
    }

    /// Makes the client, and the text of its secret if it is a machine client.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn client(
        &self,
        id: Id<Client>,
        by: Actor,
        secret: Id<ClientSecret>,
        now: Timestamp,
    ) -> Result<(ClientItem, Option<String>), Error> {
        let Self { name, scope, redirect_uris } = self.clone();
        let (secrets, text) = if redirect_uris.is_empty() {
            let (secret, text) = ClientSecret::generate(secret, now)?;
            (vec![secret], Some(text))
        } else {
            (Vec::new(), None)
        };
        let client =
            ClientItem { id, name, scope, redirect_uris, secrets, epoch: 0, created_at: now, created_by: by };
        Ok((client, text))
    }
}

/// A secret as admins see it: without its text, except when it is made.
#[derive(Serialize)]
pub struct SecretView {
    id: Id<ClientSecret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    created_at: Timestamp,
}

impl SecretView {
    /// Shows a secret with its text.
    pub fn with_text(secret: &ClientSecret, text: String) -> Self {
        Self { client_secret: Some(text), ..Self::from(secret) }
    }
}

impl From<&ClientSecret> for SecretView {
    fn from(secret: &ClientSecret) -> Self {
        Self { id: secret.id, client_secret: None, created_at: secret.created_at }
    }
}

/// A client as admins see it, in the terms of RFC 7591.
#[derive(Serialize)]
pub struct ClientView<'a> {
    client_id: Id<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<SecretView>,
    name: &'a str,
    scope: &'a Scopes,
    redirect_uris: &'a [RedirectUri],
    grant_types: &'static [&'static str],
    token_endpoint_auth_method: &'static str,
    created_at: Timestamp,
}

impl<'a> From<&'a ClientItem> for ClientView<'a> {
    fn from(client: &'a ClientItem) -> Self {
        let machine = client.is_machine();
        Self {
            client_id: client.id,
            client_secret: None,
            secrets: client.secrets.iter().map(SecretView::from).collect(),
            name: &client.name,
            scope: &client.scope,
            redirect_uris: &client.redirect_uris,
            grant_types: if machine {
                &["client_credentials"]
            } else {
                &["authorization_code", "refresh_token"]
            },
            token_endpoint_auth_method: if machine { "client_secret_basic" } else { "none" },
            created_at: client.created_at,
        }
    }
}

impl ClientView<'_> {
    /// Shows the secret, too: only in the response to the request that has made it.
    pub fn with_secret(self, client_secret: Option<String>) -> Self {
        Self { client_secret, ..self }
    }
}
