//! `GET /.well-known/jwks.json`: publishes the keys of access tokens (RFC 7517).

use shared::{auth::Jwks, prelude::*};

/// Caches may store the response this long, in seconds.
const MAX_AGE_SECONDS: u32 = 300;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Keys, ConfigError> {
    store.keys().await
}

async fn handle(keys: &Keys, request: Request) -> Result<Response, Error> {
    let keys = keys.published().await?;

    Response::ok(&Jwks::from(&keys))?.cached(&request, MAX_AGE_SECONDS)
}
