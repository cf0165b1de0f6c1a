//! Values that are read during init and kept in memory, such as keys.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    error::{self, Error},
    telemetry,
};

/// Minimum pause after a failed read, or one that lacked the required key. Neither an outage nor a flood of forged tokens
/// thus reaches the source with every request.
const AGAIN: Duration = Duration::from_secs(10);

/// A value in memory.
pub(crate) struct Cache<T> {
    what: &'static str,
    fresh: Duration,
    reading: Mutex<Option<Reading<T>>>,
}

/// The value and the last attempt to read it.
pub(crate) struct Reading<T> {
    pub value: Arc<T>,
    tried: Instant,
    /// Set if that attempt failed, so that the value is older.
    pub failed: bool,
}

impl<T> Clone for Reading<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), ..*self }
    }
}

impl<T> Reading<T> {
    /// Returns whether the value may be read again because it lacks a key.
    pub fn may_be_repeated(&self) -> bool {
        self.tried.elapsed() > AGAIN
    }
}

impl<T> Cache<T> {
    /// `what` names the value in the log; it is read again after `fresh`.
    pub fn new(what: &'static str, fresh: Duration) -> Self {
        Self { what, fresh, reading: Mutex::default() }
    }

    /// Returns the value in memory.
    pub fn value(&self) -> Option<Arc<T>> {
        self.reading().as_ref().map(|reading| Arc::clone(&reading.value))
    }

    /// Reads the value before the first request arrives. If that fails, the first request tries again.
    pub async fn preload(&self, read: impl AsyncFnOnce() -> Result<T, Error>) {
        if let Err(error) = self.load(read).await {
            telemetry::warn(&format!("{} could not be read at start", self.what), &error::chain(&error));
        }
    }

    /// Returns the value, and reads it again if that is due. While the source is unavailable, the old value stays in use.
    ///
    /// # Errors
    /// Those of `read`, if there is no value yet.
    pub async fn get(&self, read: impl AsyncFnOnce() -> Result<T, Error>) -> Result<Reading<T>, Error> {
        let reading = self.reading().clone();
        match reading {
            Some(known) if known.tried.elapsed() < if known.failed { AGAIN } else { self.fresh } => Ok(known),
            Some(stale) => Ok(self.load(read).await.unwrap_or_else(|error| {
                telemetry::warn(&format!("{} could not be read again", self.what), &error::chain(&error));
                stale
            })),
            None => self.load(read).await,
        }
    }

    /// Reads the value again.
    pub async fn load(&self, read: impl AsyncFnOnce() -> Result<T, Error>) -> Result<Reading<T>, Error> {
        let tried = Instant::now();
        // Boxed: the nested futures exceed the compiler's recursion limit.
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
