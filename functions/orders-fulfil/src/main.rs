//! `POST /orders/{order_id}/fulfilments`: some of an order, or all of it, leaves the house.

use std::process::ExitCode;

use shared::{
    auth::{OrderAccess, Scope},
    domain::order::NewFulfilment,
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys, orders::Orders},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Ok((store.keys().await?, store.orders_and_stock()?));
    http::serve(env!("CARGO_PKG_NAME"), open, fulfil).await
}

async fn fulfil((keys, orders): &(Keys, Orders), request: Request) -> Result<Answer, Error> {
    let staff = OrderAccess::Any(request.staff(keys, Scope::OrdersWrite).await?);
    let (id, key) = (request.path_id("order_id")?, request.idempotency_key()?);
    let new = request.json_if_any(NewFulfilment::read)?;

    let attempt = key.attempt(staff.actor(), &(id, &new))?;
    let fulfilment = request.new_id()?;
    let answered = orders
        .change(
            &staff,
            id,
            &attempt,
            |order| Ok(order.fulfil(fulfilment, new.clone(), attempt.cause())?),
            |order| Ok(Answer::created(&order.fulfilments.last())?.recorded()),
        )
        .await?;

    Answer::of_attempt(answered)
}
