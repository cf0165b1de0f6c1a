//! `POST /oauth/token`: exchanges a code, a refresh token or a client's secret for tokens.

use shared::{
    http::ErrorFormat,
    oauth::{ClientCredentials, TokenEndpoint},
    prelude::*,
};

fn main() -> ExitCode {
    http::serve_with(ErrorFormat::OAuth, env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<TokenEndpoint, ConfigError> {
    TokenEndpoint::open(&store.withdrawing()?).await
}

async fn handle(endpoint: &TokenEndpoint, request: Request) -> Result<Response, Error> {
    let form = request.form()?;
    let client = ClientCredentials::read(request.basic_credentials()?, &form)?;

    let tokens = endpoint.grant(&form, &client, request.new_id()?, request.now()).await?;

    Response::ok(&tokens)
}
