//! `GET /users/me`: the caller's own account.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.users()?)), get).await
}

async fn get((keys, users): &(Keys, Users), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::ProfileRead).await?;

    let account = users.own(&customer).await?;

    Answer::ok(&account.user)?.version(account.version)
}
