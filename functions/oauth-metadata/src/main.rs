//! `GET /.well-known/oauth-authorization-server`: what clients have to know of this authorization server (RFC 8414).

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request},
    oauth::{self, Metadata},
};

/// It changes with a deployment, if ever.
const FRESH_SECONDS: u32 = 3600;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |_| oauth::metadata(), metadata).await
}

async fn metadata(metadata: &Metadata, request: Request) -> Result<Answer, Error> {
    Answer::ok(metadata)?.cached(&request, FRESH_SECONDS)
}
