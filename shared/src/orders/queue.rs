//! Walks a queue of due orders.

use super::checkout::Checkout;
use crate::{
    domain::{change::ChangeContext, order::DueQueue, order_id::OrderId},
    error::{self, Error},
    store::SHARDS,
    telemetry,
};

/// Result of walking a queue.
pub(super) struct Processed {
    /// The last error, if any.
    pub error: Option<Error>,
    /// Age of the oldest order that is still due, in seconds.
    pub oldest_seconds: i64,
}

impl Checkout {
    /// Processes every order of a queue that is due. An error is logged and does not hold up the other orders.
    ///
    /// # Errors
    /// The queue can't be read.
    pub(super) async fn process_queue<F>(
        &self,
        queue: DueQueue,
        context: &ChangeContext,
        process: impl Fn(OrderId) -> F,
    ) -> Result<Processed, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut processed = Processed { error: None, oldest_seconds: 0 };
        for shard in 0..SHARDS {
            let mut after = None;
            loop {
                let (orders, next) = self.orders.due(queue, shard, context.at, after).await?;
                for (order, due_at) in orders {
                    if let Err(error) = process(order).await {
                        let age = context.at.as_seconds() - due_at.as_seconds();
                        processed.oldest_seconds = processed.oldest_seconds.max(age);
                        telemetry::warn(&format!("{order} has to wait"), &error::chain(&error));
                        processed.error = Some(error);
                    }
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(processed)
    }
}
