//! `POST /products`: a new product for the catalogue.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::product::NewProduct,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, products::Products},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.products()?)), create)
        .await
}

async fn create((keys, products): &(Keys, Products), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ProductsWrite).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewProduct::read)?;

    let product = new.product(request.new_id()?, request.now());
    let location = format!("{}/{}", request.path(), product.id);
    let answer = Answer::created(&product)?.at(&location)?.version(product.etag(1))?;
    let record = key.record(&staff, &new, &answer)?;
    let outcome = products.create(&staff, &product, &new, request.new_id()?, &record).await?;

    answer.unless_replayed(outcome)
}
