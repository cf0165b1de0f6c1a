//! The end of an order.

use super::{
    FulfilmentStatus, OrderStatus, PaymentStatus,
    entity::Order,
    error::OrderError,
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{change::ChangeContext, inventory::StockChanges};

impl Order {
    /// Closes the order if nothing is left to do.
    pub(super) fn conclude(&mut self, context: &ChangeContext) -> Result<StockChanges, OrderError> {
        if self.status != OrderStatus::Open {
            return Ok(StockChanges::default());
        }
        let open = self.lines.iter().any(|line| line.open() > 0);
        let shipped = self.lines.iter().any(|line| line.fulfilled > 0);
        if shipped && !open && self.fulfilment_status != FulfilmentStatus::Fulfilled {
            self.fulfilment_status = FulfilmentStatus::Fulfilled;
        }
        let money_moves = self.next_step().is_some()
            || self
                .payments
                .iter()
                .any(|payment| payment.status.is_live() || (self.cancelling && payment.refundable() > 0));
        if money_moves {
            return Ok(StockChanges::default());
        }
        if self.cancelling {
            return self.close(OrderStatus::Cancelled, TimelineEventType::Cancelled, context);
        }
        use PaymentStatus::{Paid, PartiallyRefunded, Refunded};
        match (open, shipped, self.payment_status) {
            (false, true, Paid | PartiallyRefunded | Refunded) => {
                self.close(OrderStatus::Completed, TimelineEventType::Completed, context)
            }
            (false, false, _) => self.close(OrderStatus::Cancelled, TimelineEventType::Cancelled, context),
            _ => Ok(StockChanges::default()),
        }
    }

    /// Closes the order and releases the stock that is still reserved.
    pub(super) fn close(
        &mut self,
        status: OrderStatus,
        kind: TimelineEventType,
        context: &ChangeContext,
    ) -> Result<StockChanges, OrderError> {
        if !self.status.may_become(status) {
            return Err(OrderError::Illegal("closed"));
        }
        let stocks = self.release_all();
        (self.status, self.cancelling, self.expires_at) = (status, false, None);
        self.record(TimelineEvent::new(kind, context));
        Ok(stocks)
    }

    /// Releases the stock of everything not shipped.
    pub(super) fn release_all(&mut self) -> StockChanges {
        let mut stocks = StockChanges::default();
        for line in self.lines.iter_mut().filter(|line| line.open() > 0) {
            stocks.release(line.product_id, line.open());
            line.released += line.open();
        }
        stocks
    }
}
