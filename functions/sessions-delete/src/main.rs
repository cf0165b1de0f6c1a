//! `DELETE /sessions`: ends all sessions and access tokens of the caller.

use shared::{prelude::*, store::users::Users};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Users), ConfigError> {
    Ok((store.keys().await?, store.users()?))
}

async fn handle((keys, users): &(Keys, Users), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::Account).await?;

    let account = users.own(&customer).await?;
    users.end_sessions(&customer, &account, request.now()).await?;

    Ok(Response::no_content())
}
