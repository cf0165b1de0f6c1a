//! `POST /orders/{order_id}/fulfilments`: ships all or part of an order.

use shared::{auth::OrderAccess, domain::order::NewFulfilment, orders, prelude::*, store::orders::Orders};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Orders), ConfigError> {
    Ok((store.keys().await?, store.audited()?.orders_and_stock()?))
}

async fn handle((keys, orders): &(Keys, Orders), request: Request) -> Result<Response, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::OrdersWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewFulfilment::read)?;

    let once = key.bind(staff.authority(), &(id, &new))?;
    let fulfilment = orders::fulfil(orders, &staff, id, &new, request.new_id()?, &once).await?;

    Ok(Response::created(&fulfilment.value)?.replayed_if(fulfilment.replayed))
}
