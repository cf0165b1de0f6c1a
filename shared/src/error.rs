//! Errors of the shop. [`crate::http`] maps each to a status.

use std::error::Error as StdError;

use serde::Serialize;

use crate::domain::{
    id::Id,
    money::Money,
    order::OrderError,
    payment::Payment,
    product::{Availability, Product},
    validation::{FieldError, ValidationErrors},
};

/// Why an operation failed. The text goes to the client, except for internal causes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("The body is not valid JSON: {0}.")]
    MalformedJson(String),
    #[error("Send the body as {0}.")]
    UnsupportedMediaType(&'static str),
    /// Carries the limit in KiB.
    #[error("The body must be no larger than {0} KiB.")]
    BodyTooLarge(usize),
    #[error("The request has invalid fields, listed in `errors`.")]
    Validation(ValidationErrors),
    #[error("The cursor is invalid for this query. Start again without it.")]
    InvalidCursor,

    #[error("Send an access token: `Authorization: Bearer …`.")]
    TokenRequired,
    #[error("The access token is invalid or has expired.")]
    InvalidToken,
    #[error("The access token lacks the scope `{0}`.")]
    InsufficientScope(&'static str),

    /// Alike for an unknown address, a wrong password and a disabled account.
    #[error("Wrong e-mail address or password.")]
    InvalidCredentials,
    #[error("Too many wrong passwords. Try again after the number of seconds in Retry-After.")]
    TooManyAttempts { retry_after_seconds: i64 },
    /// A token from a mail is used up, expired or replaced.
    #[error("This link has been used or has expired. Request a new one.")]
    TokenExpired,

    /// Also for a resource that the caller may not see.
    #[error("The resource does not exist.")]
    NotFound,
    #[error("Send `If-Match` with the ETag of the version that you want to change.")]
    IfMatchRequired,
    #[error("The resource has changed since you read it. Read it again and retry.")]
    StaleVersion,

    #[error("Send an `Idempotency-Key`, a new one for each operation.")]
    IdempotencyKeyRequired,
    #[error("`Idempotency-Key` must be 1 to 255 visible ASCII characters, sent once.")]
    InvalidIdempotencyKey,
    #[error("This `Idempotency-Key` was already used with a different request.")]
    IdempotencyKeyReused,

    #[error("Another product already uses this SKU.")]
    SkuTaken,
    #[error("Only {available} available.")]
    InsufficientStock { available: i64 },

    #[error("Not enough in stock: see `lines`.")]
    OutOfStock(Vec<ShortLine>),
    /// The total is not the one that the customer expects.
    #[error("The order now costs {0}. Show the new total to the customer and order again.")]
    PriceChanged(Money),
    #[error(transparent)]
    Order(OrderError),
    #[error("The card was declined.")]
    CardDeclined(Box<Payment>),
    #[error("The payment provider refused the capture. The payment is still authorized.")]
    CaptureRefused,
    #[error("The authorization has expired. Nothing was charged.")]
    AuthorizationExpired,
    /// The order was cancelled, or the outcome of the payment was in doubt for too long.
    #[error("This payment was cancelled; nothing was charged. Pay again with a new `Idempotency-Key`.")]
    PaymentVoided,
    #[error("The payment provider refused the refund.")]
    RefundRefused,
    #[error("This account still has an open order. Cancel it, or wait until it is complete.")]
    OrderOpen,
    /// Otherwise the last admin could leave a shop that no one can run.
    #[error("Staff can't delete their account. Ask an admin to make you a customer first.")]
    StaffAccount,
    /// Two people have to agree on what happens to goods and money.
    #[error("This is your own order. Ask another member of staff.")]
    OwnOrder,
    /// A webhook is not signed by the provider, or too old.
    #[error("The signature is invalid or too old.")]
    InvalidSignature,

    #[error("You can't change your own role or status. Ask another admin.")]
    OwnAccount,

    #[error("This client has two secrets already. Delete the one that is no longer used.")]
    TooManySecrets,

    #[error("{0}")]
    OAuth(#[from] OAuthError),

    /// A dependency is overloaded, contended or unreachable. Either nothing or all of the effect has happened, so the client
    /// may retry.
    #[error("The service is temporarily unavailable. Retry in a moment.")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// A bug, or damaged data.
    #[error("Something went wrong on our side.")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// Makes an internal error. The cause goes only to the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// Returns the stable code that clients may switch on: see docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedJson(_) => "malformed_json",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::Validation(_) => "validation_failed",
            Self::InvalidCursor => "invalid_cursor",
            Self::TokenRequired => "token_required",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope(_) => "insufficient_scope",
            Self::NotFound => "not_found",
            Self::IfMatchRequired => "if_match_required",
            Self::StaleVersion => "stale_version",
            Self::IdempotencyKeyRequired => "idempotency_key_required",
            Self::InvalidIdempotencyKey => "invalid_idempotency_key",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::InvalidCredentials => "invalid_credentials",
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::TokenExpired => "token_expired",
            Self::OwnAccount => "own_account",
            Self::TooManySecrets => "too_many_secrets",
            Self::OAuth(error) => error.code(),
            Self::OutOfStock(_) => "out_of_stock",
            Self::PriceChanged(_) => "price_changed",
            Self::Order(error) => match error {
                OrderError::NotPayable => "not_payable",
                OrderError::PaymentInProgress => "payment_in_progress",
                OrderError::NotCancellable => "not_cancellable",
                OrderError::NotCapturable => "not_capturable",
                OrderError::NotRefundable => "not_refundable",
                OrderError::NotFulfillable => "not_fulfillable",
                OrderError::Disputed => "disputed",
                // The conversion below maps these to other errors.
                OrderError::NotExpired | OrderError::Invalid(_) | OrderError::Illegal(_) => "internal_error",
            },
            Self::CardDeclined(_) => "card_declined",
            Self::CaptureRefused => "capture_refused",
            Self::AuthorizationExpired => "authorization_expired",
            Self::PaymentVoided => "payment_voided",
            Self::RefundRefused => "refund_refused",
            Self::OrderOpen => "order_open",
            Self::StaffAccount => "staff_account",
            Self::OwnOrder => "own_order",
            Self::InvalidSignature => "invalid_signature",
            Self::SkuTaken => "sku_taken",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::Unavailable(_) => "temporarily_unavailable",
            Self::Internal(_) => "internal_error",
        }
    }
}

