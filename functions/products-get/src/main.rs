//! `GET /products/{product_id}`: what everybody may know of a product.

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request},
    store::products::Products,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok(store.products()?.connected().await), get).await
}

async fn get(products: &Products, request: Request) -> Result<Answer, Error> {
    let id = request.path_id("product_id")?;

    // Whoever has a token may have written a moment ago, and wants to see it.
    let entry = products.get(id, request.has_token()).await?;

    Answer::ok(&entry.product)?.version(entry.etag())?.cached(&request, 10)
}
