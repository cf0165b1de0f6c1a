//! Data files. Only their owner may read them.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// A data file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{0} cannot be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    #[error("{0} is damaged ({1}): delete it, or start with --fresh")]
    Damaged(PathBuf, #[source] serde_json::Error),
}

/// Reads a file of JSON. Returns `None` if it does not exist.
///
/// # Errors
/// [`FileError`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let text = text(path)?;
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    value.map_err(|error| FileError::Damaged(path.to_owned(), error))
}

fn text(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileError::File(path.to_owned(), error)),
    }
}

/// Appends a line of JSON to a file that another process may follow.
///
/// # Errors
/// [`FileError::File`].
pub fn append(path: &Path, entry: &impl Serialize) -> Result<(), FileError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        let line = serde_json::to_string(entry)?;
        // In one write, so that a concurrent reader sees all of it or nothing.
        file.write_all(format!("{line}\n").as_bytes())
    });
    written.map_err(|error| FileError::File(path.to_owned(), error))
}

/// Reads the lines of a file from an offset on. Returns them, oldest first, with the offset of the next line.
///
/// # Errors
/// [`FileError`].
pub fn read<T: DeserializeOwned>(path: &Path, offset: usize) -> Result<(Vec<T>, usize), FileError> {
    let text = text(path)?.unwrap_or_default();
    // A shorter file was started afresh. A last line without its end is still being written.
    let new = text.get(offset..).unwrap_or(&text);
    let whole = new.rfind('\n').map_or(0, |end| end + 1);
    let lines = new[..whole].lines().map(serde_json::from_str);
    let entries =
        lines.collect::<Result<_, _>>().map_err(|error| FileError::Damaged(path.to_owned(), error))?;
    Ok((entries, text.len() - new.len() + whole))
}

/// Replaces a file atomically.
///
/// # Errors
/// The file cannot be written.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // A file left behind by a crash may be readable by others.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_even_if_a_readable_one_was_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        fs::write(path.with_extension("new"), "readable for all").unwrap();
        for text in ["first", "second"] {
            write_private(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
