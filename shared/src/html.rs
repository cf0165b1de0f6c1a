//! Pages for people, and the policies under which browsers show them.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};

/// A page, and the policy under which browsers show it.
#[derive(Clone, Debug)]
pub struct Html {
    /// The document.
    pub document: String,
    /// Its Content-Security-Policy: what it holds itself, and nothing from elsewhere.
    pub policy: String,
}

/// How a Content-Security-Policy names a style or script that stands in the page itself.
pub fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}
