//! Cancellation.

use super::{
    OrderStatus,
    entity::{MAX_ATTEMPTS, Order},
    error::OrderError,
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{change::ChangeContext, inventory::StockChanges, payment::Refund};

impl Order {
    /// Starts to cancel the order. Without money to return, this completes at once.
    ///
    /// # Errors
    /// [`OrderError::NotCancellable`], [`OrderError::PaymentInProgress`].
    pub fn begin_cancellation(&mut self, context: &ChangeContext) -> Result<StockChanges, OrderError> {
        let shipped = self.lines.iter().any(|line| line.fulfilled > 0);
        if self.status != OrderStatus::Open || shipped {
            return Err(OrderError::NotCancellable);
        }
        let capturing = self.payments.iter().any(|payment| payment.capturing.is_some());
        if self.cancelling || capturing || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(OrderError::PaymentInProgress);
        }
        if self.refunds.len() >= MAX_ATTEMPTS {
            return Err(OrderError::NotCancellable);
        }
        self.cancelling = true;
        let paid = self.payments.iter().position(|payment| payment.refundable() > 0);
        if paid.is_some() || self.payments.iter().any(|payment| payment.status.is_live()) {
            self.record(TimelineEvent::new(TimelineEventType::CancellationStarted, context));
        }
        if let Some(place) = paid {
            self.refund_remaining(place, context);
        }
        self.conclude(context)
    }
}
