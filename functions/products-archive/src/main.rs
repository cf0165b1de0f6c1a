//! `DELETE /products/{product_id}`: take a product from the catalogue. Old orders stay readable.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, products::Products},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.products()?)), archive)
        .await
}

async fn archive((keys, products): &(Keys, Products), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let (id, if_match) = (request.path_id("product_id")?, request.if_match()?);

    let entry = products.get(id, true).await?;
    if_match.check(entry.version)?;
    products.archive(&staff, entry, request.now()).await?;

    Ok(Answer::no_content())
}
