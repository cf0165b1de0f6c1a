//! `GET /products`: the catalogue, filtered, sorted, page by page.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::{listing::Listing, product::Status},
    error::Error,
    http::{self, Answer, Paging, Request},
    store::{keys::Keys, products::Products},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.products()?)), list)
        .await
}

async fn list((keys, products): &(Keys, Products), request: Request) -> Result<Answer, Error> {
    let (listing, paging) = request.query(|query| {
        let (listing, paging) = (Listing::read(query), Paging::read(query));
        Some((listing?, paging?))
    })?;
    // What is no longer on sale is the staff's business.
    if listing.status != Status::Active {
        request.staff(keys, Scope::ProductsWrite).await?;
    }

    let page = products.list(&listing, paging.limit, paging.after(&listing)?).await?;

    Answer::page(&request, &page, &listing)?.cached(&request, 10)
}
