//! `GET /products/{product_id}` in two versions: reads a product.

use std::{collections::BTreeMap, process::ExitCode};

use serde::Serialize;
use shared::{
    domain::{
        id::Id,
        money::Money,
        product::{Availability, Category, Product, ProductStatus, Sku},
        time::Timestamp,
    },
    error::Error,
    http::{self, Request, Response, Version},
    store::products::Products,
};

fn main() -> ExitCode {
    http::serve("products-get", async |store| Ok(store.products()?.connected().await), get)
}

async fn get(products: &Products, request: Request) -> Result<Response, Error> {
    let id = request.path_id("product_id")?;

    // Whoever has a token may have written a moment ago, and wants to see it.
    let entry = products.get(id, request.has_token()).await?;

    let answer = match request.version() {
        Version(1) => Response::ok(&entry.product)?,
        _ => Response::ok(&ProductV2::from(&entry.product))?,
    };
    answer.version(entry.etag())?.cached(&request, 10)
}

/// A product of version 2, with a price per currency in `prices` instead of `price`.
#[derive(Serialize)]
struct ProductV2<'p> {
    id: Id<Product>,
    sku: &'p Sku,
    name: &'p str,
    description: Option<&'p str>,
    category: &'p Category,
    prices: [Money; 1],
    images: &'p [String],
    attributes: &'p BTreeMap<String, String>,
    availability: Availability,
    status: ProductStatus,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'p> From<&'p Product> for ProductV2<'p> {
    fn from(product: &'p Product) -> Self {
        let details = &product.details;
        Self {
            id: product.id,
            sku: &product.sku,
            name: &details.name,
            description: details.description.as_deref(),
            category: &details.category,
            prices: [details.price],
            images: &details.images,
            attributes: &details.attributes,
            availability: product.availability,
            status: product.status,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}
