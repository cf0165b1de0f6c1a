//! `POST /sessions`: logs a user in.

use shared::{
    accounts::{Accounts, Credentials},
    oauth::Tokens,
    prelude::*,
    store::sessions::Sessions,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Accounts, Sessions, Tokens), ConfigError> {
    Ok((Accounts::open(&store).await?, store.sessions()?, Tokens::open().await?))
}

async fn handle(
    (accounts, sessions, tokens): &(Accounts, Sessions, Tokens),
    request: Request,
) -> Result<Response, Error> {
    let credentials = request.json(Credentials::read)?;

    let (id, address, now) = (request.new_id()?, request.address(), request.now());
    let session = accounts.log_in(&credentials, sessions, id, &address, now).await?;

    Response::ok(&tokens.of_session(&session, now).await?)
}
