//! `DELETE /sessions`: ends all sessions of the caller. Access tokens stay valid until they expire.

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
    users.end_sessions(&customer, &account).await?;

    Ok(Response::no_content())
}
