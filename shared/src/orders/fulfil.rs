//! Ships an order.

use super::process::{self, Decision, Progress, damaged};
use crate::{
    auth::{OrderAccess, Scope},
    domain::{
        id::Id,
        order::{Fulfilment, NewFulfilment, Order},
        order_id::OrderId,
    },
    error::Error,
    store::{
        idempotency::{Idempotent, IdempotentRequest},
        orders::Orders,
    },
};

/// Ships all or part of an order.
///
/// # Errors
/// [`Error::OwnOrder`], [`Error::NotFound`], [`Error::Order`], [`Error::Validation`], [`Error::IdempotencyKeyReused`].
pub async fn fulfil(
    orders: &Orders,
    by: &OrderAccess,
    order: OrderId,
    new: &NewFulfilment,
    id: Id<Fulfilment>,
    request: &IdempotentRequest,
) -> Result<Idempotent<Fulfilment>, Error> {
    by.check_not_own(order.customer())?;
    if let (true, OrderAccess::Any(staff)) = (new.despite_dispute, by) {
        staff.require(Scope::PaymentsWrite)?;
    }
    let decide =
        |order| Decision::by(order, |order| Ok((id, order.fulfil(id, new.clone(), request.context())?)));
    let result = |order: &Order, id| {
        order.fulfilments.iter().find(|fulfilment| fulfilment.id == id).cloned().ok_or_else(damaged)
    };
    match process::start(orders, by, order, request, decide, |_| true, result).await? {
        Progress::Completed(fulfilment) => Ok(fulfilment),
        Progress::InProgress(..) => Err(Error::internal("a fulfilment takes a single step")),
    }
}
