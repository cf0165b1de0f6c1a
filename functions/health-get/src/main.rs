//! `GET /health`: shows the build, if DynamoDB answers.

use std::collections::BTreeMap;

use shared::{config, prelude::*, store::products::Products};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Products, String), ConfigError> {
    Ok((store.products()?, config::required("BUILD_ID")?))
}

async fn handle((products, build): &(Products, String), _: Request) -> Result<Response, Error> {
    products.ping().await?;

    Response::ok(&BTreeMap::from([("status", "ok"), ("build", build)]))
}
