//! Errors as clients see them: problem details (RFC 9457).

use lambda_http::http::{
    StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;

use super::Answer;
use crate::{domain::input::Invalid, error::Error};

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
}

/// The one place that chooses status codes.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::MalformedJson(_)
        | Error::InvalidCursor
        | Error::IdempotencyKeyRequired
        | Error::InvalidIdempotencyKey => StatusCode::BAD_REQUEST,
        Error::TokenRequired | Error::InvalidToken => StatusCode::UNAUTHORIZED,
        Error::InsufficientScope(_) => StatusCode::FORBIDDEN,
        Error::NotFound => StatusCode::NOT_FOUND,
        Error::SkuTaken | Error::InsufficientStock { .. } => StatusCode::CONFLICT,
        Error::StaleVersion => StatusCode::PRECONDITION_FAILED,
        Error::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Error::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Error::Invalid(_) | Error::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        Error::IfMatchRequired => StatusCode::PRECONDITION_REQUIRED,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The answer that an error becomes. What stands inside of it for the log stays there.
pub(super) fn answer(error: &Error, request_id: &str) -> Answer {
    let status = status(error);
    let problem = Problem {
        r#type: format!("urn:problem-type:lambda-shop:{}", error.code()),
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: error.to_string(),
        code: error.code(),
        request_id,
        errors: if let Error::Invalid(errors) = error { Some(errors) } else { None },
        available: if let Error::InsufficientStock { available } = error { Some(*available) } else { None },
    };
    let header = match error {
        // RFC 6750, section 3.
        Error::TokenRequired => Some((WWW_AUTHENTICATE, "Bearer realm=\"lambda-shop\"".to_owned())),
        Error::InvalidToken => {
            Some((WWW_AUTHENTICATE, "Bearer realm=\"lambda-shop\", error=\"invalid_token\"".to_owned()))
        }
        Error::InsufficientScope(scope) => Some((
            WWW_AUTHENTICATE,
            format!("Bearer realm=\"lambda-shop\", error=\"insufficient_scope\", scope=\"{scope}\""),
        )),
        Error::Unavailable(_) => Some((RETRY_AFTER, "1".to_owned())),
        _ => None,
    };
    let answer = Answer::json(status, "application/problem+json", &problem);
    let answer = answer.and_then(|answer| match header {
        Some((name, value)) => answer.header(name, &value),
        None => Ok(answer),
    });
    // A problem of plain strings can always be written; were it not so, the status would still tell.
    answer.unwrap_or_else(|_| Answer::bare(status))
}
