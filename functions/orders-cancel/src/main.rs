//! `POST /orders/{order_id}/cancel`: cancels an order, after voiding or refunding its payment.

use shared::{
    domain::order::{Order, OrderStatus},
    orders::Checkout,
    prelude::*,
    store::idempotency::Idempotent,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Checkout), ConfigError> {
    Ok((store.keys().await?, Checkout::open(store.audited()?.orders_and_stock()?).await?))
}

async fn handle((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Response, Error> {
    let caller = request.order_access(keys, Scope::OrdersWrite).await?;
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    request.json_if_any(|_| Some(()))?;

    let once = key.bind(caller.authority(), &id)?;
    let order = checkout.cancel(&caller, id, &once).await?;

    Ok(respond(&order)?.replayed_if(order.replayed))
}

fn respond(order: &Idempotent<Order>) -> Result<Response, Error> {
    match order.value.status {
        OrderStatus::Cancelled => Response::ok(&order.value),
        _ if order.value.cancelling => Response::in_progress(&order.value),
        _ => Ok(Response::problem(&Error::RefundRefused, &order.request_id)),
    }
}
