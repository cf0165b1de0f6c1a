//! What a failed call means for the caller: a fault of theirs it never is.

use std::error::Error as StdError;

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use crate::error::Error;

/// Codes of refusals that pass: throttling, contention, trouble on DynamoDB's side.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const PASSING: [&str; 8] = [
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Judges a call that failed for another reason than its condition: [`Error::Unavailable`] where a repetition may
/// help, [`Error::Internal`] where not.
pub(super) fn judge<E>(failure: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let passing = match &failure {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(refusal) => {
            let code = refusal.err().code();
            // What is no refusal of ours can't be DynamoDB's answer either, as a page of HTML.
            !refusal.raw().status().is_client_error() || code.is_some_and(|code| PASSING.contains(&code))
        }
        // Timed out, no connection, or an answer that can't be read.
        _ => true,
    };
    if passing { Error::Unavailable(failure.into()) } else { Error::Internal(failure.into()) }
}
