//! `POST /products`: creates a product.

use shared::{domain::product::NewProduct, prelude::*, store::products::Products};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Products), ConfigError> {
    Ok((store.keys().await?, store.audited()?.products()?))
}

async fn handle((keys, products): &(Keys, Products), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewProduct::read)?;

    let once = key.bind(staff.authority(), &new)?;
    let product = new.product(request.new_id()?, request.now());
    let product = products.create(&staff, product, &new, request.new_id()?, &once).await?;

    let location = format!("{}/{}", request.path(), product.value.id);
    let response = Response::created(&product.value)?.at(&location)?.version(product.value.etag(1))?;
    Ok(response.replayed_if(product.replayed))
}
