//! Refunds a payment.

use super::{
    checkout::Checkout,
    process::{Decision, damaged},
};
use crate::{
    auth::OrderAccess,
    domain::{
        id::Id,
        inventory::StockChanges,
        order::Order,
        order_id::OrderId,
        payment::{NewRefund, Refund},
    },
    error::Error,
    store::idempotency::{Idempotent, IdempotentRequest},
};

impl Checkout {
    /// Refunds all or part of a payment, and releases or restocks goods.
    ///
    /// # Errors
    /// [`Error::OwnOrder`], [`Error::NotFound`], [`Error::Order`], [`Error::Validation`], [`Error::IdempotencyKeyReused`].
    pub async fn refund(
        &self,
        by: &OrderAccess,
        order: OrderId,
        new: &NewRefund,
        id: Id<Refund>,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Refund>, Error> {
        by.check_not_own(order.customer())?;
        let decide = |order| {
            Decision::by(order, |order| {
                order.begin_refund(id, new.clone(), request.context())?;
                Ok((id, StockChanges::default()))
            })
        };
        let ask = |order, _| self.ask_next_step(order, request);
        let result = |order: &Order, id| order.refund(id).cloned().ok_or_else(damaged);
        self.run(by, order, request, decide, ask, result).await
    }
}
