//! Parameters of OAuth 2.0 requests.

use std::collections::HashMap;

use crate::{auth::Scopes, error::OAuthError};

/// Parameters of a request, each at most once. Empty values count as absent, unknown names are ignored (RFC 6749,
/// section 3.1).
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// # Errors
    /// [`OAuthError::InvalidRequest`] if a parameter is repeated.
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

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns a parameter, or an error with the text `missing`.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn required(&self, name: &str, missing: &'static str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::InvalidRequest(missing))
    }

    /// Parses the requested scope, if there is one.
    ///
    /// # Errors
    /// [`OAuthError::InvalidScope`].
    pub fn scope(&self) -> Result<Option<Scopes>, OAuthError> {
        self.get("scope").map(Scopes::parse).transpose().map_err(|_| OAuthError::InvalidScope)
    }
}
