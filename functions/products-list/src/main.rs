//! `GET /products`: lists the catalogue, filtered and sorted.

use shared::{
    domain::{listing::Listing, product::ProductStatus},
    http::Paging,
    prelude::*,
    store::products::Products,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Products), ConfigError> {
    Ok((store.keys().await?, store.products()?))
}

async fn handle((keys, products): &(Keys, Products), request: Request) -> Result<Response, Error> {
    let (listing, paging) = request.query(|query| {
        let (listing, paging) = (Listing::read(query), Paging::read(query));
        Some((listing?, paging?))
    })?;
    // Only staff may list archived products.
    if listing.status != ProductStatus::Active {
        request.staff(keys, Scope::ProductsWrite).await?;
    }

    let page = products.list(&listing, paging.limit, paging.after(&listing)?).await?;

    Response::page(&request, &page, &listing)?.cached(&request, 10)
}
