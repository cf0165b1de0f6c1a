//! `PUT /users/me/password`: changes the caller's password and ends all other sessions.

use shared::{
    accounts::{Accounts, PasswordChange},
    prelude::*,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Accounts), ConfigError> {
    Ok((store.keys().await?, Accounts::open(&store).await?))
}

async fn handle((keys, accounts): &(Keys, Accounts), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let change = request.json(PasswordChange::read)?;

    accounts.change_password(&customer, change, &request.address(), request.now()).await?;

    Ok(Response::no_content())
}
