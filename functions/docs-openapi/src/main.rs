//! `GET /openapi.json`: publishes the OpenAPI document.

use shared::{docs::Document, prelude::*};

/// Caches may store the response this long, in seconds.
const MAX_AGE_SECONDS: u32 = 300;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(_: Store) -> Result<Document, ConfigError> {
    Document::openapi(include_str!("../../../openapi.json"))
}

async fn handle(document: &Document, request: Request) -> Result<Response, Error> {
    Response::document(document)?.cached(&request, MAX_AGE_SECONDS)
}
