//! On the stream of Products: updates the availability that lists show.

use shared::{
    prelude::*,
    store::{StreamRecord, products::Products},
    stream,
};

fn main() -> ExitCode {
    stream::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Products, ConfigError> {
    store.products()
}

async fn handle(products: &Products, record: StreamRecord) -> Result<(), Error> {
    let StreamRecord::Stock(images) = record else { return Ok(()) };
    let Some((old, new)) = images.updated() else { return Ok(()) };
    let availability = new.value.stock.availability();
    if availability == old.value.stock.availability() {
        return Ok(());
    }
    products.show_availability(new.value.stock.product_id, availability, new.value.version).await
}
