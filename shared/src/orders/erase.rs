//! Erases personal data from a customer's orders.

use super::process;
use crate::{
    auth::Customer,
    domain::{change::ChangeContext, inventory::StockChanges, order::OrderStatus},
    error::Error,
    store::{Saved, contended, idempotency::RecordWrite, orders::Orders},
};

/// Erases names, addresses and idempotency records of a customer. The orders stay for the accounts.
///
/// # Errors
/// [`Error::OrderOpen`].
pub async fn erase(orders: &Orders, customer: &Customer, context: &ChangeContext) -> Result<(), Error> {
    let (own, records) = orders.all_of(customer.id()).await?;
    if own.iter().any(|order| order.value.status == OrderStatus::Open) {
        return Err(Error::OrderOpen);
    }
    for before in own {
        let mut order = before.value.clone();
        if order.shipping_address == order.shipping_address.erased() {
            continue;
        }
        order.erase(context);
        let stocks = StockChanges::default();
        let saved = process::save(orders, &before, order, &stocks, RecordWrite::None, context).await?;
        // A conflict, with a late refund for example: the customer retries.
        let Saved::Committed(_) = saved else { return Err(contended()) };
    }
    orders.delete_records(records).await
}
