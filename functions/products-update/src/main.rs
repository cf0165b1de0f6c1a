//! `PATCH /products/{product_id}`: change what the catalogue says of a product.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::product::Editable,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, products::Products},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.products()?)), update)
        .await
}

async fn update((keys, products): &(Keys, Products), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let (id, if_match) = (request.path_id("product_id")?, request.if_match()?);
    let patch = request.merge_patch()?;

    let entry = products.get(id, true).await?;
    if_match.check(entry.version)?;
    let wanted = patch.apply(&entry.editable(), Editable::read)?;
    let changed = products.update(&staff, entry, wanted, request.now()).await?;

    Answer::ok(&changed.product)?.version(changed.etag())
}
