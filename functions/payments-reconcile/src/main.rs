//! Every minute: resolves payments and refunds in doubt.

use shared::{domain::change::ChangeContext, orders::Checkout, prelude::*, task};

fn main() -> ExitCode {
    task::serve_schedule(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Checkout, ConfigError> {
    Checkout::open(store.orders_and_stock()?).await
}

async fn handle(checkout: &Checkout, context: ChangeContext) -> Result<(), Error> {
    checkout.reconcile(&context).await
}
