//! `POST /orders`: takes what is ordered from the stock, at the shop's own prices, all of it or nothing.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::{order::NewOrder, user::Actor},
    error::Error,
    http::{self, Answer, Request},
    store::{Store, keys::Keys, orders::Orders},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Ok((store.keys().await?, store.orders_and_stock()?));
    http::serve(env!("CARGO_PKG_NAME"), open, create).await
}

async fn create((keys, orders): &(Keys, Orders), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::OrdersOwn).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewOrder::read)?;

    let actor = Actor::User(customer.id());
    let attempt = key.attempt(actor, &new)?;
    let answered = orders
        .place(&customer, &new, request.new_id()?, &attempt, |order| {
            let location = format!("{}/{}", request.path(), order.id);
            Ok(Answer::created(order)?.at(&location)?.version(1)?.recorded())
        })
        .await?;

    Answer::of_attempt(answered)
}
