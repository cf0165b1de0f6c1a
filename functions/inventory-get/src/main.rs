//! `GET /products/{product_id}/inventory`: how much there is of a product.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{inventory::Inventory, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.inventory()?)), get)
        .await
}

async fn get((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::InventoryRead).await?;
    let id = request.path_id("product_id")?;

    let item = inventory.get(&staff, id).await?;

    Answer::ok(&item.stock)?.version(item.version)
}
