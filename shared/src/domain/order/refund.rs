//! Refunds and disputes.

use super::{
    OrderStatus, PaymentStatus,
    entity::{MAX_ATTEMPTS, Order},
    error::OrderError,
    line::Line,
    pay::amount_too_large,
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{
    change::ChangeContext,
    id::Id,
    inventory::StockChanges,
    money::Money,
    payment::{DisputeUpdate, NewRefund, Refund, RefundStatus, RefundUpdate},
    validation::ValidationErrors,
};

impl Order {
    /// Starts a refund.
    ///
    /// # Errors
    /// [`OrderError::NotRefundable`], [`OrderError::PaymentInProgress`], [`OrderError::Invalid`].
    pub fn begin_refund(
        &mut self,
        id: Id<Refund>,
        new: NewRefund,
        context: &ChangeContext,
    ) -> Result<(), OrderError> {
        if self.cancelling || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(OrderError::PaymentInProgress);
        }
        let place = self.payments.iter().position(|payment| payment.refundable() > 0);
        let place = place.ok_or(OrderError::NotRefundable)?;
        if self.disputed || self.refunds.len() >= MAX_ATTEMPTS {
            return Err(OrderError::NotRefundable);
        }
        let mut errors = Vec::new();
        let open = |line: &Line| if self.status == OrderStatus::Open { line.open() } else { 0 };
        let restock = self.select("restock", &new.restock, Line::returnable, &mut errors);
        let release = self.select("release", &new.release, open, &mut errors);
        let left = self.payments[place].refundable();
        if new.amount.is_some_and(|amount| amount > left) {
            errors.push(amount_too_large(left));
        }
        ValidationErrors::check(errors)?;
        self.add_refund(id, place, NewRefund { restock, release, ..new }, context);
        Ok(())
    }

    /// Starts to refund what is left of a payment. The refund's id derives from the payment's, so that a retry makes the
    /// same one; it differs from earlier refunds, because the provider answers a known id with the earlier refund.
    pub(super) fn refund_remaining(&mut self, place: usize, context: &ChangeContext) {
        let mut id = u128::from_be_bytes(self.payments[place].id.to_bytes());
        while self.refunds.iter().any(|refund| refund.id == Id::from_bytes(id.to_be_bytes())) {
            id = id.wrapping_add(1);
        }
        self.add_refund(Id::from_bytes(id.to_be_bytes()), place, NewRefund::default(), context);
    }

    fn add_refund(&mut self, id: Id<Refund>, payment: usize, new: NewRefund, context: &ChangeContext) {
        let payment = &self.payments[payment];
        let amount = new.amount.unwrap_or(payment.refundable());
        let refund = Refund {
            id,
            payment_id: payment.id,
            status: RefundStatus::Pending,
            amount: Money::new(amount, payment.amount.currency()),
            reason: new.reason,
            restock: new.restock,
            release: new.release,
            provider_id: None,
            created_at: context.at,
        };
        self.record(TimelineEvent::new(TimelineEventType::RefundStarted, context).of_refund(&refund));
        self.refunds.push(refund);
    }

    /// Applies what the provider says about a refund. What the order knows already changes nothing.
    ///
    /// # Errors
    /// [`OrderError::Illegal`].
    pub fn apply_refund_update(
        &mut self,
        update: &RefundUpdate,
        context: &ChangeContext,
    ) -> Result<StockChanges, OrderError> {
        let mut stocks = StockChanges::default();
        let Some(place) = self.refunds.iter().position(|refund| update.is_of(refund)) else {
            return Ok(stocks);
        };
        let refund = &mut self.refunds[place];
        let (accepted, before) = (refund.provider_id.is_some(), refund.status);
        if before == RefundStatus::Failed || (accepted && before == update.status) {
            return Ok(stocks);
        }
        if update.status == RefundStatus::Pending && accepted {
            return Ok(stocks);
        }
        refund.status = update.status;
        refund.provider_id = Some(update.provider_id.clone());
        let refund = refund.clone();
        match (accepted, update.status) {
            (false, RefundStatus::Failed) => self.fail_refund(&refund, context),
            (false, _) => stocks = self.accept_refund(&refund, context)?,
            (true, RefundStatus::Failed) => {
                self.add_refunded(&refund, -refund.amount.amount())?;
                self.fail_refund(&refund, context);
            }
            // Pending before, succeeded now.
            (true, _) => self.updated_at = context.at,
        }
        stocks.extend(self.conclude(context)?);
        Ok(stocks)
    }

    /// Records that the provider refused a refund.
    pub fn refuse_refund(&mut self, id: Id<Refund>, context: &ChangeContext) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id && refund.is_in_doubt()) {
            refund.status = RefundStatus::Failed;
            let refund = refund.clone();
            self.fail_refund(&refund, context);
        }
    }

    /// Applies what the provider says about a dispute.
    pub fn apply_dispute_update(&mut self, update: DisputeUpdate, context: &ChangeContext) {
        let kind = match update {
            DisputeUpdate::Opened => TimelineEventType::Disputed,
            DisputeUpdate::Won => TimelineEventType::DisputeWon,
            DisputeUpdate::Lost => TimelineEventType::DisputeLost,
        };
        if !self.timeline.iter().any(|event| event.r#type == kind) {
            // Webhooks may arrive late: a closed dispute stays closed.
            let closed = |event: &TimelineEvent| {
                matches!(event.r#type, TimelineEventType::DisputeWon | TimelineEventType::DisputeLost)
            };
            let late = update == DisputeUpdate::Opened && self.timeline.iter().any(closed);
            self.disputed = if late { self.disputed } else { update != DisputeUpdate::Won };
            self.record(TimelineEvent::new(kind, context));
        }
    }

    fn accept_refund(
        &mut self,
        refund: &Refund,
        context: &ChangeContext,
    ) -> Result<StockChanges, OrderError> {
        let mut stocks = StockChanges::default();
        self.add_refunded(refund, refund.amount.amount())?;
        self.record(TimelineEvent::new(TimelineEventType::Refunded, context).of_refund(refund));
        for item in &refund.restock {
            stocks.restock(item.product_id, item.quantity);
            self.line_mut(item.product_id)?.restocked += item.quantity;
        }
        if self.status == OrderStatus::Open {
            for item in &refund.release {
                stocks.release(item.product_id, item.quantity);
                self.line_mut(item.product_id)?.released += item.quantity;
            }
            // After a full refund, nothing more is shipped.
            if self.payment_status == PaymentStatus::Refunded {
                stocks.extend(self.release_all());
            }
        }
        Ok(stocks)
    }

    fn fail_refund(&mut self, refund: &Refund, context: &ChangeContext) {
        self.cancelling = false;
        self.record(TimelineEvent::new(TimelineEventType::RefundFailed, context).of_refund(refund));
    }

    /// Adds to what was refunded of a payment, or subtracts if negative.
    fn add_refunded(&mut self, refund: &Refund, amount: i64) -> Result<(), OrderError> {
        let payment = self.payments.iter_mut().find(|payment| payment.id == refund.payment_id);
        let payment = payment.ok_or(OrderError::Illegal("refunded without a payment"))?;
        payment.refunded = Money::new(payment.refunded.amount() + amount, payment.refunded.currency());
        let next = match (payment.refunded.amount(), payment.refundable()) {
            (0, _) => PaymentStatus::Paid,
            (_, 0) => PaymentStatus::Refunded,
            _ => PaymentStatus::PartiallyRefunded,
        };
        self.set_payment_status(next)
    }
}
