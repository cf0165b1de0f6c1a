//! `POST /users/reset-password`: sets a new password with a mailed token.

use shared::{
    accounts::{Accounts, PasswordReset},
    prelude::*,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Accounts, ConfigError> {
    Accounts::open(&store.withdrawing()?).await
}

async fn handle(accounts: &Accounts, request: Request) -> Result<Response, Error> {
    let keys = accounts.keys().await?;
    let reset = request.json(|body| PasswordReset::read(body, &keys))?;

    accounts.reset_password(&reset, &request.address(), request.now()).await?;

    Ok(Response::no_content())
}
