//! Captures an authorized payment.

use super::{
    checkout::Checkout,
    process::{Decision, damaged},
};
use crate::{
    auth::OrderAccess,
    domain::{
        inventory::StockChanges,
        order::Order,
        order_id::OrderId,
        payment::{NewCapture, Payment},
    },
    error::Error,
    store::idempotency::{Idempotent, IdempotentRequest},
};

impl Checkout {
    /// Captures all or part of the authorized amount.
    ///
    /// # Errors
    /// [`Error::OwnOrder`], [`Error::NotFound`], [`Error::Order`], [`Error::Validation`], [`Error::IdempotencyKeyReused`].
    pub async fn capture(
        &self,
        by: &OrderAccess,
        order: OrderId,
        new: &NewCapture,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Payment>, Error> {
        by.check_not_own(order.customer())?;
        let decide = |order| {
            Decision::by(order, |order| {
                Ok((order.begin_capture(new, request.context())?, StockChanges::default()))
            })
        };
        let ask = |order, _| self.ask_next_step(order, request);
        let result = |order: &Order, id| order.payment(id).cloned().ok_or_else(damaged);
        self.run(by, order, request, decide, ask, result).await
    }
}
