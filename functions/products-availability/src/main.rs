//! On the stream of Products: keeps the availability that lists show and filter by. It writes only when the band changes.

use std::process::ExitCode;

use shared::{
    error::Error,
    store::{Change, inventory, products::Products},
    stream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    stream::serve(env!("CARGO_PKG_NAME"), async |store| store.products(), show).await
}

async fn show(products: &Products, change: Change) -> Result<(), Error> {
    let Some((before, after)) = inventory::stock_change(change)? else {
        return Ok(());
    };
    let availability = after.stock.availability();
    if availability == before.stock.availability() {
        return Ok(());
    }
    products.show_availability(after.stock.product_id, availability, after.version).await
}
