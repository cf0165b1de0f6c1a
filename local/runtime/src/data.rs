//! The data folder: all that a shop keeps from one start to the next.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Everything in the folder but the lock.
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

/// A data folder. Whoever holds it is the only one to use it.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why the folder can't be used. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another shop uses it.
    #[error("another `cargo shop up` uses {0}: stop that one, or choose another --data-dir and --port")]
    InUse(PathBuf),
    /// It is not writable, or no folder.
    #[error("the data folder {0} can't be used ({1}): choose another --data-dir")]
    Unusable(PathBuf, #[source] io::Error),
}

impl DataFolder {
    /// Opens the folder, which is made where there is none; `fresh` removes what a shop has kept in it.
    ///
    /// # Errors
    /// Where another process has it open, or it is not writable.
    pub fn open(path: &Path, fresh: bool) -> Result<Self, DataError> {
        let unusable = |error| DataError::Unusable(path.to_owned(), error);
        fs::create_dir_all(path).map_err(unusable)?;
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DataError::InUse(path.to_owned()),
            TryLockError::Error(error) => unusable(error),
        })?;
        // Keeps data out of git, and keeps `cargo lambda watch` from taking each write for a change of the code.
        fs::write(path.join(".gitignore"), "*\n").map_err(unusable)?;
        let folder = Self { path: path.canonicalize().map_err(unusable)?, _lock: lock };
        if fresh {
            // By name, so that a folder chosen by mistake loses nothing else.
            CONTENTS.iter().try_for_each(|name| remove(&folder.path.join(name))).map_err(unusable)?;
        }
        fs::create_dir_all(folder.streams()).map_err(unusable)?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join("shop.db")
    }

    /// The file that says that catalogue and users were seeded.
    pub fn seeded(&self) -> PathBuf {
        self.path.join("seeded")
    }

    /// The folder in which the delivery of streams keeps how far it got.
    pub fn streams(&self) -> PathBuf {
        self.path.join("streams")
    }
}

/// The data folder of whoever names none.
pub fn default_folder() -> PathBuf {
    template::repository().join("local/.data")
}

/// The file of the secrets in a data folder; `cargo shop token` reads it while `cargo shop up` has the folder open.
pub fn secrets(folder: &Path) -> PathBuf {
    folder.join("secrets.json")
}

/// The file of the seeded users' passwords in a data folder.
pub fn passwords(folder: &Path) -> PathBuf {
    folder.join("passwords.json")
}

/// The file of the mails in a data folder, which `cargo shop mail` reads.
pub fn mails(folder: &Path) -> PathBuf {
    folder.join("mail.jsonl")
}

/// The file of the events in a data folder, which `cargo shop events` reads.
pub fn events(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

/// The file of what the pretend Stripe knows in a data folder, whose ledger `cargo shop ledger` reads.
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
