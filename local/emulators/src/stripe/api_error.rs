//! Stripe's errors: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>.

use serde_json::{Value, json};

/// An error response.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: u16,
    /// The value of `error`.
    pub error: Value,
    /// The intent to include.
    pub intent: Option<String>,
    /// True if the idempotency key repeats this error, as after any execution has begun.
    pub is_kept: bool,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let error = json!({"type": kind, "message": message.into()});
        Self { status, error, intent: None, is_kept: true }
    }

    /// Conflicts with the state.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// An invalid parameter. Nothing was executed.
    pub fn parameter(code: &str, name: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).code(code).about(name).not_kept()
    }

    /// A missing parameter.
    pub fn missing_parameter(name: &str) -> Self {
        Self::parameter("parameter_missing", name, format!("Missing required param: {name}."))
    }

    /// An unknown object.
    pub fn missing(what: &str, id: &str, param: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self::new(404, "invalid_request_error", message).code("resource_missing").about(param)
    }

    /// An unknown payment method: 400, since it is not part of the path.
    pub fn unknown_payment_method(id: &str) -> Self {
        Self { status: 400, ..Self::missing("PaymentMethod", id, "payment_method") }
    }

    /// A transition that the intent's status forbids.
    pub fn unexpected_state(intent: &str, message: String) -> Self {
        let refusal = Self::invalid(message).code("payment_intent_unexpected_state");
        refusal.with(intent)
    }

    /// A declined card.
    pub fn declined(decline_code: &str, message: &str, intent: &str) -> Self {
        let declined = Self::new(402, "card_error", message).code("card_declined");
        declined.member("decline_code", decline_code).with(intent)
    }

    /// A failed 3-D Secure.
    pub fn not_authenticated() -> Self {
        let message = "The provided PaymentMethod has failed authentication.";
        Self::new(402, "card_error", message).code("payment_intent_authentication_failure")
    }

    /// Rate limited, before the idempotency key is read.
    pub fn rate_limited() -> Self {
        let message = "Request rate limit exceeded. Try again with an exponential backoff.";
        Self::new(429, "invalid_request_error", message).code("rate_limit").not_kept()
    }

    /// A failure of Stripe. The request may be retried with the same key.
    pub fn broken() -> Self {
        let message = "Sorry! There was an error while talking to one of our backends.";
        Self::new(500, "api_error", message).not_kept()
    }

    /// A missing or wrong API key.
    pub fn unauthorized(message: &str) -> Self {
        Self::new(401, "invalid_request_error", message).not_kept()
    }

    /// The key belongs to another request.
    pub fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters and the same endpoint they were \
             first used with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, "idempotency_error", message).not_kept()
    }

    /// The first request with the key is in progress.
    pub fn key_in_use(key: &str) -> Self {
        let message =
            format!("There is currently another in-progress request using the Idempotent Key '{key}'.");
        Self::new(409, "idempotency_error", message).code("idempotency_key_in_use").not_kept()
    }

    /// An unknown method or path.
    pub fn unknown_url(method: &str, path: &str) -> Self {
        let message =
            format!("Unrecognized request URL ({method}: {path}); cargo shop knows the part that it needs.");
        Self::new(404, "invalid_request_error", message).not_kept()
    }

    /// Stripe's name of it: <https://docs.stripe.com/error-codes>.
    pub fn code(self, code: &str) -> Self {
        self.member("code", code)
    }

    /// Names the invalid parameter.
    pub fn about(self, param: &str) -> Self {
        self.member("param", param)
    }

    /// Includes the intent in the response.
    pub fn with(self, intent: &str) -> Self {
        Self { intent: Some(intent.to_owned()), ..self }
    }

    /// Returns the message.
    pub fn message(&self) -> &str {
        self.error["message"].as_str().unwrap_or_default()
    }

    fn not_kept(self) -> Self {
        Self { is_kept: false, ..self }
    }

    fn member(mut self, name: &str, value: &str) -> Self {
        self.error[name] = json!(value);
        self
    }
}
