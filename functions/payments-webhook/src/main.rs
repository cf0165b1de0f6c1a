//! `POST /payments/webhooks/stripe`: receives the payment provider's webhooks.

use shared::{domain::change::Initiator, orders::Checkout, prelude::*};

/// Maximum size of a body. The provider's objects are larger than requests of clients.
const MAX_BODY_BYTES: usize = 256 * 1024;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Checkout, ConfigError> {
    Checkout::open(store.orders_and_stock()?).await
}

async fn handle(checkout: &Checkout, request: Request) -> Result<Response, Error> {
    let (body, signature) = request.signed("stripe-signature", MAX_BODY_BYTES)?;

    checkout.handle_webhook(body, signature, &request.context(Initiator::Provider)).await?;

    Ok(Response::no_content())
}
