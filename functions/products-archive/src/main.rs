//! `DELETE /products/{product_id}`: archives a product. It stays readable for old orders.

use shared::{prelude::*, store::products::Products};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Products), ConfigError> {
    Ok((store.keys().await?, store.audited()?.products()?))
}

async fn handle((keys, products): &(Keys, Products), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let (id, if_match) = (request.path_id("product_id")?, request.if_match()?);

    let entry = products.get(id, true).await?;
    if_match.check(entry.version)?;
    products.archive(&staff, entry, &request.context_of(staff.authority())).await?;

    Ok(Response::no_content())
}
