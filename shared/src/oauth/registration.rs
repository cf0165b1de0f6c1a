//! Registration of clients.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use strum::VariantArray;

use crate::{
    auth::{KeySet, Scope, Scopes, hash},
    domain::{
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Actor, Client},
        validation::{self, Object, Violation},
    },
    error::Error,
    store::clients::ClientItem,
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

    /// Makes the client.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn client(
        &self,
        id: Id<Client>,
        by: Actor,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<ClientItem, Error> {
        let Self { name, scope, redirect_uris } = self.clone();
        let secret_hash =
            if redirect_uris.is_empty() { Some(hash(secret(id, keys)?.as_bytes())) } else { None };
        Ok(ClientItem {
            id,
            name,
            scope,
            redirect_uris,
            secret_hash,
            epoch: 0,
            created_at: now,
            created_by: by,
        })
    }
}

/// A client as admins see it, in the terms of RFC 7591.
#[derive(Serialize)]
pub struct ClientView<'a> {
    client_id: Id<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    name: &'a str,
    scope: &'a Scopes,
    redirect_uris: &'a [RedirectUri],
    grant_types: &'static [&'static str],
    token_endpoint_auth_method: &'static str,
    created_at: Timestamp,
}

impl<'a> From<&'a ClientItem> for ClientView<'a> {
    fn from(client: &'a ClientItem) -> Self {
        let machine = client.redirect_uris.is_empty();
        Self {
            client_id: client.id,
            client_secret: None,
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

impl<'a> ClientView<'a> {
    /// Shows a client with its secret, if it has one.
    ///
    /// # Errors
    /// As for [`KeySet::at`].
    pub fn with_secret(client: &'a ClientItem, keys: &KeySet) -> Result<Self, Error> {
        let client_secret = client.secret_hash.as_ref().map(|_| secret(client.id, keys)).transpose()?;
        Ok(Self { client_secret, ..Self::from(client) })
    }
}

/// Derives the secret of a client. It is stored nowhere, and a lost response can be repeated.
fn secret(id: Id<Client>, keys: &KeySet) -> Result<String, Error> {
    let secret = keys.hmac(id.created_at(), "client-secret", id.to_string().as_bytes())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(secret))
}
