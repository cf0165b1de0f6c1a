//! `GET /docs`: shows the API's reference, where people can also try it.

use shared::{docs::Document, prelude::*};

/// Caches may store the response this long, in seconds.
const MAX_AGE_SECONDS: u32 = 300;

/// The page's script: its parts in reading order.
const SCRIPT: &str = concat!(
    include_str!("page/dom.js"),
    include_str!("page/markdown.js"),
    include_str!("page/schema.js"),
    include_str!("page/send.js"),
    include_str!("page/access.js"),
    include_str!("page/operation.js"),
    include_str!("page/page.js"),
);

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(_: Store) -> Result<Document, ConfigError> {
    Ok(Document::page(include_str!("page/page.html"), include_str!("page/page.css"), SCRIPT))
}

async fn handle(page: &Document, request: Request) -> Result<Response, Error> {
    Response::document(page)?.cached(&request, MAX_AGE_SECONDS)
}
