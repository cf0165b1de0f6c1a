//! The data folder: all that a shop keeps between runs.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Contents of the folder, without the lock.
const CONTENTS: [&str; 10] = [
    "shop.db",
    "shop.db-shm",
    "shop.db-wal",
    "secrets.json",
    "passwords.json",
    "mail.jsonl",
    "events.jsonl",
    "stripe.json",
    "seeded",
    "streams",
];

/// A locked data folder.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("another `cargo shop up` uses {0}: stop that one, or choose another --data-dir and --port")]
    InUse(PathBuf),
    #[error("the data folder {0} cannot be used ({1}): choose another --data-dir")]
    Unusable(PathBuf, #[source] io::Error),
}

impl DataFolder {
    /// Opens and locks the folder. `fresh` deletes its contents.
    ///
    /// # Errors
    /// [`DataError::InUse`] if another process has locked it; [`DataError::Unusable`].
    pub fn open(path: &Path, fresh: bool) -> Result<Self, DataError> {
        let unusable = |error| DataError::Unusable(path.to_owned(), error);
        fs::create_dir_all(path).map_err(unusable)?;
        // Keys, passwords and mails are for this user alone.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataError::InUse(path.to_owned()),
            TryLockError::Error(error) => unusable(error),
        })?;
        // Also keeps `cargo lambda watch` from taking a write for a change of the code.
        fs::write(path.join(".gitignore"), "*\n").map_err(unusable)?;
        let folder = Self { path: path.canonicalize().map_err(unusable)?, _lock: lock };
        if fresh {
            // By name, so that nothing else is lost if the folder was chosen by mistake.
            CONTENTS.iter().try_for_each(|name| remove(&folder.path.join(name))).map_err(unusable)?;
        }
        fs::create_dir_all(folder.streams()).map_err(unusable)?;
        Ok(folder)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        database(&self.path)
    }

    /// Marks a seeded catalogue.
    pub fn seeded(&self) -> PathBuf {
        self.path.join("seeded")
    }

    /// Checkpoints of the streams.
    pub fn streams(&self) -> PathBuf {
        self.path.join("streams")
    }
}

pub fn default_folder() -> PathBuf {
    template::repository().join("local/.data")
}

pub fn database(folder: &Path) -> PathBuf {
    folder.join("shop.db")
}

/// File of the secrets. `cargo shop token` reads it while `cargo shop up` is running.
pub fn secrets(folder: &Path) -> PathBuf {
    folder.join("secrets.json")
}

/// File of the seeded users' passwords.
pub fn passwords(folder: &Path) -> PathBuf {
    folder.join("passwords.json")
}

/// File of the mails.
pub fn mails(folder: &Path) -> PathBuf {
    folder.join("mail.jsonl")
}

/// File of the events.
pub fn events(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

/// File of the Stripe emulator.
pub fn stripe(folder: &Path) -> PathBuf {
    folder.join("stripe.json")
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
