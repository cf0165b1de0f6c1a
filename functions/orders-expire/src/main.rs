//! Every minute: what was not paid in time gives its stock back.

use std::process::ExitCode;

use shared::{
    checkout::Checkout,
    domain::{cause::Cause, order::Queue},
    error::Error,
    store::Store,
    task,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: Store| Checkout::open(store.orders_and_stock()?).await;
    task::serve_schedule(env!("CARGO_PKG_NAME"), open, expire).await
}

async fn expire(checkout: &Checkout, cause: Cause) -> Result<(), Error> {
    checkout.work_off(Queue::Expiry, &cause).await
}
