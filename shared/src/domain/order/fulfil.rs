//! Fulfilment.

use super::{
    FulfilmentStatus, OrderStatus, PaymentStatus,
    entity::{MAX_ATTEMPTS, Order},
    error::OrderError,
    fulfilment::{Fulfilment, NewFulfilment},
    line::Line,
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{
    change::ChangeContext,
    id::Id,
    inventory::{ItemQuantity, StockChanges},
    payment::Refund,
    validation::{FieldError, ValidationErrors, Violation},
};

impl Order {
    /// Ships all or part of the order.
    ///
    /// # Errors
    /// [`OrderError::NotFulfillable`], [`OrderError::PaymentInProgress`], [`OrderError::Disputed`],
    /// [`OrderError::Invalid`].
    pub fn fulfil(
        &mut self,
        id: Id<Fulfilment>,
        new: NewFulfilment,
        context: &ChangeContext,
    ) -> Result<StockChanges, OrderError> {
        use PaymentStatus::{Authorized, Paid, PartiallyRefunded};
        let paid = matches!(self.payment_status, Authorized | Paid | PartiallyRefunded);
        let left = self.lines.iter().any(|line| line.open() > 0);
        if self.status != OrderStatus::Open || !paid || !left || self.fulfilments.len() >= MAX_ATTEMPTS {
            return Err(OrderError::NotFulfillable);
        }
        if self.cancelling || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(OrderError::PaymentInProgress);
        }
        if self.disputed && !new.despite_dispute {
            return Err(OrderError::Disputed);
        }
        let all_left = || {
            let open = self.lines.iter().filter(|line| line.open() > 0);
            open.map(|line| ItemQuantity { product_id: line.product_id, quantity: line.open() })
                .collect::<Vec<_>>()
        };
        let mut errors = Vec::new();
        let lines = match &new.lines {
            Some(requested) => self.select("lines", requested, Line::open, &mut errors),
            None => all_left(),
        };
        if lines.len() > ItemQuantity::MAX {
            errors.push(FieldError::new("/lines", Violation::TooMany(ItemQuantity::MAX)));
        }
        ValidationErrors::check(errors)?;
        let mut stocks = StockChanges::default();
        for item in &lines {
            stocks.ship(item.product_id, item.quantity);
            self.line_mut(item.product_id)?.fulfilled += item.quantity;
        }
        self.fulfilments.push(Fulfilment { id, lines, tracking: new.tracking, created_at: context.at });
        self.record(TimelineEvent {
            fulfilment_id: Some(id),
            ..TimelineEvent::new(TimelineEventType::Fulfilled, context)
        });
        if self.fulfilment_status == FulfilmentStatus::Unfulfilled {
            self.fulfilment_status = FulfilmentStatus::PartiallyFulfilled;
        }
        stocks.extend(self.conclude(context)?);
        Ok(stocks)
    }
}
