use std::io;

use emulators::{EmulatorError, dynamodb::DatabaseError};
use runtime::keys::KeyError;
use shared::domain::order::OrderError;
use template::TemplateError;

/// The benchmark failed.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("there is no function {0}: choose from {1}")]
    NoSuchFunction(String, String),
    #[error("the benchmark has no event for {0}: add one to local/bench/src/traffic.rs")]
    NoEvent(String),
    #[error("{0} cannot be built: fix cargo's errors above")]
    Build(&'static str),
    #[error("{0} was silent for {1} seconds; its last line was: {2}")]
    Silent(String, u64, String),
    #[error("{0} has failed: {1}")]
    Failed(String, String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    #[error("cannot prepare an order: {0}")]
    Order(#[from] OrderError),
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("{0}: {1}")]
    System(String, #[source] io::Error),
}

/// Converts an I/O error, with a description.
pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    let what = what.into();
    move |error| BenchError::System(what, error)
}
