//! `POST /oauth/revoke`: ends the session of a token (RFC 7009).

use shared::{
    http::ErrorFormat,
    oauth::{ClientCredentials, Revocation},
    prelude::*,
};

fn main() -> ExitCode {
    http::serve_with(ErrorFormat::OAuth, env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Revocation, ConfigError> {
    Revocation::open(&store).await
}

async fn handle(revocation: &Revocation, request: Request) -> Result<Response, Error> {
    let form = request.form()?;
    let client = ClientCredentials::read(request.basic_credentials()?, &form)?;
    let token = form.required("token", "token is missing.")?;

    revocation.revoke(token, &client, request.now()).await?;

    Ok(Response::done())
}
