//! `POST /products/{product_id}/inventory/adjustments`: adds or removes stock.

use shared::{domain::inventory::Adjustment, prelude::*, store::inventory::Inventory};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Inventory), ConfigError> {
    Ok((store.keys().await?, store.audited()?.inventory()?))
}

async fn handle((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::InventoryWrite).await?;
    let (id, key) = (request.path_id("product_id")?, request.idempotency_key()?);
    let adjustment = request.json(Adjustment::read)?;

    let once = key.bind(staff.authority(), &(id, &adjustment))?;
    let movement = adjustment.movement(request.new_id()?, id, staff.id(), request.now());
    let movement = inventory.adjust(&staff, movement, &once).await?;

    Ok(Response::created(&movement.value)?.replayed_if(movement.replayed))
}
