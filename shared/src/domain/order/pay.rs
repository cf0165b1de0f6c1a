//! Payment and capture.

use super::{
    OrderStatus, PaymentStatus,
    entity::{MAX_ATTEMPTS, Order},
    error::OrderError,
    place::EXPIRES_AFTER,
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{
    change::ChangeContext,
    id::Id,
    inventory::StockChanges,
    money::Money,
    payment::{AttemptStatus, Intent, IntentState, NewCapture, NewPayment, Payment},
    time::Timestamp,
    validation::{FieldError, Violation},
};

impl Order {
    /// Checks that the order can be paid now.
    ///
    /// # Errors
    /// [`OrderError::PaymentInProgress`], [`OrderError::NotPayable`].
    pub fn check_payable(&self, now: Timestamp) -> Result<(), OrderError> {
        let unpaid = matches!(self.payment_status, PaymentStatus::Unpaid | PaymentStatus::Voided);
        if self.payment_status == PaymentStatus::Processing && self.status == OrderStatus::Open {
            return Err(OrderError::PaymentInProgress);
        }
        let in_time = self.expires_at.is_some_and(|deadline| now < deadline);
        let payable = self.status == OrderStatus::Open && unpaid && in_time && !self.cancelling;
        if payable && self.payments.len() < MAX_ATTEMPTS { Ok(()) } else { Err(OrderError::NotPayable) }
    }

    /// Starts a payment. The provider knows it by `provider_id`, and no one has confirmed it yet.
    ///
    /// # Errors
    /// As for [`Self::check_payable`].
    pub fn begin_payment(
        &mut self,
        id: Id<Payment>,
        provider_id: String,
        new: &NewPayment,
        context: &ChangeContext,
    ) -> Result<(), OrderError> {
        self.check_payable(context.at)?;
        let nothing = Money::new(0, self.total.currency());
        self.payments.push(Payment {
            id,
            status: AttemptStatus::Processing,
            capture: new.capture,
            amount: self.total,
            captured: nothing,
            refunded: nothing,
            decline_code: None,
            next_action: None,
            provider_id,
            capturing: None,
            created_at: context.at,
        });
        self.record(
            TimelineEvent::new(TimelineEventType::PaymentStarted, context).of_payment(id, self.total),
        );
        self.set_payment_status(PaymentStatus::Processing)
    }

    /// Applies what the provider says about a payment. What the order knows already changes nothing.
    ///
    /// # Errors
    /// [`OrderError::Illegal`].
    pub fn apply_payment_update(
        &mut self,
        intent: &Intent,
        context: &ChangeContext,
    ) -> Result<StockChanges, OrderError> {
        let Some(place) = self.payments.iter().position(|payment| payment.provider_id == intent.id) else {
            return Ok(StockChanges::default());
        };
        let mut payment = self.payments[place].clone();
        let before = payment.status;
        payment.next_action = None;
        let (next, axis, kind) = match &intent.state {
            IntentState::Unconfirmed => return Ok(StockChanges::default()),
            IntentState::Processing => (AttemptStatus::Processing, PaymentStatus::Processing, None),
            IntentState::RequiresAction(action) => {
                payment.next_action.clone_from(action);
                (
                    AttemptStatus::RequiresAction,
                    PaymentStatus::Processing,
                    Some(TimelineEventType::PaymentActionRequired),
                )
            }
            IntentState::Declined(code) => {
                payment.decline_code = Some(code.clone());
                (AttemptStatus::Failed, PaymentStatus::Unpaid, Some(TimelineEventType::PaymentFailed))
            }
            IntentState::Authorized => {
                (AttemptStatus::Authorized, PaymentStatus::Authorized, Some(TimelineEventType::Authorized))
            }
            IntentState::Captured(captured) => {
                payment.captured = Money::new(*captured, payment.amount.currency());
                payment.capturing = None;
                (AttemptStatus::Captured, PaymentStatus::Paid, Some(TimelineEventType::Paid))
            }
            IntentState::Cancelled => {
                payment.capturing = None;
                let lapsed = before == AttemptStatus::Authorized;
                let axis = if lapsed { PaymentStatus::Voided } else { PaymentStatus::Unpaid };
                (AttemptStatus::Voided, axis, Some(TimelineEventType::PaymentVoided))
            }
        };
        if !before.may_become(next) {
            return Ok(StockChanges::default());
        }
        payment.status = next;
        match axis {
            PaymentStatus::Authorized | PaymentStatus::Paid => self.expires_at = None,
            // A lapsed authorization may be paid again.
            PaymentStatus::Voided => self.expires_at = Some(context.at + EXPIRES_AFTER),
            _ => {}
        }
        let amount = if next == AttemptStatus::Captured { payment.captured } else { payment.amount };
        let id = payment.id;
        self.payments[place] = payment;
        if let Some(kind) = kind {
            self.record(TimelineEvent::new(kind, context).of_payment(id, amount));
        }
        self.set_payment_status(axis)?;
        // A payment that arrives after the order was cancelled or closed is refunded.
        let unwanted = self.cancelling || self.status != OrderStatus::Open;
        if next == AttemptStatus::Captured && unwanted {
            self.refund_remaining(place, context);
        }
        self.conclude(context)
    }

    /// Starts to capture the authorized payment: the requested amount, or all of it.
    ///
    /// # Errors
    /// [`OrderError::NotCapturable`], [`OrderError::PaymentInProgress`], [`OrderError::Invalid`].
    pub fn begin_capture(
        &mut self,
        new: &NewCapture,
        context: &ChangeContext,
    ) -> Result<Id<Payment>, OrderError> {
        let place = self.payments.iter().position(|payment| payment.status == AttemptStatus::Authorized);
        let payment = place.map(|place| &mut self.payments[place]).ok_or(OrderError::NotCapturable)?;
        if payment.capturing.is_some() || self.cancelling {
            return Err(OrderError::PaymentInProgress);
        }
        let max = payment.amount.amount();
        let amount = new.amount.unwrap_or(max);
        if amount > max {
            return Err(amount_too_large(max).into());
        }
        let (id, amount) = (payment.id, Money::new(amount, payment.amount.currency()));
        payment.capturing = Some(amount);
        self.record(TimelineEvent::new(TimelineEventType::CaptureStarted, context).of_payment(id, amount));
        Ok(id)
    }

    /// Records that the provider refused a capture. The payment stays authorized.
    pub fn refuse_capture(&mut self, id: Id<Payment>, context: &ChangeContext) {
        if let Some(payment) = self.payments.iter_mut().find(|payment| payment.id == id) {
            payment.capturing = None;
            self.updated_at = context.at;
        }
    }
}

/// Reports a request for more than `max` minor units.
pub(super) fn amount_too_large(max: i64) -> FieldError {
    FieldError::new("/amount", Violation::TooLarge(max))
}
