//! What can go wrong, in the shop's words. [`crate::http`] chooses the status that each becomes.

use std::error::Error as StdError;

use serde::Serialize;

use crate::domain::{
    id::Id, input::Invalid, inventory::Availability, money::Money, order::Refusal, payment::Payment,
    product::Product,
};

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not JSON.
    #[error("The body is not valid JSON: {0}.")]
    MalformedJson(String),
    /// The body's media type is none that the operation reads.
    #[error("Send the body as {0}.")]
    UnsupportedMediaType(&'static str),
    /// The body is larger than so many KiB.
    #[error("The body must be no larger than {0} KiB.")]
    BodyTooLarge(usize),
    /// Fields or parameters are invalid: all of them.
    #[error("The request has invalid fields: see `errors`.")]
    Invalid(Vec<Invalid>),
    /// The cursor is damaged, or belongs to another query.
    #[error("The cursor is not one that this list has given for this query. Start again without it.")]
    InvalidCursor,

    /// There is no access token.
    #[error("Send an access token: `Authorization: Bearer …`.")]
    TokenRequired,
    /// The access token is not one of ours, or no longer valid.
    #[error("The access token is invalid or has expired.")]
    InvalidToken,
    /// The access token's scope does not suffice; this one is needed.
    #[error("The access token lacks the scope `{0}`.")]
    InsufficientScope(&'static str),

    /// E-mail or password is wrong, or the account is none that may log in: nobody is told which.
    #[error("E-mail or password is wrong.")]
    InvalidCredentials,
    /// Too many wrong passwords came before this one.
    #[error("There were too many wrong passwords. Try again after the seconds in Retry-After.")]
    TooManyAttempts {
        /// When another one is checked.
        retry_after_seconds: i64,
    },
    /// What a mail has carried is used up, too old, or replaced.
    #[error("This link has been used, or has expired. Ask for a new one.")]
    TokenExpired,

    /// There is no such thing, or none that the caller may see.
    #[error("There is no such resource.")]
    NotFound,
    /// The change needs `If-Match`.
    #[error("Send `If-Match` with the ETag of the version that you mean to change.")]
    IfMatchRequired,
    /// The thing has changed since the caller read it.
    #[error("The resource has changed since you read it. Read it again and repeat your change.")]
    StaleVersion,

    /// The operation needs an idempotency key.
    #[error("Send an `Idempotency-Key` that is new for each thing you mean to do.")]
    IdempotencyKeyRequired,
    /// The idempotency key is no such key.
    #[error("An `Idempotency-Key` has 1 to 255 visible ASCII characters.")]
    InvalidIdempotencyKey,
    /// The idempotency key was used with another payload.
    #[error("This `Idempotency-Key` has been used with another payload.")]
    IdempotencyKeyReused,

    /// Another product has this SKU.
    #[error("Another product has this SKU.")]
    SkuTaken,
    /// Fewer pieces are available than the adjustment takes away.
    #[error("Only {available} pieces are available: the rest is reserved or not there.")]
    InsufficientStock {
        /// How many there are.
        available: i64,
    },

    /// Lines of the order ask for more than there is.
    #[error("There is not enough in stock: see `lines`.")]
    OutOfStock(Vec<ShortLine>),
    /// The order costs something else than the customer expects.
    #[error("The order costs {0} now. Show it to the customer, and order again.")]
    PriceChanged(Money),
    /// The order does not do that as things are.
    #[error(transparent)]
    Order(Refusal),
    /// The customer's bank has declined the payment.
    #[error("The card was declined.")]
    CardDeclined(Box<Payment>),
    /// The provider does not capture so much, or not now.
    #[error("The payment provider has refused the capture. The money is still reserved.")]
    CaptureRefused,
    /// What was reserved is not any more.
    #[error("The authorization has expired. Nothing was taken.")]
    AuthorizationExpired,
    /// This attempt to pay was called off, by a cancellation or because its outcome was in doubt for too long.
    #[error("This payment was called off; nothing was taken. Pay again with a new `Idempotency-Key`.")]
    PaymentVoided,
    /// The provider does not make this refund.
    #[error("The payment provider has refused the refund.")]
    RefundRefused,
    /// The account has an order that is not closed.
    #[error("An order of this account is still open. Cancel it, or wait until it has arrived.")]
    OrderOpen,
    /// A webhook is not the provider's, or too old.
    #[error("The signature is wrong, or too old.")]
    InvalidSignature,

    /// An admin would change their own role or status.
    #[error("Nobody can change their own role or status. Ask another admin.")]
    OwnAccount,

    /// A request of OAuth 2.0 is refused.
    #[error("{0}")]
    OAuth(#[from] OAuthError),

    /// Something below is overloaded, contended or out of reach. Nothing, or all of the effect, has happened; the
    /// caller may repeat the request.
    #[error("The shop can't answer right now. Repeat the request in a moment.")]
    Unavailable(#[source] Box<dyn StdError + Send + Sync>),
    /// A fault of the shop's own.
    #[error("Something went wrong on our side.")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
}

impl Error {
    /// A fault of the shop's own, for the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// The stable code that clients may switch on, documented in docs/errors.md.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedJson(_) => "malformed_json",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::Invalid(_) => "validation_failed",
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
            Self::OAuth(error) => error.code(),
            Self::OutOfStock(_) => "out_of_stock",
            Self::PriceChanged(_) => "price_changed",
            Self::Order(refusal) => match refusal {
                Refusal::NotPayable => "not_payable",
                Refusal::PaymentInProgress => "payment_in_progress",
                Refusal::NotCancellable => "not_cancellable",
                Refusal::NotCapturable => "not_capturable",
                Refusal::NotRefundable => "not_refundable",
                Refusal::NotFulfillable => "not_fulfillable",
                // These never come here: see the conversion below.
                Refusal::NotExpired | Refusal::Invalid(_) | Refusal::Illegal(_) => "internal_error",
            },
            Self::CardDeclined(_) => "card_declined",
            Self::CaptureRefused => "capture_refused",
            Self::AuthorizationExpired => "authorization_expired",
            Self::PaymentVoided => "payment_voided",
            Self::RefundRefused => "refund_refused",
            Self::OrderOpen => "order_open",
            Self::InvalidSignature => "invalid_signature",
            Self::SkuTaken => "sku_taken",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::Unavailable(_) => "temporarily_unavailable",
            Self::Internal(_) => "internal_error",
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(faults) => Self::Invalid(faults),
            Refusal::NotExpired | Refusal::Illegal(_) => Self::internal(refusal),
            other => Self::Order(other),
        }
    }
}

/// A line of an order that asks for more than there is.
#[derive(Clone, Debug, Serialize)]
pub struct ShortLine {
    /// The product.
    pub product_id: Id<Product>,
    /// Pieces asked for.
    pub requested: i64,
    /// What is left, as everybody may know it.
    pub availability: Availability,
}

/// Why a request of OAuth 2.0 is refused, in its own words (RFC 6749, sections 4.1.2.1 and 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthError {
    /// A parameter is missing, repeated, or can't be used.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The client is unknown, or its secret is wrong.
    #[error("The client is unknown, or its secret is wrong.")]
    InvalidClient,
    /// Code or refresh token is wrong, used, expired, or another client's.
    #[error("{0}")]
    InvalidGrant(&'static str),
    /// The client may not use this grant.
    #[error("The client may not use this grant.")]
    UnauthorizedClient,
    /// There is no such grant here.
    #[error("The grants here are authorization_code, refresh_token and client_credentials.")]
    UnsupportedGrantType,
    /// There is no such response here.
    #[error("The one response_type here is code.")]
    UnsupportedResponseType,
    /// A scope is unknown, or more than the client may have.
    #[error("A scope is unknown, or more than the client may have.")]
    InvalidScope,
    /// The person has said no.
    #[error("The request was denied.")]
    AccessDenied,
}

impl OAuthError {
    /// The `error` of the RFC.
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

/// An error and all its causes, in one line for the log.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
