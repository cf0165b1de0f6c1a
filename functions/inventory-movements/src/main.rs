//! `GET /products/{product_id}/inventory/movements`: the ledger of what is on hand, the newest first.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Paging, Request},
    store::{inventory::Inventory, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| Ok((store.keys().await?, store.inventory()?)),
        movements,
    )
    .await
}

async fn movements((keys, inventory): &(Keys, Inventory), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::InventoryRead).await?;
    let id = request.path_id("product_id")?;
    let paging = request.query(Paging::read)?;

    let page = inventory.movements(&staff, id, paging.limit, paging.after(&id)?).await?;

    Answer::page(&request, &page, &id)
}
