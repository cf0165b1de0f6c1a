//! `GET /products/{product_id}`: shows a product.

use shared::{prelude::*, store::products::Products};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Products, ConfigError> {
    Ok(store.products()?.connected().await)
}

async fn handle(products: &Products, request: Request) -> Result<Response, Error> {
    let id = request.path_id("product_id")?;

    // A caller with a token may have changed the product a moment ago: read consistently.
    let entry = products.get(id, request.has_token()).await?;

    Response::ok(&entry.product)?.version(entry.etag())?.cached(&request, 10)
}
