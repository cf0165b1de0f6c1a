//! Functions on a schedule, and others that get one event per invocation.

use std::process::ExitCode;

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    config::ConfigError,
    domain::change::{ChangeContext, Initiator},
    error::Error,
    start,
    store::Store,
    telemetry::{self, Invocation},
};

/// Runs a function until Lambda ends it. `open` prepares what the function needs, once; `handle` processes each event. A
/// failure fails the invocation, and the sender of the event retries.
pub fn serve<E, N, H, F>(
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
    start::run(operation, open, async |needs| {
        let service = service_fn(async |event: LambdaEvent<serde_json::Value>| {
            let invocation = Invocation::of(event.context);
            let result = match serde_json::from_value(event.payload).map_err(Error::internal) {
                Ok(event) => handle(needs, event).await,
                Err(error) => Err(error),
            };
            invocation.end_event(result.as_ref().err());
            // The cause stays in the log.
            result.map_err(|_| Diagnostic {
                error_type: "EventNotProcessed".to_owned(),
                error_message: "the event was not processed: see the log".to_owned(),
            })
        });
        lambda_runtime::run(service).await
    })
}

/// Runs a scheduled function like [`serve`]. `handle` gets the context of its changes.
pub fn serve_schedule<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, ChangeContext) -> F,
    F: Future<Output = Result<(), Error>>,
{
    serve(operation, open, move |needs, event: Scheduled| {
        let context = ChangeContext {
            initiator: Initiator::Schedule,
            client_id: None,
            operation,
            at: telemetry::now(),
            request_id: event.id,
            trace_id: None,
        };
        Box::pin(handle(needs, context))
    })
}

/// The event of a schedule:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>.
#[derive(Deserialize)]
struct Scheduled {
    /// Unique per run.
    id: String,
}
