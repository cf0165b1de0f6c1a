//! `GET /openapi.json`: the contracts of all operations, for programs.

use std::process::ExitCode;

use shared::{
    docs::Document,
    error::Error,
    http::{self, Answer, Request},
};

/// It changes with a deployment; whoever asks after that should soon have the new one.
const FRESH_SECONDS: u32 = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let open = async |_| Document::openapi(include_str!("../../../openapi.json"));
    http::serve(env!("CARGO_PKG_NAME"), open, openapi).await
}

async fn openapi(document: &Document, request: Request) -> Result<Answer, Error> {
    Answer::document(document)?.cached(&request, FRESH_SECONDS)
}
