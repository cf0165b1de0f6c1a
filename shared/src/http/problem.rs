//! Errors as clients see them: problem details (RFC 9457).

use lambda_http::http::{
    HeaderName, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::response::Response;
use crate::{
    domain::{money::Money, payment::Payment, validation::ValidationErrors},
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
    errors: Option<&'a ValidationErrors>,
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
        Error::InsufficientScope(_) | Error::OwnOrder => StatusCode::FORBIDDEN,
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::SkuTaken
        | Error::InsufficientStock { .. }
        | Error::OwnAccount
        | Error::TooManySecrets
        | Error::OutOfStock(_)
        | Error::PriceChanged(_)
        | Error::Order(_)
        | Error::PaymentVoided
        | Error::RefundRefused
        | Error::CaptureRefused
        | Error::OrderOpen
        | Error::StaffAccount => StatusCode::CONFLICT,
        Error::CardDeclined(_) | Error::AuthorizationExpired => StatusCode::PAYMENT_REQUIRED,
        Error::TokenExpired => StatusCode::GONE,
        Error::StaleVersion => StatusCode::PRECONDITION_FAILED,
        Error::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Validation(_) | Error::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Error::TooManyAttempts { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::IfMatchRequired => StatusCode::PRECONDITION_REQUIRED,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Format of an operation's errors.
#[derive(Clone, Copy)]
pub enum ErrorFormat {
    /// Problem details (RFC 9457).
    Problem,
    /// RFC 6749, section 5.2.
    OAuth,
    /// An HTML page.
    Page,
}

impl Response {
    /// The problem that an error becomes, for an operation whose result can be an error. `request_id` is that of the request
    /// which had this result first.
    pub fn problem(error: &Error, request_id: &str) -> Self {
        response(error, ErrorFormat::Problem, request_id)
    }
}

/// Returns the response of an error. Internal causes go only to the log.
pub(super) fn response(error: &Error, format: ErrorFormat, request_id: &str) -> Response {
    let status = status(error);
    let response = match format {
        ErrorFormat::Problem => problem(error, status, request_id),
        ErrorFormat::OAuth => oauth_problem(error, status),
        ErrorFormat::Page => {
            let title = if status.is_server_error() {
                "Something went wrong"
            } else {
                "Something is wrong with this request"
            };
            Response::html_with(status, oauth::error_page(title, &error.to_string()))
        }
    };
    let response = response.and_then(|response| match header(error) {
        Some((name, value)) => response.header(name, &value),
        None => Ok(response),
    });
    // If even the problem can't be serialized, the bare status remains.
    response.unwrap_or_else(|_| Response::bare(status))
}

fn problem(error: &Error, status: StatusCode, request_id: &str) -> Result<Response, Error> {
    let declined = if let Error::CardDeclined(payment) = error { Some(&**payment) } else { None };
    let problem = Problem {
        r#type: format!("urn:problem-type:lambda-shop:{}", error.code()),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: error.to_string(),
        code: error.code(),
        request_id,
        errors: if let Error::Validation(errors) = error { Some(errors) } else { None },
        lines: if let Error::OutOfStock(lines) = error { Some(lines) } else { None },
        total: if let Error::PriceChanged(total) = error { Some(*total) } else { None },
        decline_code: declined.and_then(|payment| payment.decline_code.as_deref()),
        payment: declined,
        available: if let Error::InsufficientStock { available } = error { Some(*available) } else { None },
    };
    Response::json(status, "application/problem+json", &problem)
}

fn oauth_problem(error: &Error, status: StatusCode) -> Result<Response, Error> {
    #[derive(Serialize)]
    struct OAuthProblem {
        error: &'static str,
        error_description: String,
    }
    let code = match error {
        Error::OAuth(error) => error.code(),
        Error::Unavailable(_) => "temporarily_unavailable",
        Error::Internal(_) => "server_error",
        _ => "invalid_request",
    };
    Response::json(
        status,
        "application/json",
        &OAuthProblem { error: code, error_description: error.to_string() },
    )
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
