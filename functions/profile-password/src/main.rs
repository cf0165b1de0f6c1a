//! `PUT /users/me/password`: a new password for the old one, and the end of all other sessions.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    password::PasswordHash,
    secrets::Secrets,
    sign_in::{PasswordChange, SignIn},
    store::{keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let attempts = store.attempts(Secrets::connect()?.hmac_keys().await?)?;
            Ok((store.keys().await?, store.users()?, SignIn::new(store.users()?, attempts)))
        },
        change,
    )
    .await
}

async fn change((keys, users, sign_in): &(Keys, Users, SignIn), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let PasswordChange { current, new } = request.json(PasswordChange::read)?;

    let now = request.now();
    let account = users.own(&customer).await?;
    let new = account.new_password(new, "/new_password")?;
    let (checked, attempt) = sign_in.check_own(&account, current, &request.address(), now).await?;
    let changing = users.change_password(&customer, &checked, PasswordHash::of(&new)?, now);
    sign_in.forgetting(&attempt, now, changing).await?;

    Ok(Answer::no_content())
}
