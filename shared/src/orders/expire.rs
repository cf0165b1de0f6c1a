//! Expires unpaid orders.

use super::{checkout::Checkout, process, provider_step};
use crate::{
    domain::{
        change::ChangeContext,
        inventory::StockChanges,
        order::{DueQueue, Order, OrderError},
        order_id::OrderId,
    },
    error::Error,
    telemetry::{self, Metric},
};

impl Checkout {
    /// Expires every order whose payment deadline has passed.
    ///
    /// # Errors
    /// At least one order could not be expired. The schedule retries.
    pub async fn expire_overdue(&self, context: &ChangeContext) -> Result<(), Error> {
        let processed = self.process_queue(DueQueue::Expiry, context, |id| self.expire(id, context)).await?;
        telemetry::gauge(Metric::OldestUnpaid, processed.oldest_seconds);
        processed.error.map_or(Ok(()), Err)
    }

    /// Cancels the payment of an overdue order, then releases its stock.
    async fn expire(&self, id: OrderId, context: &ChangeContext) -> Result<(), Error> {
        let expire = |mut order: Order| async move {
            let mut stocks = StockChanges::default();
            if !order.is_overdue(context.at) {
                return Ok((order, stocks));
            }
            if let Some(payment) = order.live_payment().cloned() {
                let intent = provider_step::cancel(&self.provider, &payment).await?;
                stocks = order.apply_payment_update(&intent, context)?;
            }
            match order.expire(context) {
                Ok(released) => stocks.extend(released),
                // Paid at the last moment, or still with the bank.
                Err(OrderError::NotExpired) => {}
                Err(error) => return Err(error.into()),
            }
            Ok((order, stocks))
        };
        if let Some((before, after)) = process::update(&self.orders, id, context, expire).await? {
            provider_step::count_mismatches(&before, &after);
        }
        Ok(())
    }
}
