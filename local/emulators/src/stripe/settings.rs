use std::time::Duration;

/// The shop's account at Stripe.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The secret key of requests.
    pub api_key: String,
    /// The secret that signs webhooks.
    pub webhook_secret: String,
    /// Delay of a webhook, and of a late decline or dispute, after its cause.
    pub delay: Duration,
    /// Port to listen on, 0 for any free one.
    pub port: u16,
}

impl Settings {
    pub fn new(api_key: &str, webhook_secret: &str) -> Self {
        let (api_key, webhook_secret) = (api_key.to_owned(), webhook_secret.to_owned());
        Self { api_key, webhook_secret, delay: Duration::from_millis(300), port: 0 }
    }
}
