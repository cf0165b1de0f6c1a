//! Every minute: expires unpaid orders and returns their stock.

use shared::{domain::change::ChangeContext, orders::Checkout, prelude::*, task};

fn main() -> ExitCode {
    task::serve_schedule(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Checkout, ConfigError> {
    Checkout::open(store.orders_and_stock()?).await
}

async fn handle(checkout: &Checkout, context: ChangeContext) -> Result<(), Error> {
    checkout.expire_overdue(&context).await
}
