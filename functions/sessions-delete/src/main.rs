//! `DELETE /sessions`: log out everywhere. Access tokens already out live out their 15 minutes.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.users()?)), log_out)
        .await
}

async fn log_out((keys, users): &(Keys, Users), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::Account).await?;

    let account = users.own(&customer).await?;
    users.end_sessions(&customer, &account).await?;

    Ok(Answer::no_content())
}
