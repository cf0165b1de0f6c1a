//! `GET /products/{product_id}/inventory/movements`: lists a product's stock movements, newest first.

use shared::{http::Paging, prelude::*, store::inventory::Inventory};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Inventory), ConfigError> {
    Ok((store.keys().await?, store.inventory()?))
}

async fn handle((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::InventoryRead).await?;
    let id = request.path_id("product_id")?;
    let paging = request.query(Paging::read)?;

    let page = inventory.movements(&staff, id, paging.limit, paging.after(&id)?).await?;

    Response::page(&request, &page, &id)
}