impl From<ValidationErrors> for Error {
    fn from(errors: ValidationErrors) -> Self {
        Self::Validation(errors)
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::Validation(error.into())
    }
}

impl From<OrderError> for Error {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Invalid(errors) => Self::Validation(errors),
            OrderError::NotExpired | OrderError::Illegal(_) => Self::internal(error),
            other => Self::Order(other),
        }
    }
}

/// A line of an order that exceeds the available stock.
#[derive(Clone, Debug, Serialize)]
pub struct ShortLine {
    pub product_id: Id<Product>,
    pub requested: i64,
    pub availability: Availability,
}

/// Errors of OAuth 2.0 (RFC 6749, sections 4.1.2.1 and 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    #[error("{0}")]
    InvalidRequest(&'static str),
    #[error("The client is unknown or its secret is wrong.")]
    InvalidClient,
    #[error("{0}")]
    InvalidGrant(&'static str),
    #[error("This client is not allowed to use this grant type.")]
    UnauthorizedClient,
    #[error("Supported grants are authorization_code, refresh_token and client_credentials.")]
    UnsupportedGrantType,
    #[error("The only supported response_type is code.")]
    UnsupportedResponseType,
    #[error("A scope is unknown, or the client may not have it.")]
    InvalidScope,
    #[error("The user denied the request.")]
    AccessDenied,
}

impl OAuthError {
    /// Returns the RFC's `error` code.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
        }
    }
}

/// Formats an error and all its causes in one line for the log.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
