//! Request in, answer out: all that is the same for every operation stands here, once.

mod answer;
pub mod cursor;
mod problem;
mod request;
mod version;

use std::{panic::AssertUnwindSafe, process::ExitCode};

use futures_util::FutureExt;
use lambda_http::{Body, Response, service_fn};

pub use answer::Answer;
use answer::Common;
pub use problem::Style;
pub use request::{IfMatch, Paging, Request};
pub use version::Version;

use crate::{
    config::{ConfigError, HANDLER_TIMEOUT},
    error::{self, Error},
    start,
    store::Store,
    telemetry::{self, Invocation},
};

/// Runs an HTTP function until Lambda ends it: `open` prepares what it needs, once, and `handle` answers each request.
///
/// A handler reads as its operation does: who is calling, what they ask, the doing, the answer.
pub async fn serve<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    serve_as(Style::Problem, operation, open, handle).await
}

/// [`serve`] for an operation that puts its errors in another way.
pub async fn serve_as<N, H, F>(
    style: Style,
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Request) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    let open = async |store| Ok((Common::read()?, open(store).await?));
    let (common, needs) = match start::open(operation, open).await {
        Ok(opened) => opened,
        Err(code) => return code,
    };
    let service = service_fn(async |event: lambda_http::Request| {
        Ok::<_, lambda_http::Error>(respond(operation, style, needs, &handle, common, event).await)
    });
    start::ended(lambda_http::run(service).await)
}

/// Answers one request, whatever happens: a handler that fails, panics or takes too long is answered with a problem.
async fn respond<N, H, F>(
    operation: &'static str,
    style: Style,
    needs: &'static N,
    handle: &H,
    common: &Common,
    event: lambda_http::Request,
) -> Response<Body>
where
    H: Fn(&'static N, Request) -> F,
    F: Future<Output = Result<Answer, Error>>,
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
    // An internal failure is logged here, once, and its text stays in the log.
    let failure = match &result {
        Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => Some(error::chain(error)),
        _ => None,
    };
    let answer = result.unwrap_or_else(|error| problem::answer(&error, style, invocation.request_id()));
    let answer = match precondition {
        Some(known) if answer.is_known_as(&known) => answer.not_modified(),
        _ => answer,
    };
    let response = answer.into_response(invocation.request_id(), version, common);
    invocation.end(response.status().as_u16(), failure.as_deref());
    response
}
