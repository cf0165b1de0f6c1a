//! `GET /orders`: lists the caller's orders, or all orders for staff, newest first.

use shared::{
    http::Paging,
    orders,
    prelude::*,
    store::orders::{OrderQuery, Orders},
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Orders), ConfigError> {
    Ok((store.keys().await?, store.orders()?))
}

async fn handle((keys, orders): &(Keys, Orders), request: Request) -> Result<Response, Error> {
    let caller = request.order_access(keys, Scope::OrdersRead).await?;
    let (query, paging) = request.query(|query| {
        let (orders, paging) = (OrderQuery::read(query), Paging::read(query));
        Some((orders?, paging?))
    })?;

    let query = query.restricted_to(&caller);
    let page = orders::list(orders, &caller, &query, paging.limit, paging.after(&query)?).await?;

    Response::page(&request, &page, &query)
}
