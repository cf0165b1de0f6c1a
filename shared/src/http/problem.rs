//! Errors as clients see them: problem details (RFC 9457).

use lambda_http::http::{
    HeaderName, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::Answer;
use crate::{
    domain::{input::Invalid, money::Money, payment::Payment},
    error::{Error, OAuthError, ShortLine},
    oauth,
};

/// A problem; its members are fixed by the contract.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Invalid]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<&'a [ShortLine]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<&'a Payment>,
}

/// The one place that chooses status codes.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::TokenRequired
        | Error::InvalidToken
        | Error::InvalidCredentials
        | Error::InvalidSignature
        | Error::OAuth(OAuthError::InvalidClient) => StatusCode::UNAUTHORIZED,
        Error::MalformedJson(_)
        | Error::InvalidCursor
        | Error::IdempotencyKeyRequired
        | Error::InvalidIdempotencyKey
        | Error::OAuth(_) => StatusCode::BAD_REQUEST,
        Error::InsufficientScope(_) => StatusCode::FORBIDDEN,
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::SkuTaken
        | Error::InsufficientStock { .. }
        | Error::OwnAccount
        | Error::OutOfStock(_)
        | Error::PriceChanged(_)
        | Error::Order(_)
        | Error::PaymentVoided
        | Error::RefundRefused
        | Error::CaptureRefused
        | Error::OrderOpen => StatusCode::CONFLICT,
        Error::CardDeclined(_) | Error::AuthorizationExpired => StatusCode::PAYMENT_REQUIRED,
        Error::TokenExpired => StatusCode::GONE,
        Error::StaleVersion => StatusCode::PRECONDITION_FAILED,
        Error::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Invalid(_) | Error::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::IfMatchRequired => StatusCode::PRECONDITION_REQUIRED,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// How an operation puts errors.
#[derive(Clone, Copy)]
pub enum Style {
    /// As problems.
    Problem,
    /// As OAuth 2.0 does (RFC 6749, section 5.2).
    OAuth,
    /// As a page, for a person.
    Page,
}

/// The answer that an error becomes. What stands inside of it for the log stays there.
pub(super) fn answer(error: &Error, style: Style, request_id: &str) -> Answer {
    let status = status(error);
    let answer = match style {
        Style::Problem => problem(error, status, request_id),
        Style::OAuth => refusal(error, status),
        Style::Page => {
            let title = if status.is_server_error() { "We are sorry" } else { "This does not work" };
            Answer::html_with(status, oauth::error_page(title, &error.to_string()))
        }
    };
    let answer = answer.and_then(|answer| match header(error) {
        Some((name, value)) => answer.header(name, &value),
        None => Ok(answer),
    });
    // Plain strings can always be written; were it not so, the status would still tell.
    answer.unwrap_or_else(|_| Answer::bare(status))
}

fn problem(error: &Error, status: StatusCode, request_id: &str) -> Result<Answer, Error> {
    let declined = if let Error::CardDeclined(payment) = error { Some(&**payment) } else { None };
    let problem = Problem {
        r#type: format!("urn:problem-type:lambda-shop:{}", error.code()),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.to_string(),
        code: error.code(),
        request_id,
        errors: if let Error::Invalid(errors) = error { Some(errors) } else { None },
        lines: if let Error::OutOfStock(lines) = error { Some(lines) } else { None },
        total: if let Error::PriceChanged(total) = error { Some(*total) } else { None },
        decline_code: declined.and_then(|payment| payment.decline_code.as_deref()),
        payment: declined,
        available: if let Error::InsufficientStock { available } = error { Some(*available) } else { None },
    };
    Answer::json(status, "application/problem+json", &problem)
}

fn refusal(error: &Error, status: StatusCode) -> Result<Answer, Error> {
    #[derive(Serialize)]
    struct Refusal {
        error: &'static str,
        error_description: String,
    }
    let code = match error {
        Error::OAuth(error) => error.code(),
        Error::Unavailable(_) => "temporarily_unavailable",
        Error::Internal(_) => "server_error",
        _ => "invalid_request",
    };
    Answer::json(status, "application/json", &Refusal { error: code, error_description: error.to_string() })
}

fn header(error: &Error) -> Option<(HeaderName, String)> {
    match error {
        // RFC 6750, section 3.
        Error::TokenRequired | Error::InvalidCredentials => {
            Some((WWW_AUTHENTICATE, "Bearer realm=\"lambda-shop\"".to_owned()))
        }
        Error::InvalidToken => {
            Some((WWW_AUTHENTICATE, "Bearer realm=\"lambda-shop\", error=\"invalid_token\"".to_owned()))
        }
        Error::InsufficientScope(scope) => Some((
            WWW_AUTHENTICATE,
            format!("Bearer realm=\"lambda-shop\", error=\"insufficient_scope\", scope=\"{scope}\""),
        )),
        // RFC 6749, section 5.2.
        Error::OAuth(OAuthError::InvalidClient) => {
            Some((WWW_AUTHENTICATE, "Basic realm=\"lambda-shop\"".to_owned()))
        }
        Error::TooManyAttempts { retry_after_seconds } => {
            Some((RETRY_AFTER, retry_after_seconds.to_string()))
        }
        Error::Unavailable(_) => Some((RETRY_AFTER, "1".to_owned())),
        _ => None,
    }
}
