//! Files of what has arrived, a line of JSON for each, which one process writes and another may follow.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// Why one can't be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JsonlError {
    /// The file can't be read or written.
    #[error("{0} can't be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error("{0} holds something that does not belong there ({1}): remove it")]
    Damaged(PathBuf, #[source] serde_json::Error),
}

/// Adds a line to the file, which nobody else may read.
///
/// # Errors
/// Where it can't be written.
pub(crate) fn append(path: &Path, entry: &impl Serialize) -> Result<(), JsonlError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        let line = serde_json::to_string(entry)?;
        // In one piece, so that a reader meanwhile sees all or nothing of it.
        file.write_all(format!("{line}\n").as_bytes())
    });
    written.map_err(|error| JsonlError::File(path.to_owned(), error))
}

/// What stands in the file, the newest last, and its length so far. What begins at `offset` alone is read.
///
/// # Errors
/// Where the file can't be read.
pub fn read<T: DeserializeOwned>(path: &Path, offset: usize) -> Result<(Vec<T>, usize), JsonlError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| JsonlError::File(path.to_owned(), error))?,
    };
    // A shorter one was begun anew; a last line without its end is still being written.
    let new = text.get(offset..).unwrap_or(&text);
    let whole = new.rfind('\n').map_or(0, |end| end + 1);
    let lines = new[..whole].lines().map(serde_json::from_str);
    let entries =
        lines.collect::<Result<_, _>>().map_err(|error| JsonlError::Damaged(path.to_owned(), error))?;
    Ok((entries, text.len() - new.len() + whole))
}
