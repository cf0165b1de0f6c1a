use std::io;

use emulators::EmulatorError;
use runtime::keys::KeyError;

/// The torture cannot run.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Ledger(#[from] EmulatorError),
    #[error("the shop cannot be called: {0}")]
    Call(#[from] reqwest::Error),
    #[error("the shop at {0} refuses requests ({1}): start `cargo shop up` with the same --data-dir")]
    Closed(String, String),
    #[error("the system refused a request: {0}")]
    System(#[from] io::Error),
}
