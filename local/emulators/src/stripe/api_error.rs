//! Stripe's errors: <https://docs.stripe.com/api/errors>, <https://docs.stripe.com/error-codes>.

use serde_json::{Value, json};

/// An error as Stripe answers it.
#[derive(Debug)]
pub(super) struct ApiError {
    pub status: u16,
    /// What stands below `error`.
    pub error: Value,
    /// The intent that it is about, whose state belongs into the answer.
    pub intent: Option<String>,
    /// Whether the same idempotency key gives this answer again: it does where the execution had begun.
    pub is_kept: bool,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let error = json!({"type": kind, "message": message.into()});
        Self { status, error, intent: None, is_kept: true }
    }

    /// Something that does not fit what there is.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// A parameter that is wrong whatever there is; nothing was begun.
    pub fn parameter(code: &str, name: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).code(code).about(name).not_kept()
    }

    /// A parameter that must be there.
    pub fn missing_parameter(name: &str) -> Self {
        Self::parameter("parameter_missing", name, format!("Missing required param: {name}."))
    }

    /// There is no such thing.
    pub fn missing(what: &str, id: &str, param: &str) -> Self {
        let message = format!("No such {what}: '{id}'");
        Self::new(404, "invalid_request_error", message).code("resource_missing").about(param)
    }

    /// A payment method that Stripe does not know: a 400, since it is no part of the path.
    pub fn unknown_payment_method(id: &str) -> Self {
        Self { status: 400, ..Self::missing("PaymentMethod", id, "payment_method") }
    }

    /// The intent is in a state that forbids it.
    pub fn unexpected_state(intent: &str, message: String) -> Self {
        let refusal = Self::invalid(message).code("payment_intent_unexpected_state");
        refusal.with(intent)
    }

    /// The card was declined.
    pub fn declined(decline_code: &str, message: &str, intent: &str) -> Self {
        let declined = Self::new(402, "card_error", message).code("card_declined");
        declined.member("decline_code", decline_code).with(intent)
    }

    /// The customer did not prove to be the card's owner.
    pub fn not_authenticated() -> Self {
        let message = "The provided PaymentMethod has failed authentication.";
        Self::new(402, "card_error", message).code("payment_intent_authentication_failure")
    }

    /// Too many requests. It never got as far as the idempotency key.
    pub fn rate_limited() -> Self {
        let message = "Request rate limit exceeded. Try again with an exponential backoff.";
        Self::new(429, "invalid_request_error", message).code("rate_limit").not_kept()
    }

    /// Stripe is in trouble, and its idempotency key with it: the request can be repeated.
    pub fn broken() -> Self {
        let message = "Sorry! There was an error while talking to one of our backends.";
        Self::new(500, "api_error", message).not_kept()
    }

    /// No key, or a wrong one.
    pub fn unauthorized(message: &str) -> Self {
        Self::new(401, "invalid_request_error", message).not_kept()
    }

    /// The key was used for another request.
    pub fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters and the same endpoint they were \
             first used with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, "idempotency_error", message).not_kept()
    }

    /// The first request with the key is not answered yet.
    pub fn key_in_use(key: &str) -> Self {
        let message =
            format!("There is currently another in-progress request using the Idempotent Key '{key}'.");
        Self::new(409, "idempotency_error", message).code("idempotency_key_in_use").not_kept()
    }

    /// There is no such method of such a path.
    pub fn unknown_url(method: &str, path: &str) -> Self {
        let message =
            format!("Unrecognized request URL ({method}: {path}); cargo shop knows the part that it needs.");
        Self::new(404, "invalid_request_error", message).not_kept()
    }

    /// Stripe's name of it: <https://docs.stripe.com/error-codes>.
    pub fn code(self, code: &str) -> Self {
        self.member("code", code)
    }

    /// Names the parameter that is wrong.
    pub fn about(self, param: &str) -> Self {
        self.member("param", param)
    }

    /// Has the intent in the answer.
    pub fn with(self, intent: &str) -> Self {
        Self { intent: Some(intent.to_owned()), ..self }
    }

    /// What is said.
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
