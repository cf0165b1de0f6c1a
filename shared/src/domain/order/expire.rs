//! Expiry of an unpaid order.

use super::{OrderStatus, PaymentStatus, entity::Order, error::OrderError, timeline::TimelineEventType};
use crate::domain::{change::ChangeContext, inventory::StockChanges, time::Timestamp};

impl Order {
    /// Returns whether the payment deadline of an open order has passed.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.status == OrderStatus::Open && self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    /// Returns the stock, if the payment deadline has passed and no payment is in progress.
    ///
    /// # Errors
    /// [`OrderError::NotExpired`].
    pub fn expire(&mut self, context: &ChangeContext) -> Result<StockChanges, OrderError> {
        let unpaid = matches!(self.payment_status, PaymentStatus::Unpaid | PaymentStatus::Voided);
        let untouched = self.next_step().is_none() && !self.cancelling;
        if !self.is_overdue(context.at) || !unpaid || !untouched {
            return Err(OrderError::NotExpired);
        }
        self.close(OrderStatus::Expired, TimelineEventType::Expired, context)
    }
}
