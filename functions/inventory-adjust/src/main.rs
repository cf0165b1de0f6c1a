//! `POST /products/{product_id}/inventory/adjustments`: stock comes in, goes out, or was miscounted.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::inventory::Adjustment,
    error::Error,
    http::{self, Answer, Request},
    store::{inventory::Inventory, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.inventory()?)), adjust)
        .await
}

async fn adjust((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::InventoryWrite).await?;
    let (id, key) = (request.path_id("product_id")?, request.idempotency_key()?);
    let adjustment = request.json(Adjustment::read)?;

    let payload = (id, adjustment.clone());
    let movement = adjustment.movement(request.new_id()?, id, staff.id(), request.now());
    let answer = Answer::created(&movement)?;
    let record = key.record(&staff, &payload, &answer)?;
    let outcome = inventory.adjust(&staff, &movement, &record).await?;

    answer.unless_replayed(outcome)
}
