//! Authorization requests (RFC 6749, section 4.1.1).

use super::{parameters::Parameters, registry::Registry};
use crate::{
    auth::{FIRST_PARTY, Scope, Scopes},
    config::{self, ConfigError},
    domain::client::RedirectUri,
    error::{Error, OAuthError},
    store::{clients::Clients, codes::Consent},
};

/// A valid authorization request.
#[derive(Clone, Debug)]
pub struct Authorization {
    pub client_name: String,
    /// Consent that the user is asked for.
    pub consent: Consent,
    pub state: Option<String>,
    issuer: String,
}

/// Why an authorization request fails.
#[derive(Debug)]
pub enum AuthorizationError {
    /// Client or redirect URI is unknown, so the user must not be redirected.
    Page(Error),
    /// The client gets the error by a redirect to this address.
    Redirect(String),
}

impl<E: Into<Error>> From<E> for AuthorizationError {
    fn from(error: E) -> Self {
        Self::Page(error.into())
    }
}

/// Validates authorization requests.
pub struct Authorizer {
    registry: Registry,
    storefront: String,
    issuer: String,
}

/// A client that may request authorization.
struct RequestingClient {
    name: String,
    scope: Scopes,
    redirect_uris: Vec<RedirectUri>,
}

impl Authorizer {
    /// # Errors
    /// `STOREFRONT_URL` or `PUBLIC_URL` is missing.
    pub fn new(clients: Clients) -> Result<Self, ConfigError> {
        let storefront = config::required("STOREFRONT_URL")?.trim_end_matches('/').to_owned();
        let issuer = config::issuer(&config::required("PUBLIC_URL")?);
        Ok(Self { registry: Registry::new(clients), storefront, issuer })
    }

    /// Validates a request.
    pub async fn read(&self, parameters: &Parameters) -> Result<Authorization, AuthorizationError> {
        let client_id = parameters.required("client_id", "client_id is missing.")?.to_owned();
        let client = self.client(&client_id).await?;
        let asked = parameters.required("redirect_uri", "redirect_uri is missing.")?;
        let redirect_uri = client.redirect_uris.into_iter().find(|registered| registered.as_str() == asked);
        let redirect_uri = redirect_uri
            .ok_or(OAuthError::InvalidRequest("redirect_uri is not registered for this client."))?;
        let state = parameters.get("state").map(str::to_owned);

        let failed = |error| {
            let location =
                back(&redirect_uri, ("error", OAuthError::code(error)), state.as_deref(), &self.issuer);
            AuthorizationError::Redirect(location)
        };
        match parameters.required("response_type", "response_type is missing.").map_err(failed)? {
            "code" => {}
            _ => return Err(failed(OAuthError::UnsupportedResponseType)),
        }
        let scope = parameters.scope().map_err(failed)?.unwrap_or_else(|| client.scope.clone());
        if !scope.are_within(&client.scope) {
            return Err(failed(OAuthError::InvalidScope));
        }
        const PKCE: &str = "code_challenge with code_challenge_method S256 is missing (RFC 7636).";
        let code_challenge = parameters.required("code_challenge", PKCE).map_err(failed)?.to_owned();
        let is_hash = code_challenge.len() == 43
            && code_challenge.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if parameters.get("code_challenge_method") != Some("S256") || !is_hash {
            return Err(failed(OAuthError::InvalidRequest(PKCE)));
        }
        let consent = Consent { client_id, redirect_uri: redirect_uri.clone(), scope, code_challenge };
        Ok(Authorization { client_name: client.name, consent, state, issuer: self.issuer.clone() })
    }

    /// Finds a client that may request authorization: the shop's own storefront, or one with redirect URIs.
    async fn client(&self, id: &str) -> Result<RequestingClient, Error> {
        const UNKNOWN: OAuthError = OAuthError::InvalidRequest(
            "client_id is unknown, or this client can't use the authorization code grant.",
        );
        if id == FIRST_PARTY {
            let callback = RedirectUri::parse(&format!("{}/oauth/callback", self.storefront));
            let callback = callback.map_err(|_| Error::internal("STOREFRONT_URL is not an https URL"))?;
            return Ok(RequestingClient {
                name: "The shop's own site".to_owned(),
                scope: Scopes::from(&Scope::DELEGABLE[..]),
                redirect_uris: vec![callback],
            });
        }
        let client = self.registry.find(id).await?.ok_or(UNKNOWN)?;
        Ok(RequestingClient { name: client.name, scope: client.scope, redirect_uris: client.redirect_uris })
    }
}

impl Authorization {
    /// Returns the redirect after the user has consented.
    pub fn agreed(&self, code: &str) -> String {
        self.back(("code", code))
    }

    /// Returns the redirect after the user has declined.
    pub fn denied(&self) -> String {
        self.back(("error", OAuthError::AccessDenied.code()))
    }

    fn back(&self, result: (&str, &str)) -> String {
        back(&self.consent.redirect_uri, result, self.state.as_deref(), &self.issuer)
    }
}

/// Returns the client's address with the result, the client's state, and the issuer (RFC 9207).
fn back(redirect_uri: &RedirectUri, result: (&str, &str), state: Option<&str>, issuer: &str) -> String {
    let mut parameters = vec![result];
    parameters.extend(state.map(|state| ("state", state)));
    parameters.push(("iss", issuer));
    redirect_uri.with(&parameters)
}
