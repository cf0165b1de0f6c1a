//! `GET /health`: which build this is, and whether the store answers.

use std::{collections::BTreeMap, process::ExitCode};

use shared::{
    config,
    error::Error,
    http::{self, Answer, Request},
    store::products::Products,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |store: shared::store::Store| Ok((store.products()?, config::required("BUILD_ID")?));
    http::serve(env!("CARGO_PKG_NAME"), open, health).await
}

async fn health((products, build): &(Products, String), _: Request) -> Result<Answer, Error> {
    products.ping().await?;

    Answer::ok(&BTreeMap::from([("status", "ok"), ("build", build)]))
}
