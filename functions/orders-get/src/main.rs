//! `GET /orders/{order_id}`: shows an order.

use shared::{prelude::*, store::orders::Orders};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Orders), ConfigError> {
    Ok((store.keys().await?, store.orders()?))
}

async fn handle((keys, orders): &(Keys, Orders), request: Request) -> Result<Response, Error> {
    let caller = request.order_access(keys, Scope::OrdersRead).await?;
    let id = request.path_id("order_id")?;

    let order = orders.get(&caller, id).await?;

    Response::ok(&order.value)?.version(order.version)
}
