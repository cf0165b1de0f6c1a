//! `GET /orders/{order_id}`: all that there is to know of an order.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, orders::Orders},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.orders()?)), get).await
}

async fn get((keys, orders): &(Keys, Orders), request: Request) -> Result<Answer, Error> {
    let caller = request.order_access(keys, Scope::OrdersRead).await?;
    let id = request.path_id("order_id")?;

    let kept = orders.get(&caller, id).await?;

    Answer::ok(&kept.order)?.version(kept.version)
}
