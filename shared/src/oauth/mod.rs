//! OAuth 2.0 (RFC 6749, with RFC 7636 and RFC 9700): what clients ask for, and whether they may.

mod authorization;
mod page;

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future;
use serde::Serialize;
use serde_json::{Map, Value};

pub use authorization::{Authorization, Authorizer, Unanswerable, authorizer};
pub use page::error as error_page;

use crate::{
    auth::{ACCESS_TOKEN_SECONDS, FIRST_PARTY, Grant, KeySet, Scope, Scopes, hash},
    config::{self, ConfigError},
    domain::{
        client::RedirectUri,
        id::Id,
        input::{self, Fault, Object},
        time::Timestamp,
        user::{Actor, Client},
    },
    error::{Error, OAuthError},
    secrets::{self, Issuer},
    store::{
        clients::{ClientItem, Clients},
        sessions::Opened,
    },
};

/// The parameters of a request, each at most once (RFC 6749, section 3.1). One without a value counts as not sent, and
/// an unknown one is ignored.
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// Reads them.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn read(pairs: impl Iterator<Item = (String, String)>) -> Result<Self, OAuthError> {
        let mut parameters = HashMap::new();
        for (name, value) in pairs {
            if parameters.insert(name, value).is_some() {
                return Err(OAuthError::InvalidRequest("A parameter is repeated."));
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        Ok(Self(parameters))
    }

    /// A parameter's value, if it was sent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter's value. `missing` says that there must be one.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn required(&self, name: &str, missing: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::InvalidRequest(missing))
    }

    /// The scopes that are asked for, if any are named.
    ///
    /// # Errors
    /// [`OAuthError::InvalidScope`].
    pub fn scope(&self) -> Result<Option<Scopes>, OAuthError> {
        self.get("scope").map(Scopes::parse).transpose().map_err(|_| OAuthError::InvalidScope)
    }
}

/// Which client says that it is asking, and with which secret (RFC 6749, section 2.3.1).
pub struct ClientCredentials {
    id: Option<String>,
    secret: Option<String>,
}

impl ClientCredentials {
    /// Takes them from the header, as `basic` has it, or from the body; never from both.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn read(basic: Option<(String, String)>, form: &Parameters) -> Result<Self, OAuthError> {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        match basic {
            None => Ok(Self { id: id.map(str::to_owned), secret: secret.map(str::to_owned) }),
            Some((name, password)) if secret.is_none() && id.is_none_or(|id| id == name) => {
                Ok(Self { id: Some(name), secret: Some(password).filter(|password| !password.is_empty()) })
            }
            Some(_) => Err(OAuthError::InvalidRequest(
                "Send the client's credentials once: in the header or in the body.",
            )),
        }
    }

    /// The client that is named.
    pub fn named(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The client that tokens of people are given to: the shop's own front where none is named.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] where there is a secret, which none of those has.
    pub fn public(&self) -> Result<&str, OAuthError> {
        if self.secret.is_some() {
            return Err(OAuthError::InvalidClient);
        }
        Ok(self.id.as_deref().unwrap_or(FIRST_PARTY))
    }
}

/// What tokens are made with.
pub struct Tokens {
    issuer: Issuer,
    keys: secrets::Keys,
}

impl Tokens {
    /// The keys that sign access tokens, and those that derive refresh tokens.
    pub fn new(issuer: Issuer, keys: secrets::Keys) -> Self {
        Self { issuer, keys }
    }

    /// The keys that derive refresh tokens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where they can't be read.
    pub async fn keys(&self) -> Result<Arc<KeySet>, Error> {
        self.keys.get().await
    }

    /// The tokens of a session.
    ///
    /// # Errors
    /// As for [`Issuer::issue`].
    pub async fn of_session(&self, opened: &Opened, now: Timestamp) -> Result<TokenAnswer, Error> {
        let refresh_token = opened.refresh_token.write(&*self.keys.get().await?, now)?;
        Ok(TokenAnswer { refresh_token: Some(refresh_token), ..self.of_client(&opened.grant, now).await? })
    }

    /// The token of a program that acts in its own name: when it has expired, the program's secret gets another.
    ///
    /// # Errors
    /// As for [`Issuer::issue`].
    pub async fn of_client(&self, grant: &Grant, now: Timestamp) -> Result<TokenAnswer, Error> {
        Ok(TokenAnswer {
            access_token: self.issuer.issue(grant, now).await?,
            token_type: "Bearer",
            expires_in: ACCESS_TOKEN_SECONDS,
            refresh_token: None,
            scope: grant.scope.clone(),
        })
    }
}

/// The clients, and what is known of the shop's own front.
pub struct Registry {
    clients: Clients,
}

impl Registry {
    /// The clients that are registered.
    pub fn new(clients: Clients) -> Self {
        Self { clients }
    }

    /// Does something for a client that people's tokens are given to, and sees at the same time that it is still there.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`]; those of what is done.
    pub async fn while_public<T>(
        &self,
        client_id: &str,
        done: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let (known, done) = future::join(self.check_public(client_id), done).await;
        known.and(done)
    }

