//! Open steps of an order, and when they are due.

use std::time::Duration;

use strum::IntoStaticStr;

use super::{OrderStatus, entity::Order};
use crate::domain::{
    money::Money,
    payment::{AttemptStatus, Payment, Refund, RefundStatus},
    time::Timestamp,
};

/// After this time the process that started a payment operation has ended, one way or another.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(30);
/// A refund that the provider has accepted is checked again after this time.
const REFUND_CHECKED_AFTER: Duration = Duration::from_secs(60 * 60);
/// An authorization has lapsed after this time: <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>.
const AUTHORIZATION_LAPSES_AFTER: Duration = Duration::from_secs((7 * 24 + 1) * 60 * 60);

/// Question or request to the payment provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderStep {
    Refund(Refund, Payment),
    /// Capture this much of an authorized payment.
    Capture(Payment, Money),
    /// Cancel a payment before it is captured.
    Cancel(Payment),
    /// Read the outcome of a payment, and cancel it if no one has tried to confirm it.
    ResolvePayment(Payment),
    /// Read the outcome of a refund that the provider has accepted.
    ResolveRefund(Refund, Payment),
}

/// Queue in which an order waits to be looked at again. Its text is part of the key of the index `due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE", const_into_str)]
pub enum DueQueue {
    /// Unpaid orders, for orders-expire.
    Expiry,
    /// Orders with an open question to the provider, for payments-reconcile.
    #[strum(serialize = "DOUBT")]
    InDoubt,
    /// Orders whose question the provider has not answered yet, for payments-reconcile.
    Unresolved,
}

impl Order {
    /// Decides what to ask the payment provider next.
    pub fn next_step(&self) -> Option<ProviderStep> {
        if let Some(refund) = self.refunds.iter().find(|refund| refund.is_in_doubt()) {
            let payment = self.payment(refund.payment_id)?;
            return Some(ProviderStep::Refund(refund.clone(), payment.clone()));
        }
        let live = self.live_payment()?;
        match live.capturing {
            Some(amount) => Some(ProviderStep::Capture(live.clone(), amount)),
            None if self.cancelling => Some(ProviderStep::Cancel(live.clone())),
            None if live.status == AttemptStatus::Processing => {
                Some(ProviderStep::ResolvePayment(live.clone()))
            }
            None => None,
        }
    }

    /// Decides what reconciliation asks: [`next_step`](Self::next_step), or else what may have changed without a webhook.
    pub fn background_step(&self) -> Option<ProviderStep> {
        let payment = || self.live_payment().cloned().map(ProviderStep::ResolvePayment);
        let refund = || {
            let refund = self.refunds.iter().find(|refund| refund.status == RefundStatus::Pending)?;
            Some(ProviderStep::ResolveRefund(refund.clone(), self.payment(refund.payment_id)?.clone()))
        };
        self.next_step().or_else(payment).or_else(refund)
    }

    /// Decides when to look at the order again, and in which queue it waits until then.
    pub fn due(&self) -> Option<(DueQueue, Timestamp)> {
        if self.next_step().is_some() {
            return Some((DueQueue::InDoubt, self.updated_at + ABANDONED_AFTER));
        }
        if self.refunds.iter().any(|refund| refund.status == RefundStatus::Pending) {
            return Some((DueQueue::InDoubt, self.updated_at + REFUND_CHECKED_AFTER));
        }
        if let Some(payment) =
            self.payments.iter().find(|payment| payment.status == AttemptStatus::Authorized)
        {
            return Some((DueQueue::InDoubt, payment.created_at + AUTHORIZATION_LAPSES_AFTER));
        }
        let waits = self.status == OrderStatus::Open;
        self.expires_at.filter(|_| waits).map(|at| (DueQueue::Expiry, at))
    }
}
