//! `POST /payments/webhooks/stripe`: the payment provider says that something has happened.

use std::process::ExitCode;

use shared::{
    checkout::Checkout,
    domain::cause::By,
    error::Error,
    http::{self, Answer, Request},
    store::Store,
};

/// The largest body that is read: the provider's objects are larger than what clients send.
const MAX_BODY_BYTES: usize = 256 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Checkout::open(store.orders_and_stock()?).await;
    http::serve(env!("CARGO_PKG_NAME"), open, hear).await
}

async fn hear(checkout: &Checkout, request: Request) -> Result<Answer, Error> {
    let (body, signature) = request.signed("stripe-signature", MAX_BODY_BYTES)?;

    checkout.hear(body, signature, &request.cause(By::Provider)).await?;

    Ok(Answer::no_content())
}
