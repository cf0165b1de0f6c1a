//! Redirect URIs of OAuth clients.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::validation::{self, Violation};

/// A redirect URI, which is compared as a string (RFC 9700, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Accepts https, http on loopback, or a private-use scheme, which has a dot (RFC 8252, section 7), without fragment and
    /// user information, up to 500 characters.
    ///
    /// # Errors
    /// [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        const FORM: Violation = Violation::Format(
            "an https URL, an http URL of a loopback address, or a private-use URI scheme, without a fragment",
        );
        let text = validation::line(text, 1, 500)?;
        let url = Url::parse(&text).map_err(|_| FORM)?;
        let scheme = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => match url.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            },
            other => other.contains('.'),
        };
        let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['"', '<', '>', '\\', '#']);
        let anonymous = url.username().is_empty() && url.password().is_none();
        if scheme && plain && anonymous { Ok(Self(text)) } else { Err(FORM) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its source expression in a Content-Security-Policy: origin or private-use scheme.
    pub fn source(&self) -> String {
        match Url::parse(&self.0) {
            Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
            Ok(url) => format!("{}:", url.scheme()),
            Err(_) => "'none'".to_owned(),
        }
    }

    /// Appends parameters.
    pub fn with(&self, parameters: &[(&str, &str)]) -> String {
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let separator = if self.0.contains('?') { '&' } else { '?' };
        format!("{}{separator}{encoded}", self.0)
    }
}
