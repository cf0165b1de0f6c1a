//! `GET /users/me`: shows the caller's account.

use shared::{prelude::*, store::users::Users};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Users), ConfigError> {
    Ok((store.keys().await?, store.users()?))
}

async fn handle((keys, users): &(Keys, Users), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::ProfileRead).await?;

    let account = users.own(&customer).await?;

    Response::ok(&account.user)?.version(account.version)
}
