//! Places an order.

use super::process;
use crate::{
    auth::Customer,
    domain::{
        id::Id,
        order::{NewOrder, Order, PlaceOrderError},
        order_id::{OrderId, OwnPart},
    },
    error::Error,
    store::{
        MAX_RETRIES, contended,
        idempotency::{ExistingRecord, Idempotent, IdempotentRequest},
        orders::{Orders, Placement},
    },
    telemetry::{self, Metric},
};

/// Places an order at the catalogue's prices and reserves its stock, all of it or nothing.
///
/// # Errors
/// [`Error::InvalidToken`], [`Error::OutOfStock`], [`Error::PriceChanged`], [`Error::Validation`], [`Error::IdempotencyKeyReused`].
pub async fn place(
    orders: &Orders,
    customer: &Customer,
    new: &NewOrder,
    id: Id<OwnPart>,
    request: &IdempotentRequest,
) -> Result<Idempotent<Order>, Error> {
    let id = OrderId::new(id, customer.id());
    for _ in 0..MAX_RETRIES {
        let (catalogue, existing) = orders.load_catalogue(new, request).await?;
        if let Some(ExistingRecord::Completed(order)) = existing {
            return Ok(order);
        }
        let placed = new.clone().place(id, &catalogue, request.context());
        let (order, stocks) = placed.map_err(|error| match error {
            PlaceOrderError::Invalid(errors) => Error::Validation(errors),
            PlaceOrderError::PriceChanged(total) => Error::PriceChanged(total),
        })?;
        match orders.create(customer, &order, &stocks, request).await? {
            Placement::Placed => {
                process::count(&order.timeline);
                return Ok(request.first(order));
            }
            Placement::Replayed(order) => return Ok(*order),
            Placement::OutOfStock(lines) => {
                telemetry::count(Metric::StockOuts);
                return Err(Error::OutOfStock(lines));
            }
            Placement::Conflict => {}
        }
    }
    Err(contended())
}
