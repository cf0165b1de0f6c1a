//! Erases personal data from a customer's orders.

use super::process;
use crate::{
    auth::Customer,
    domain::{
        change::ChangeContext,
        inventory::StockChanges,
        order::{Order, OrderStatus},
    },
    error::Error,
    store::{
        Saved, Versioned, contended,
        idempotency::RecordWrite,
        orders::{IdempotencyRecordKeys, Orders},
    },
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
    erase_all(orders, own, records, context).await
}

/// Erases the same from orders placed while the account was erased, open ones included. They expire unpaid.
pub async fn erase_late(orders: &Orders, customer: &Customer, context: &ChangeContext) -> Result<(), Error> {
    let (own, records) = orders.all_of(customer.id()).await?;
    erase_all(orders, own, records, context).await
}

async fn erase_all(
    orders: &Orders,
    own: Vec<Versioned<Order>>,
    records: IdempotencyRecordKeys,
    context: &ChangeContext,
) -> Result<(), Error> {
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
