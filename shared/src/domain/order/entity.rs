//! The order itself.

use serde::{Deserialize, Serialize};

use super::{
    FulfilmentStatus, OrderStatus, PaymentStatus,
    error::OrderError,
    fulfilment::Fulfilment,
    line::{self, Line},
    timeline::{TimelineEvent, TimelineEventType},
};
use crate::domain::{
    change::ChangeContext,
    id::Id,
    inventory::ItemQuantity,
    money::Money,
    order_id::OrderId,
    payment::{Payment, Refund},
    product::Product,
    time::Timestamp,
    user::{Address, User},
    validation::FieldError,
};

/// Maximum payment attempts, refunds and fulfilments of an order: DynamoDB limits an item to 400 KB.
pub(super) const MAX_ATTEMPTS: usize = 50;

/// A customer's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    pub customer_id: Id<User>,
    pub status: OrderStatus,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    /// Each product once.
    pub lines: Vec<Line>,
    pub total: Money,
    pub shipping_address: Address,
    /// Payment deadline: an order that is unpaid by then returns its stock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// A cancellation is in progress: the payment is voided or refunded first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// The customer's bank has opened a dispute.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// Payment attempts, oldest first.
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
    pub fulfilments: Vec<Fulfilment>,
    pub timeline: Vec<TimelineEvent>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Order {
    /// Returns the number of the next payment attempt, from 1.
    pub fn next_attempt(&self) -> usize {
        self.payments.len() + 1
    }

    /// Returns the events since `before`, an earlier state of this order.
    pub fn events_since(&self, before: &Self) -> &[TimelineEvent] {
        self.timeline.get(before.timeline.len()..).unwrap_or(&[])
    }

    pub fn payment(&self, id: Id<Payment>) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.id == id)
    }

    /// Returns the payment that reserves money or may still do so. There is at most one.
    pub fn live_payment(&self) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.status.is_live())
    }

    pub fn refund(&self, id: Id<Refund>) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// Erases the customer's name and address. The country stays, for the accounts.
    pub fn erase(&mut self, context: &ChangeContext) {
        self.shipping_address = self.shipping_address.erased();
        self.record(TimelineEvent::new(TimelineEventType::Erased, context));
    }

    pub(super) fn record(&mut self, event: TimelineEvent) {
        self.updated_at = event.at;
        self.timeline.push(event);
    }

    /// Moves the order along the payment axis.
    pub(super) fn set_payment_status(&mut self, next: PaymentStatus) -> Result<(), OrderError> {
        if self.payment_status == next {
            Ok(())
        } else if self.payment_status.may_become(next) {
            self.payment_status = next;
            Ok(())
        } else {
            Err(OrderError::Illegal("payment status"))
        }
    }

    /// Merges the requested quantities per product, and reports each that exceeds what `available` allows of its line.
    pub(super) fn select(
        &self,
        list: &str,
        requested: &[ItemQuantity],
        available: impl Fn(&Line) -> i64,
        errors: &mut Vec<FieldError>,
    ) -> Vec<ItemQuantity> {
        let mut selected: Vec<ItemQuantity> = Vec::new();
        for (index, item) in requested.iter().enumerate() {
            let Some(line) = self.lines.iter().find(|line| line.product_id == item.product_id) else {
                errors.push(line::unknown_product(list, index, &["the products of the order"]));
                continue;
            };
            let earlier = selected.iter_mut().find(|earlier| earlier.product_id == item.product_id);
            let left = available(line) - earlier.as_ref().map_or(0, |earlier| earlier.quantity);
            if item.quantity > left {
                errors.push(line::too_large(list, index, left));
            }
            match earlier {
                Some(earlier) => earlier.quantity += item.quantity,
                None => selected.push(item.clone()),
            }
        }
        selected
    }

    /// Returns the line of a product that [`select`](Self::select) found in the order.
    pub(super) fn line_mut(&mut self, product: Id<Product>) -> Result<&mut Line, OrderError> {
        let line = self.lines.iter_mut().find(|line| line.product_id == product);
        line.ok_or(OrderError::Illegal("it has no line of this product"))
    }
}
