//! Every minute: asks the payment provider about everything that is in doubt.

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
    task::serve_schedule(env!("CARGO_PKG_NAME"), open, reconcile).await
}

async fn reconcile(checkout: &Checkout, cause: Cause) -> Result<(), Error> {
    checkout.work_off(Queue::Doubt, &cause).await
}
