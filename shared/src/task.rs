//! Functions that are neither HTTP nor on a stream: one event, one piece of work.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    config::ConfigError,
    domain::cause::{By, Cause},
    error::{self, Error},
    start,
    store::Store,
    telemetry::{self, Invocation},
};

/// Runs a function until Lambda ends it: `open` prepares what it needs, once, and `handle` works off each event. Where
/// it fails, the invocation does, and who has sent the event sends it again.
pub async fn serve<E, N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    E: DeserializeOwned,
    N: Send + Sync + 'static,
    H: Fn(&'static N, E) -> F,
    F: Future<Output = Result<(), Error>>,
{
    let needs = match start::open(operation, open).await {
        Ok(needs) => needs,
        Err(code) => return code,
    };
    let service = service_fn(async |event: LambdaEvent<serde_json::Value>| {
        let invocation = Invocation::of(event.context);
        let result = match serde_json::from_value(event.payload).map_err(Error::internal) {
            Ok(event) => handle(needs, event).await,
            Err(unreadable) => Err(unreadable),
        };
        let reason = result.as_ref().err().map(|error| error::chain(error));
        invocation.end(if reason.is_some() { 500 } else { 200 }, reason.as_deref());
        // The log has the reason; the caller needs to know only that there is one.
        result.map_err(|_| Diagnostic {
            error_type: "NotWorkedOff".to_owned(),
            error_message: "the event could not be worked off: see the log".to_owned(),
        })
    });
    start::ended(lambda_runtime::run(service).await)
}

/// [`serve`] for what a schedule starts: `handle` gets the cause of what it changes.
pub async fn serve_schedule<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Cause) -> F,
    F: Future<Output = Result<(), Error>>,
{
    serve(operation, open, |needs, event: Scheduled| {
        let cause = Cause { by: By::Schedule, at: telemetry::now(), request_id: event.id, trace_id: None };
        Box::pin(handle(needs, cause))
    })
    .await
}

/// What EventBridge sends when it is time:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>.
#[derive(Deserialize)]
struct Scheduled {
    /// Of this one time.
    id: String,
}
