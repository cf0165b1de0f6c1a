//! `GET /docs`: the contracts of all operations, for people, who can try them, too.

use std::process::ExitCode;

use shared::{
    docs::Document,
    error::Error,
    http::{self, Answer, Request},
};

/// It changes with a deployment; whoever asks after that should soon have the new one.
const FRESH_SECONDS: u32 = 300;

/// The page's script. Its parts, in reading order.
const SCRIPT: &str = concat!(
    include_str!("page/dom.js"),
    include_str!("page/markdown.js"),
    include_str!("page/schema.js"),
    include_str!("page/send.js"),
    include_str!("page/access.js"),
    include_str!("page/operation.js"),
    include_str!("page/page.js"),
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open =
        async |_| Ok(Document::page(include_str!("page/page.html"), include_str!("page/page.css"), SCRIPT));
    http::serve(env!("CARGO_PKG_NAME"), open, page).await
}

async fn page(page: &Document, request: Request) -> Result<Answer, Error> {
    Answer::document(page)?.cached(&request, FRESH_SECONDS)
}
