//! Functions on a table's stream: batches of changes, in commit order.

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::ConfigError,
    error::Error,
    start,
    store::{Store, StreamRecord},
    telemetry::Invocation,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    records: Vec<BatchRecord>,
}

#[derive(Deserialize)]
struct BatchRecord {
    dynamodb: Value,
}

/// Runs a function on a stream until Lambda ends it. `open` prepares what the function needs, once; `handle` gets the
/// changes one by one. The first failure ends the batch, and Lambda delivers that record and the rest again:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>.
pub fn serve<N, H, F>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    handle: H,
) -> ExitCode
where
    N: Send + Sync + 'static,
    H: Fn(&'static N, StreamRecord) -> F,
    F: Future<Output = Result<(), Error>>,
{
    start::run(operation, open, async |needs| {
        let service = service_fn(async |event: LambdaEvent<Batch>| {
            let invocation = Invocation::of(event.context);
            let (failed, failure) = match process(needs, &handle, event.payload).await {
                Ok(()) => (Vec::new(), None),
                Err((sequence_number, error)) => {
                    (vec![json!({"itemIdentifier": sequence_number})], Some(error))
                }
            };
            invocation.end_event(failure.as_ref());
            Ok::<_, lambda_runtime::Error>(json!({"batchItemFailures": failed}))
        });
        lambda_runtime::run(service).await
    })
}

/// Handles a batch up to the first failure, and returns that record's sequence number.
async fn process<N, H, F>(needs: &'static N, handle: &H, batch: Batch) -> Result<(), (Value, Error)>
where
    H: Fn(&'static N, StreamRecord) -> F,
    F: Future<Output = Result<(), Error>>,
{
    for BatchRecord { dynamodb: record } in batch.records {
        let sequence_number = record["SequenceNumber"].clone();
        let handled = match StreamRecord::decode(record) {
            // Boxed: the nested futures exceed the compiler's recursion limit.
            Ok(record) => Box::pin(handle(needs, record)).await,
            Err(error) => Err(error),
        };
        handled.map_err(|error| (sequence_number, error))?;
    }
    Ok(())
}
