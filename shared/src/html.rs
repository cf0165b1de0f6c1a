//! HTML pages and their Content-Security-Policies.

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};

#[derive(Clone, Debug)]
pub struct Html {
    pub document: String,
    /// Content-Security-Policy that allows only what the page itself contains.
    pub policy: String,
}

/// Returns the source expression of an inline style or script.
pub fn source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())))
}
