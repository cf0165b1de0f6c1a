use std::io;

use crate::files::FileError;

/// An emulator cannot start, or refuses a request of its owner.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    #[error("the {0} emulator finds no port to listen on: {1}")]
    Listen(&'static str, #[source] io::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the emulators cannot call functions and webhooks: {0}")]
    Call(#[from] reqwest::Error),
    #[error("the {0} emulator refuses: {1}")]
    Refused(&'static str, String),
}
