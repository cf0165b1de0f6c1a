//! Credentials of OAuth clients.

use super::parameters::Parameters;
use crate::{auth::FIRST_PARTY, error::OAuthError};

/// Id and secret that a client sends (RFC 6749, section 2.3.1).
pub struct ClientCredentials {
    pub(super) id: Option<String>,
    pub(super) secret: Option<String>,
}

impl ClientCredentials {
    /// Reads them from the header (`basic`) or from the body.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] if both have them.
    pub fn read(basic: Option<(String, String)>, form: &Parameters) -> Result<Self, OAuthError> {
        let (id, secret) = (form.get("client_id"), form.get("client_secret"));
        match basic {
            None => Ok(Self { id: id.map(str::to_owned), secret: secret.map(str::to_owned) }),
            Some((name, password)) if secret.is_none() && id.is_none_or(|id| id == name) => {
                Ok(Self { id: Some(name), secret: Some(password).filter(|password| !password.is_empty()) })
            }
            Some(_) => Err(OAuthError::InvalidRequest(
                "Send the client credentials once, in the header or in the body.",
            )),
        }
    }

    pub fn named(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Returns the id of a public client; that of the shop's own storefront by default.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] if there is a secret, which public clients don't have.
    pub fn public(&self) -> Result<&str, OAuthError> {
        if self.secret.is_some() {
            return Err(OAuthError::InvalidClient);
        }
        Ok(self.id.as_deref().unwrap_or(FIRST_PARTY))
    }
}
