//! `POST /orders`: places an order and reserves its stock, all of it or nothing.

use shared::{domain::order::NewOrder, orders, prelude::*, store::orders::Orders};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Orders), ConfigError> {
    Ok((store.keys().await?, store.orders_and_stock()?))
}

async fn handle((keys, orders): &(Keys, Orders), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::OrdersOwn).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewOrder::read)?;

    let once = key.bind(customer.authority(), &new)?;
    let order = orders::place(orders, &customer, &new, request.new_id()?, &once).await?;

    let location = format!("{}/{}", request.path(), order.value.id);
    let response = Response::created(&order.value)?.at(&location)?.version(1)?;
    Ok(response.replayed_if(order.replayed))
}
