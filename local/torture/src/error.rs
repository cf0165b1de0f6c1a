use std::io;

use emulators::EmulatorError;
use runtime::keys::KeyError;

/// Why nobody was tortured. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// There is no key to make tokens with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// There is no ledger to compare with.
    #[error(transparent)]
    Ledger(#[from] EmulatorError),
    /// The shop can't be called.
    #[error("the shop can't be called: {0}")]
    Call(#[from] reqwest::Error),
    /// The shop is not open, or not this one.
    #[error(
        "the shop at {0} does not do what it is asked to ({1}): open it with `cargo shop up`, with the same --data-dir"
    )]
    Closed(String, String),
    /// The system refuses threads or timers.
    #[error("the system refuses what this needs: {0}")]
    System(#[from] io::Error),
}
