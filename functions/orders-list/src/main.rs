//! `GET /orders`: a customer's own orders, or the staff's view of all, the newest first.

use std::process::ExitCode;

use shared::{
    auth::{OrderAccess, Scope},
    domain::order::OrderId,
    error::Error,
    http::{self, Answer, Paging, Request},
    store::{
        keys::Keys,
        orders::{OrderQuery, Orders},
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.orders()?)), list).await
}

async fn list((keys, orders): &(Keys, Orders), request: Request) -> Result<Answer, Error> {
    let caller = request.order_access(keys, Scope::OrdersRead).await?;
    let (mut query, paging) = request.query(|query| {
        let (orders, paging) = (OrderQuery::read(query), Paging::read(query));
        Some((orders?, paging?))
    })?;

    // Before the cursor is read: it is bound to whose orders are asked for.
    if let OrderAccess::Own(own) = &caller {
        query.customer_id.get_or_insert(own.id());
    }
    let (limit, after) = (paging.limit, paging.after(&query)?);
    if after.is_some_and(|id: OrderId| query.customer_id.is_some_and(|customer| customer != id.customer())) {
        return Err(Error::InvalidCursor);
    }
    let page = match (&caller, query.customer_id) {
        (caller, Some(customer)) if !caller.reaches(customer) => {
            return Err(Error::InsufficientScope(Scope::OrdersRead.as_str()));
        }
        (_, Some(customer)) => orders.list_of(customer, &query, limit, after).await?,
        (OrderAccess::Own(own), None) => orders.list_of(own.id(), &query, limit, after).await?,
        (OrderAccess::Any(staff), None) => orders.list(staff, &query, limit, after).await?,
    };

    Answer::page(&request, &page, &query)
}
