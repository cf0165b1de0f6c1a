//! HTTP: request in, response out. Everything that is alike in all operations is here.

pub mod cursor;

mod version;

mod request;

mod response;

mod problem;

mod idempotency_key;
mod if_match;
mod json;
mod merge_patch;
mod paging;

mod body;

use std::{panic::AssertUnwindSafe, process::ExitCode};

use futures_util::FutureExt;
use lambda_http::{Body, service_fn};

pub use idempotency_key::IdempotencyKey;
pub use if_match::IfMatch;
pub use merge_patch::MergePatch;
pub use paging::Paging;
pub use problem::ErrorFormat;
pub use request::Request;
use response::CommonHeaders;
pub use response::Response;
pub use version::Version;

use crate::{
    config::{ConfigError, HANDLER_TIMEOUT},
    error::{self, Error},
    start,
    store::Store,
    telemetry::{self, Invocation, Metric},
};

/// Runs an HTTP function until Lambda ends it. `open` prepares what the function needs, once; `handle` answers each
/// request: who is calling, what do they want, do it, respond.
pub fn serve<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    serve_with(ErrorFormat::Problem, operation, open, handle)
}

/// Runs an HTTP function like [`serve`], with errors in another format.
pub fn serve_with<N, H, F>(
    format: ErrorFormat,
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    let open = async |store| Ok((CommonHeaders::from_env()?, open(store).await?));
    start::run(operation, open, async |(common, needs)| {
        let service = service_fn(async |event: lambda_http::Request| {
            Ok::<_, lambda_http::Error>(respond(operation, format, needs, &handle, common, event).await)
        });
        lambda_http::run(service).await
    })
}

/// Answers one request. A handler that fails, panics or exceeds [`HANDLER_TIMEOUT`] becomes a problem.
async fn respond<N, H, F>(
    operation: &'static str,
    format: ErrorFormat,
    needs: &'static N,
    handle: &H,
    common: &CommonHeaders,
    event: lambda_http::Request,
) -> lambda_http::Response<Body>
where
    H: Fn(&'static N, Request) -> F,
    F: Future<Output = Result<Response, Error>>,
{
    let request = Request::new(operation, event, telemetry::now());
    let invocation = Invocation::begin(request.id().to_owned(), request.trace_id());
    let (version, precondition) = (request.version(), request.if_none_match());

    let handled = AssertUnwindSafe(handle(needs, request)).catch_unwind();
    let result = match tokio::time::timeout(HANDLER_TIMEOUT, handled).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::internal("the handler panicked: see the line before")),
        Err(late) => Err(Error::Unavailable(late.into())),
    };
    if let Err(Error::InsufficientScope(_)) = &result {
        telemetry::count(Metric::ScopesRefused);
    }
    // The only place that logs a failure. Its cause stays in the log.
    let failure = match &result {
        Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => Some(error::chain(error)),
        _ => None,
    };
    let response = result.unwrap_or_else(|error| problem::response(&error, format, invocation.request_id()));
    let response = match precondition {
        Some(known) if response.is_known_as(&known) => response.not_modified(),
        _ => response,
    };
    let response = response.finish(invocation.request_id(), version, common);
    invocation.end(response.status().as_u16(), failure.as_deref());
    response
}
