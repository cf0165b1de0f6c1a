//! Resolves payments and refunds in doubt.

use std::time::Duration;

use super::{checkout::Checkout, process, provider_step};
use crate::{
    domain::{
        change::ChangeContext,
        order::{ABANDONED_AFTER, DueQueue, Order, ProviderStep},
        order_id::OrderId,
        time::Timestamp,
    },
    error::Error,
    store::{MAX_RETRIES, Saved, contended, idempotency::RecordWrite},
    telemetry::{self, Metric},
};

/// Maximum pause between two looks at an order in doubt.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum steps with one order: each leads to the next, and no order has more than a few.
const MAX_STEPS: u32 = 2 * MAX_RETRIES;

impl Checkout {
    /// Asks the provider about every order in doubt that is due.
    ///
    /// # Errors
    /// At least one order could not be resolved. The schedule retries.
    pub async fn reconcile(&self, context: &ChangeContext) -> Result<(), Error> {
        let resolve = |id| self.resolve(id, context);
        let in_doubt = self.process_queue(DueQueue::InDoubt, context, resolve).await;
        let unresolved = self.process_queue(DueQueue::Unresolved, context, resolve).await?;
        telemetry::gauge(Metric::PaymentsInDoubt, self.orders.count_unresolved().await?);
        unresolved.error.or(in_doubt?.error).map_or(Ok(()), Err)
    }

    /// Asks the provider about an order until nothing is in doubt, or it has no news.
    async fn resolve(&self, id: OrderId, context: &ChangeContext) -> Result<(), Error> {
        let mut before = self.orders.load(id).await?;
        let due = before.value.due();
        if due.is_none_or(|(queue, at)| queue == DueQueue::Expiry || at > context.at) {
            return Ok(());
        }
        for _ in 0..MAX_STEPS {
            let Some(step) = before.value.background_step() else { return Ok(()) };
            let update = match provider_step::ask(&self.provider, &step, context).await {
                Ok(update) => update,
                Err(error) => {
                    self.orders.postpone(&before, next_look(&before.value, context.at)).await?;
                    return Err(error.into());
                }
            };
            let mut order = before.value.clone();
            let stocks = update.apply(&mut order, context)?;
            if order == before.value {
                return self.orders.postpone(&before, next_look(&before.value, context.at)).await;
            }
            let saved =
                process::save(&self.orders, &before, order, &stocks, RecordWrite::None, context).await?;
            before = match saved {
                Saved::Committed(after) => {
                    if matches!(step, ProviderStep::ResolvePayment(_) | ProviderStep::ResolveRefund(..)) {
                        provider_step::count_mismatches(&before.value, &after.value);
                    }
                    after
                }
                Saved::Conflict | Saved::Replayed(_) => self.orders.load(id).await?,
            };
            if before.value.next_step().is_none() {
                return Ok(());
            }
        }
        Err(contended())
    }
}

/// Decides when to look at an order in doubt again: the longer it has been in doubt, the later.
fn next_look(order: &Order, now: Timestamp) -> Timestamp {
    now + (now.since(order.updated_at) / 2).clamp(ABANDONED_AFTER, MAX_PAUSE)
}
