//! The API's documentation: the OpenAPI document and the reference page.

use crate::{
    auth::hash,
    config::{self, ConfigError},
    html::source,
};

/// A document that changes only with a deployment.
pub struct Document {
    pub media_type: &'static str,
    pub text: String,
    /// Its own Content-Security-Policy, if it has one.
    pub policy: Option<String>,
    /// Hash of the content, for the ETag.
    pub version: String,
}

impl Document {
    fn new(media_type: &'static str, text: String, policy: Option<String>) -> Self {
        let version = hash(text.as_bytes());
        Self { media_type, text, policy, version }
    }

    /// Makes the OpenAPI document from openapi.json: on one line, with this deployment as its only server.
    ///
    /// # Errors
    /// `PUBLIC_URL` is missing.
    pub fn openapi(written: &str) -> Result<Self, ConfigError> {
        let url = config::issuer(&config::required("PUBLIC_URL")?);
        // `cargo shop tidy` writes every value on its own line.
        let mut lines = written.lines();
        let mut text = String::with_capacity(written.len());
        while let Some(line) = lines.next() {
            text.push_str(line.trim_start());
            if line == SERVERS {
                text.push_str(&serde_json::json!({ "url": url }).to_string());
                text.extend(lines.by_ref().find(|line| *line == SERVERS_END).map(str::trim_start));
            }
        }
        Ok(Self::new("application/json", text, None))
    }

    /// Makes the page from HTML with an empty style and script element.
    pub fn page(html: &str, style: &str, script: &str) -> Self {
        let text = html.replacen("<style>", &format!("<style>{style}"), 1).replacen(
            "<script>",
            &format!("<script>{script}"),
            1,
        );
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; form-action 'none'; \
             base-uri 'none'; frame-ancestors 'none'",
            source(script),
            source(style)
        );
        Self::new("text/html; charset=utf-8", text, Some(policy))
    }
}

/// First and last line of the list of servers in openapi.json.
const SERVERS: &str = "  \"servers\": [";
const SERVERS_END: &str = "  ],";
