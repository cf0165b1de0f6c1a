//! `POST /orders/{order_id}/cancel`: what was paid goes back, then the stock.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    checkout::Checkout,
    domain::order::{Order, OrderStatus},
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open =
        async |store: Store| Ok((store.keys().await?, Checkout::open(store.orders_and_stock()?).await?));
    http::serve(env!("CARGO_PKG_NAME"), open, cancel).await
}

async fn cancel((keys, checkout): &(Keys, Checkout), request: Request) -> Result<Answer, Error> {
    let caller = request.order_access(keys, Scope::OrdersWrite).await?;
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    request.json_if_any(|_| Some(()))?;

    let attempt = key.attempt(caller.actor(), &id)?;
    let answered =
        checkout.cancel(&caller, id, &attempt, |order| Ok(answer(&request, order)?.recorded())).await?;

    Answer::of_attempt(answered)
}

/// What the caller hears of it.
fn answer(request: &Request, order: &Order) -> Result<Answer, Error> {
    match order.status {
        OrderStatus::Cancelled => Answer::ok(order),
        _ if order.cancelling => Answer::under_way(order),
        // What was paid did not go back.
        _ => Ok(Answer::problem(&Error::RefundRefused, request)),
    }
}
