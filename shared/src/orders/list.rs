//! Lists orders.

use crate::{
    auth::{OrderAccess, Scope},
    domain::{order::Order, order_id::OrderId},
    error::Error,
    store::{
        Page,
        orders::{OrderQuery, Orders},
    },
};

impl OrderQuery {
    /// Restricts the query to the caller's own orders, unless the caller may see all.
    #[must_use]
    pub fn restricted_to(mut self, caller: &OrderAccess) -> Self {
        if let OrderAccess::Own(own) = caller {
            self.customer_id.get_or_insert(own.id());
        }
        self
    }
}

/// Lists orders, newest first.
///
/// # Errors
/// [`Error::InsufficientScope`] for another customer's orders, [`Error::InvalidCursor`].
pub async fn list(
    orders: &Orders,
    caller: &OrderAccess,
    query: &OrderQuery,
    limit: usize,
    after: Option<OrderId>,
) -> Result<Page<Order, OrderId>, Error> {
    match (caller, query.customer_id) {
        (caller, Some(customer)) if !caller.reaches(customer) => {
            Err(Error::InsufficientScope(Scope::OrdersRead.into_str()))
        }
        (_, Some(customer)) if after.is_some_and(|id| id.customer() != customer) => Err(Error::InvalidCursor),
        (_, Some(customer)) => orders.list_of(customer, query, limit, after).await,
        (OrderAccess::Own(own), None) => orders.list_of(own.id(), query, limit, after).await,
        (OrderAccess::Any(staff), None) => orders.list(staff, query, limit, after).await,
    }
}
