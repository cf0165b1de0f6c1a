//! Admission of requests to functions. `cargo lambda watch` locks up when about a hundred requests to one function wait, so
//! the gateway keeps few in flight and queues the rest itself, first come, first served.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum requests in flight to one function.
const MAX_IN_FLIGHT: usize = 32;
/// Maximum requests waiting for one function. More are shed.
const MAX_WAITING: usize = 1_000;

/// Queues of all functions. Each function has its own, so that none holds up another.
#[derive(Default)]
pub(super) struct Admission {
    queues: Mutex<HashMap<String, Arc<Queue>>>,
}

struct Queue {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Why a request is not admitted.
#[derive(Debug, PartialEq)]
pub(super) enum NotAdmitted {
    TooManyWaiting,
    Timeout,
}

impl Admission {
    /// Waits until the function may get another request. The permit ends with the request.
    pub async fn admit(
        &self,
        function: &str,
        timeout: Duration,
    ) -> Result<OwnedSemaphorePermit, NotAdmitted> {
        let queue = self.queue(function);
        if let Ok(permit) = Arc::clone(&queue.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::enter(&queue.waiting).ok_or(NotAdmitted::TooManyWaiting)?;
        // The semaphore is fair, and never closed.
        let permit = tokio::time::timeout(timeout, Arc::clone(&queue.permits).acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(NotAdmitted::Timeout)
    }

    fn queue(&self, function: &str) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(Queue { permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)), waiting: AtomicUsize::new(0) })
        };
        Arc::clone(queues.entry(function.to_owned()).or_insert_with(new))
    }
}

/// A place in a queue, which ends when the request is admitted or its client has gone.
struct Waiting<'q>(&'q AtomicUsize);

impl<'q> Waiting<'q> {
    fn enter(waiting: &'q AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_function_s_burst_is_bounded_and_holds_up_no_other() {
        let admission = Arc::new(Admission::default());
        let mut held = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            held.push(admission.admit("a", Duration::ZERO).await.unwrap());
        }
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..=MAX_WAITING {
            let admission = Arc::clone(&admission);
            waiting.spawn(async move { admission.admit("a", Duration::from_secs(29)).await.map(drop) });
        }
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Err(NotAdmitted::TooManyWaiting));
        drop(admission.admit("b", Duration::ZERO).await.unwrap());

        drop(held);
        while let Some(admitted) = waiting.join_next().await {
            assert_eq!(admitted.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_request_waits_no_longer_than_its_deadline() {
        let admission = Admission::default();
        let mut held = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            held.push(admission.admit("a", Duration::ZERO).await.unwrap());
        }
        let late = admission.admit("a", Duration::from_millis(10)).await;
        assert_eq!(late.map(drop), Err(NotAdmitted::Timeout));
    }
}
