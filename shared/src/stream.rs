//! The changes of a table, batch by batch, in the order in which they were committed.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::{
    config::ConfigError,
    error::{self, Error},
    start,
    store::{Change, Store},
    telemetry::Invocation,
};

/// Runs a function on a table's stream until Lambda ends it: `open` prepares what it needs, once, and `handle` takes
/// the changes one by one. The first that fails ends the batch; Lambda brings it and those after it again:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.
pub async fn serve<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, Change) -> F,
    F: Future<Output = Result<(), Error>>,
{
    let needs = match start::open(operation, open).await {
        Ok(needs) => needs,
        Err(code) => return code,
    };
    let service = service_fn(async |event: LambdaEvent<Value>| {
        let invocation = Invocation::of(event.context);
        let (failed, reason) = match batch(needs, &handle, event.payload).await {
            Ok(()) => (Vec::new(), None),
            Err((sequence_number, error)) => {
                (vec![json!({"itemIdentifier": sequence_number})], Some(error::chain(&error)))
            }
        };
        invocation.end(if reason.is_some() { 500 } else { 200 }, reason.as_deref());
        Ok::<_, lambda_runtime::Error>(json!({"batchItemFailures": failed}))
    });
    start::ended(lambda_runtime::run(service).await)
}

/// Handles a batch up to the first change that fails, and tells its sequence number.
async fn batch<N, H, F>(needs: &'static N, handle: &H, mut event: Value) -> Result<(), (Value, Error)>
where
    H: Fn(&'static N, Change) -> F,
    F: Future<Output = Result<(), Error>>,
{
    let records =
        event.get_mut("Records").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    for mut record in records {
        let stream_record = record.get_mut("dynamodb").map(Value::take).unwrap_or_default();
        let sequence_number = stream_record.get("SequenceNumber").cloned().unwrap_or_default();
        let handled = match serde_json::from_value(stream_record).map_err(Error::internal) {
            // On the heap: futures within futures become deeper than the compiler cares to look.
            Ok(change) => Box::pin(handle(needs, change)).await,
            Err(unreadable) => Err(unreadable),
        };
        handled.map_err(|error| (sequence_number, error))?;
    }
    Ok(())
}
