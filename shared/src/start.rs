//! Start and end of a function, alike for every trigger.

use std::process::ExitCode;

use tokio::runtime::Builder;

use crate::{config::ConfigError, store::Store, telemetry};

/// Opens what a function needs, which then lives as long as its process, and serves invocations until Lambda ends it. A
/// function that can't start logs the reason.
pub fn run<N: 'static>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
    serve: impl AsyncFnOnce(&'static N) -> Result<(), lambda_runtime::Error>,
) -> ExitCode {
    telemetry::start(operation);
    // One thread: an instance serves one invocation at a time.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return telemetry::fatal("the function can't start", &error),
    };
    runtime.block_on(async {
        let opened = match Store::connect() {
            Ok(store) => open(store).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(needs) => match serve(Box::leak(Box::new(needs))).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => telemetry::fatal("the Lambda runtime API is unreachable", &*error),
            },
            Err(error) => telemetry::fatal("the function can't start", &error),
        }
    })
}
