//! Redirect URIs of OAuth clients.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::validation::{self, Violation};

/// Parameters of an authorization response (RFC 6749, sections 4.1.2 and 4.1.2.1; RFC 9207).
const APPENDED: [&str; 6] = ["code", "state", "iss", "error", "error_description", "error_uri"];
/// Schemes with which browsers run or show content of the URL itself.
const CONTENT_SCHEMES: [&str; 6] = ["javascript", "data", "vbscript", "file", "blob", "about"];

/// A redirect URI, which is compared as a string (RFC 9700, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Accepts https, http on loopback, or a private-use scheme, which is a reversed domain name (RFC 8252, section 7), without
    /// fragment, user information, wildcards and the parameters that the shop appends, up to 500 characters.
    ///
    /// # Errors
    /// [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        const FORM: Violation = Violation::Format(
            "an https URL, an http URL of a loopback address, or a URI with a reversed domain name as scheme, without a \
             fragment, `*` and parameters such as code and state",
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
            other => is_reversed_domain(other),
        };
        let plain =
            text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['"', '<', '>', '\\', '#', '*']);
        let anonymous = url.username().is_empty() && url.password().is_none();
        let free = url.query_pairs().all(|(name, _)| !APPENDED.contains(&&*name));
        if scheme && plain && anonymous && free && url.port() != Some(0) { Ok(Self(text)) } else { Err(FORM) }
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

/// Returns whether a scheme is like `com.example.app`.
fn is_reversed_domain(scheme: &str) -> bool {
    let mut labels = scheme.split('.');
    let first = labels.clone().next().unwrap_or(scheme);
    let well_formed = |label: &str| {
        let letter_or_digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        letter_or_digit(label.as_bytes().first()) && letter_or_digit(label.as_bytes().last())
    };
    labels.clone().count() >= 2 && labels.all(well_formed) && !CONTENT_SCHEMES.contains(&first)
}
