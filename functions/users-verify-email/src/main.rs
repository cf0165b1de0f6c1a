//! `POST /users/verify-email`: verifies an e-mail address and opens its account.

use shared::{
    accounts::{Accounts, EmailVerification, FirstAdmin},
    prelude::*,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Accounts, FirstAdmin), ConfigError> {
    Ok((Accounts::open(&store).await?, FirstAdmin::from_env()?))
}

async fn handle(
    (accounts, first_admin): &(Accounts, FirstAdmin),
    request: Request,
) -> Result<Response, Error> {
    let keys = accounts.keys().await?;
    let verification = request.json(|body| EmailVerification::read(body, &keys))?;

    let (user, address) = (request.new_id()?, request.address());
    accounts.verify(&verification, first_admin, user, &address, request.now()).await?;

    Ok(Response::no_content())
}
