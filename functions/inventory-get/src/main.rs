//! `GET /products/{product_id}/inventory`: shows the stock of a product.

use shared::{prelude::*, store::inventory::Inventory};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Inventory), ConfigError> {
    Ok((store.keys().await?, store.inventory()?))
}

async fn handle((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::InventoryRead).await?;
    let id = request.path_id("product_id")?;

    let item = inventory.get(&staff, id).await?;

    Response::ok(&item.stock)?.version(item.version)
}
