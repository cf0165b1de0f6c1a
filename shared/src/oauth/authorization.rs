//! Authorization requests (RFC 6749, section 4.1.1): a client sends a person here to be let in.

use super::{Parameters, Registry};
use crate::{
    auth::{FIRST_PARTY, Scope, Scopes},
    config::{self, ConfigError},
    domain::client::RedirectUri,
    error::{Error, OAuthError},
    store::{clients::Clients, codes::Consent},
};

/// What a client asks of a person.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// What people call the client.
    pub client_name: String,
    /// What the client gets if the person agrees.
    pub consent: Consent,
    /// What the client wants to hear again.
    pub state: Option<String>,
    issuer: String,
}

/// Why a person is asked nothing.
#[derive(Debug)]
pub enum Unanswerable {
    /// Nobody knows where the person comes from, so they are told, and stay.
    Here(Error),
    /// The client has made a mistake, and is told: the address to go on to.
    AtTheClient(String),
}

impl<E: Into<Error>> From<E> for Unanswerable {
    fn from(error: E) -> Self {
        Self::Here(error.into())
    }
}

/// What judges authorization requests.
pub struct Authorizer {
    registry: Registry,
    storefront: String,
    issuer: String,
}

/// Opens it.
///
/// # Errors
/// Where `STOREFRONT_URL` or `PUBLIC_URL` is missing.
pub fn authorizer(clients: Clients) -> Result<Authorizer, ConfigError> {
    let (storefront, issuer) =
        (config::required("STOREFRONT_URL")?, config::issuer(&config::required("PUBLIC_URL")?));
    Ok(Authorizer {
        registry: Registry::new(clients),
        storefront: storefront.trim_end_matches('/').to_owned(),
        issuer,
    })
}

/// A client that sends people here.
struct Asking {
    name: String,
    scope: Scopes,
    redirect_uris: Vec<RedirectUri>,
}

impl Authorizer {
    /// Reads a request and judges it.
    ///
    /// # Errors
    /// [`Unanswerable`].
    pub async fn read(&self, parameters: &Parameters) -> Result<Authorization, Unanswerable> {
        let client_id = parameters.required("client_id", "client_id is missing.")?.to_owned();
        let client = self.client(&client_id).await?;
        let asked = parameters.required("redirect_uri", "redirect_uri is missing.")?;
        let redirect_uri = client.redirect_uris.into_iter().find(|registered| registered.as_str() == asked);
        let redirect_uri = redirect_uri.ok_or(OAuthError::InvalidRequest(
            "redirect_uri is not one that is registered for the client.",
        ))?;
        let state = parameters.get("state").map(str::to_owned);

        let refused = |error| {
            let location =
                back(&redirect_uri, ("error", OAuthError::code(error)), state.as_deref(), &self.issuer);
            Unanswerable::AtTheClient(location)
        };
        match parameters.required("response_type", "response_type is missing.").map_err(refused)? {
            "code" => {}
            _ => return Err(refused(OAuthError::UnsupportedResponseType)),
        }
        let scope = parameters.scope().map_err(refused)?.unwrap_or_else(|| client.scope.clone());
        if !scope.are_within(&client.scope) {
            return Err(refused(OAuthError::InvalidScope));
        }
        const PKCE: &str = "code_challenge with code_challenge_method S256 is missing (RFC 7636).";
        let code_challenge = parameters.required("code_challenge", PKCE).map_err(refused)?.to_owned();
        let is_hash = code_challenge.len() == 43
            && code_challenge.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if parameters.get("code_challenge_method") != Some("S256") || !is_hash {
            return Err(refused(OAuthError::InvalidRequest(PKCE)));
        }
        let consent = Consent { client_id, redirect_uri: redirect_uri.clone(), scope, code_challenge };
        Ok(Authorization { client_name: client.name, consent, state, issuer: self.issuer.clone() })
    }

    /// A client that sends people here: the shop's own front, or one that is registered with redirect URIs.
    async fn client(&self, id: &str) -> Result<Asking, Error> {
        const UNKNOWN: OAuthError =
            OAuthError::InvalidRequest("client_id is not that of a client that may ask.");
        if id == FIRST_PARTY {
            let callback = RedirectUri::parse(&format!("{}/oauth/callback", self.storefront));
            let callback = callback.map_err(|_| Error::internal("STOREFRONT_URL is no https URL"))?;
            return Ok(Asking {
                name: "The shop's own site".to_owned(),
                scope: Scopes::from(&Scope::DELEGABLE[..]),
                redirect_uris: vec![callback],
            });
        }
        let client = self.registry.find(id).await?.ok_or(UNKNOWN)?;
        Ok(Asking { name: client.name, scope: client.scope, redirect_uris: client.redirect_uris })
    }
}

impl Authorization {
    /// Where the person goes on to once they have agreed.
    pub fn agreed(&self, code: &str) -> String {
        self.back(("code", code))
    }

    /// Where the person goes on to if they don't agree.
    pub fn denied(&self) -> String {
        self.back(("error", OAuthError::AccessDenied.code()))
    }

    fn back(&self, result: (&str, &str)) -> String {
        back(&self.consent.redirect_uri, result, self.state.as_deref(), &self.issuer)
    }
}

/// The client's address with what it has to know: the result, its own state, and who answers (RFC 9207).
fn back(redirect_uri: &RedirectUri, result: (&str, &str), state: Option<&str>, issuer: &str) -> String {
    let mut parameters = vec![result];
    parameters.extend(state.map(|state| ("state", state)));
    parameters.push(("iss", issuer));
    redirect_uri.with(&parameters)
}
