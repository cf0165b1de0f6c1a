//! Values that are read at start and kept in memory, such as keys.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    error::{self, Error},
    telemetry::{self, Level},
};

/// A value older than this is read again, so that what was retired is soon forgotten.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// After a read that failed, or one that did not find what was looked for, it is read again this often at most:
/// neither an outage nor a flood of forged tokens reaches the source with every request.
const AGAIN: Duration = Duration::from_secs(10);

/// A value, and the time of the last attempt to read it.
pub(crate) struct Cache<T> {
    what: &'static str,
    reading: Mutex<Option<Reading<T>>>,
}

/// What the last attempt has left.
pub(crate) struct Reading<T> {
    pub value: Arc<T>,
    tried: Instant,
    /// Whether it left an older value.
    pub failed: bool,
}

impl<T> Clone for Reading<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> Reading<T> {
    /// Whether another attempt may be made for what was not found in it.
    pub fn may_be_repeated(&self) -> bool {
        self.tried.elapsed() > AGAIN
    }
}

impl<T> Cache<T> {
    /// An empty one. The log calls the value so.
    pub fn new(what: &'static str) -> Self {
        Self { what, reading: Mutex::default() }
    }

    /// Reads the value before the first request is there. Where that fails, the first request will try again.
    pub async fn preload(&self, read: impl AsyncFnOnce() -> Result<T, Error>) {
        if let Err(error) = self.load(read).await {
            telemetry::event(
                Level::Warn,
                &format!("{} could not be read at start", self.what),
                &error::chain(&error),
            );
        }
    }

    /// The value in memory, read again where that is due. A known one is better than none while its source is silent.
    ///
    /// # Errors
    /// Those of `read`, where there is none yet.
    pub async fn get(&self, read: impl AsyncFnOnce() -> Result<T, Error>) -> Result<Reading<T>, Error> {
        let reading = self.reading().clone();
        match reading {
            Some(known) if known.tried.elapsed() < if known.failed { AGAIN } else { FRESH } => Ok(known),
            Some(stale) => Ok(self.load(read).await.unwrap_or_else(|error| {
                telemetry::event(
                    Level::Warn,
                    &format!("{} could not be read again", self.what),
                    &error::chain(&error),
                );
                stale
            })),
            None => self.load(read).await,
        }
    }

    /// Reads the value, however fresh the known one is.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn load(&self, read: impl AsyncFnOnce() -> Result<T, Error>) -> Result<Reading<T>, Error> {
        let tried = Instant::now();
        // On the heap: futures within futures become deeper than the compiler cares to look.
        let result = Box::pin(read()).await;
        let mut reading = self.reading();
        match result {
            Ok(value) => Ok(reading.insert(Reading { value: Arc::new(value), tried, failed: false }).clone()),
            Err(error) => {
                if let Some(stale) = reading.as_mut() {
                    (stale.tried, stale.failed) = (tried, true);
                }
                Err(error)
            }
        }
    }

    fn reading(&self) -> MutexGuard<'_, Option<Reading<T>>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
