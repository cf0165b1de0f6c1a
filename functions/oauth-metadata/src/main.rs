//! `GET /.well-known/oauth-authorization-server`: publishes the server's metadata (RFC 8414).

use shared::{
    oauth::{self, ServerMetadata},
    prelude::*,
};

/// Caches may store the response this long, in seconds.
const MAX_AGE_SECONDS: u32 = 3600;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(_: Store) -> Result<ServerMetadata, ConfigError> {
    oauth::metadata()
}

async fn handle(metadata: &ServerMetadata, request: Request) -> Result<Response, Error> {
    Response::ok(metadata)?.cached(&request, MAX_AGE_SECONDS)
}
