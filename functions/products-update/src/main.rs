//! `PATCH /products/{product_id}`: updates a product.

use shared::{domain::product::Editable, prelude::*, store::products::Products};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Products), ConfigError> {
    Ok((store.keys().await?, store.audited()?.products()?))
}

async fn handle((keys, products): &(Keys, Products), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let (id, if_match) = (request.path_id("product_id")?, request.if_match()?);
    let patch = request.merge_patch()?;

    let entry = products.get(id, true).await?;
    if_match.check(entry.version)?;
    let update = patch.apply(&entry.editable(), Editable::read)?;
    let entry = products.update(&staff, entry, update, &request.context_of(staff.authority())).await?;

    Response::ok(&entry.product)?.version(entry.etag())
}