    async fn check_public(&self, client_id: &str) -> Result<(), Error> {
        if client_id == FIRST_PARTY {
            return Ok(());
        }
        let client = self.find(client_id).await?.ok_or(OAuthError::InvalidClient)?;
        if client.secret_hash.is_some() { Err(OAuthError::UnauthorizedClient.into()) } else { Ok(()) }
    }

    /// What a program gets in its own name: the scopes that it asks for, of those that it was granted.
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
        let expected = client.secret_hash.as_deref().ok_or(OAuthError::UnauthorizedClient)?;
        // Hashes of secrets with 256 random bits: how long their comparison takes tells nothing.
        if credentials.secret.as_deref().map(|secret| hash(secret.as_bytes())).as_deref() != Some(expected) {
            return Err(OAuthError::InvalidClient.into());
        }
        let scope = scope.unwrap_or_else(|| client.scope.clone());
        if !scope.are_within(&client.scope) {
            return Err(OAuthError::InvalidScope.into());
        }
        Ok(Grant { subject: Actor::Client(client.id), client_id: id.to_owned(), session: None, scope })
    }

    async fn find(&self, client_id: &str) -> Result<Option<ClientItem>, Error> {
        match client_id.parse() {
            Ok(id) => self.clients.get(id).await,
            Err(_) => Ok(None),
        }
    }
}

/// What somebody sends to register a client.
#[derive(Clone, Debug, Serialize)]
pub struct NewClient {
    name: String,
    scope: Scopes,
    redirect_uris: Vec<RedirectUri>,
}

impl NewClient {
    /// Reads it from a client's object. With redirect URIs it is for people, who let it do a few things in their name;
    /// without, it is a program by itself.
    pub fn read(body: &mut Object) -> Option<Self> {
        let name = body.field("name").text(|text| input::line(text, 1, 100));
        let redirect_uris = body
            .field("redirect_uris")
            .or(Vec::new(), |field| field.list(10, |uri| uri.text(RedirectUri::parse)));
        let (allowed, expected): (&[Scope], _) = match redirect_uris.as_deref() {
            Some([]) => (&Scope::MACHINE, "of the scopes that a program can have"),
            Some(_) => (&Scope::DELEGABLE, "of orders:own and profile:read, since it has redirect URIs"),
            // Which kind it is to be can't be told.
            None => (&Scope::ALL, "of the scopes that there are"),
        };
        let scope = body.field("scope").text(|text| {
            let scopes = Scopes::parse(text)?;
            if scopes.are_among(allowed) { Ok(scopes) } else { Err(Fault::Format(expected)) }
        });
        Some(Self { name: name?, scope: scope?, redirect_uris: redirect_uris? })
    }

    /// The client that it makes.
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
        Ok(ClientItem { id, name, scope, redirect_uris, secret_hash, created_at: now, created_by: by })
    }
}

/// A client as the staff see it, in the words of RFC 7591.
#[derive(Serialize)]
pub struct ClientView<'a> {
    client_id: Id<Client>,
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

/// The secret of a client: derived, so that it is at rest nowhere, and an answer that got lost can be given again.
///
/// # Errors
/// As for [`KeySet::at`].
fn secret(id: Id<Client>, keys: &KeySet) -> Result<String, Error> {
    let secret = keys.hmac(id.created_at(), "client-secret", id.to_string().as_bytes())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// Adds its secret to what is shown of a client, if it has one.
///
/// # Errors
/// As for [`KeySet::at`].
pub fn with_secret(shown: &str, keys: &KeySet) -> Result<String, Error> {
    let mut shown: Map<String, Value> = serde_json::from_str(shown).map_err(Error::internal)?;
    if shown.get("token_endpoint_auth_method").is_some_and(|method| method != "none") {
        let id = shown.get("client_id").and_then(|id| id.as_str()?.parse().ok());
        let id = id.ok_or_else(|| Error::internal("a client is shown without its id"))?;
        shown.insert("client_secret".to_owned(), secret(id, keys)?.into());
    }
    serde_json::to_string(&shown).map_err(Error::internal)
}

/// What a client gets, whatever it has shown for it (RFC 6749, section 5.1).
#[derive(Serialize)]
pub struct TokenAnswer {
    /// For the API.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// How many seconds the access token is good.
    pub expires_in: i64,
    /// For the next access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What the access token allows.
    pub scope: Scopes,
}

/// What clients may know of this authorization server (RFC 8414).
#[derive(Serialize)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<&'static str>,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 3],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
}

/// This server's metadata.
///
/// # Errors
/// Where `PUBLIC_URL` is missing.
pub fn metadata() -> Result<Metadata, ConfigError> {
    let issuer = config::issuer(&config::required("PUBLIC_URL")?);
    let at = |path: &str| format!("{issuer}/{path}");
    Ok(Metadata {
        authorization_endpoint: at("oauth/authorize"),
        token_endpoint: at("oauth/token"),
        revocation_endpoint: at("oauth/revoke"),
        jwks_uri: at(".well-known/jwks.json"),
        scopes_supported: Scope::ALL.map(Scope::as_str).to_vec(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "client_credentials", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
        revocation_endpoint_auth_methods_supported: ["none"],
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        issuer,
    })
}
