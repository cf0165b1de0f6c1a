//! Cancels an order.

use super::{checkout::Checkout, process::Decision};
use crate::{
    auth::OrderAccess,
    domain::{order::Order, order_id::OrderId},
    error::Error,
    store::idempotency::{Idempotent, IdempotentRequest},
};

impl Checkout {
    /// Cancels an order: voids or refunds its payment first, then releases its stock.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Order`], [`Error::IdempotencyKeyReused`].
    pub async fn cancel(
        &self,
        by: &OrderAccess,
        id: OrderId,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Order>, Error> {
        let decide =
            |order| Decision::by(order, |order| Ok((id, order.begin_cancellation(request.context())?)));
        let ask = |order, _| self.ask_next_step(order, request);
        self.run(by, id, request, decide, ask, |order, _| Ok(order.clone())).await
    }
}
