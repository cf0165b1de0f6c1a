//! The start of a function and its end, the same for every trigger.

use std::process::ExitCode;

use crate::{config::ConfigError, store::Store, telemetry};

/// Prepares what a function needs, which then lives as long as its process; or tells the log what is missing.
///
/// # Errors
/// The exit code of a function that can't start.
pub async fn open<N: 'static>(
    operation: &'static str,
    open: impl AsyncFnOnce(Store) -> Result<N, ConfigError>,
) -> Result<&'static N, ExitCode> {
    telemetry::start(operation);
    let opened = match Store::connect() {
        Ok(store) => open(store).await,
        Err(missing) => Err(missing),
    };
    match opened {
        Ok(needs) => Ok(Box::leak(Box::new(needs))),
        Err(missing) => Err(telemetry::failed("the function can't start", &missing)),
    }
}

/// The exit code of a function that Lambda asks no more.
pub fn ended(result: Result<(), lambda_runtime::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(lost) => telemetry::failed("the runtime is gone", &*lost),
    }
}
