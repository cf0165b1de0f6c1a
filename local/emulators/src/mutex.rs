use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even after a panic: the panic has failed its test already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
