//! `GET /.well-known/jwks.json`: the keys that access tokens are verified with (RFC 7517).

use std::process::ExitCode;

use shared::{
    auth::Jwks,
    error::Error,
    http::{self, Answer, Request},
    store::keys::Keys,
};

/// Verifiers keep them so long; a new key is published before it signs.
const FRESH_SECONDS: u32 = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| store.keys().await, jwks).await
}

async fn jwks(keys: &Keys, request: Request) -> Result<Answer, Error> {
    Answer::ok(&Jwks::from(&*keys.published().await?))?.cached(&request, FRESH_SECONDS)
}
