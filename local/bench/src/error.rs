use std::io;

use emulators::{EmulatorError, dynamodb::DatabaseError};
use runtime::keys::KeyError;
use shared::domain::order::OrderError;
use template::TemplateError;

/// Why nothing could be measured. Each text says what to do, or what went wrong.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A function was asked for that is not there.
    #[error("there is no function {0}: choose from {1}")]
    NoSuchFunction(String, String),
    /// A function is there that the benchmark has nothing to ask.
    #[error("the benchmark has no event for {0}: add one to local/bench/src/traffic.rs")]
    NoEvent(String),
    /// Cargo has refused.
    #[error("{0} can't be built: see what cargo says above")]
    Build(&'static str),
    /// A function said nothing for long.
    #[error("{0} was silent for {1} seconds; its last line was: {2}")]
    Silent(String, u64, String),
    /// A function failed.
    #[error("{0} has failed: {1}")]
    Failed(String, String),
    /// The store can't be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The template can't be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// There is no token to send.
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    /// An order can't come so far as it would have by then.
    #[error("there is no such order to ask the functions for: {0}")]
    Order(#[from] OrderError),
    /// A certificate can't be made.
    #[error("no certificate can be made for the store: {0}")]
    Certificate(#[from] rcgen::Error),
    /// TLS can't be set up.
    #[error("the store can't speak TLS: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// A process, port or file is not to be had.
    #[error("{0}: {1}")]
    System(String, #[source] io::Error),
}

/// The error of something that the system was asked for.
pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    let what = what.into();
    move |error| BenchError::System(what, error)
}
