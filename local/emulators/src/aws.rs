//! Responses in the protocols of AWS.

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};

use crate::server::Answer;

/// Header that names the operation of a call in JSON 1.1.
pub(crate) const TARGET_HEADER: &str = "x-amz-target";

/// A refused call.
#[derive(Debug)]
pub(crate) struct AwsError {
    pub status: StatusCode,
    /// The error's name in the service's API reference.
    pub code: &'static str,
    pub message: String,
}

impl AwsError {
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    pub fn internal(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code, message: message.into() }
    }
}

/// Answers a call of a service that speaks JSON 1.1:
/// <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>.
pub(crate) fn json_1_1(result: Result<Value, AwsError>) -> Answer {
    let (status, body) = match result {
        Ok(body) => (StatusCode::OK, body),
        Err(AwsError { status, code, message }) => (status, json!({"__type": code, "Message": message})),
    };
    answer(status, "application/x-amz-json-1.1", &body)
}

/// Answers a call of a service that speaks REST JSON:
/// <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>.
pub(crate) fn rest_json(result: Result<Value, AwsError>) -> Answer {
    let AwsError { status, code, message } = match result {
        Ok(body) => return answer(StatusCode::OK, "application/json", &body),
        Err(error) => error,
    };
    let mut answer = answer(status, "application/json", &json!({"message": message}));
    answer.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    answer
}

fn answer(status: StatusCode, media_type: &'static str, body: &Value) -> Answer {
    let mut answer = Response::new(body.to_string().into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}
