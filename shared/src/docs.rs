//! What the API says of itself: its description for programs, and a page for people.

use crate::{
    auth::hash,
    config::{self, ConfigError},
    html::source,
};

/// What is the same for everybody until the next deployment.
pub struct Document {
    /// What it is.
    pub media_type: &'static str,
    /// The whole of it.
    pub text: String,
    /// Its Content-Security-Policy, where that is one of its own.
    pub policy: Option<String>,
    /// What names it for as long as it is the same.
    pub version: String,
}

impl Document {
    fn new(media_type: &'static str, text: String, policy: Option<String>) -> Self {
        let version = hash(text.as_bytes());
        Self { media_type, text, policy, version }
    }

    /// The API's description, from openapi.json: in one line, and with the one server that answers here.
    ///
    /// # Errors
    /// Where `PUBLIC_URL` is missing.
    pub fn openapi(written: &str) -> Result<Self, ConfigError> {
        let url = config::issuer(&config::required("PUBLIC_URL")?);
        // It is written with every value in a line of its own, as `cargo shop tidy` does.
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

    /// The page: HTML with an empty style and an empty script, and what belongs into them.
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

/// Where the list of servers begins and ends in openapi.json.
const SERVERS: &str = "  \"servers\": [";
const SERVERS_END: &str = "  ],";
