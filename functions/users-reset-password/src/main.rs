//! `POST /users/password-reset/confirm`: the mailed token sets a new password, once, and ends every session.

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request},
    password::PasswordHash,
    secrets::{self, Secrets},
    sign_in::NewStart,
    store::{attempts::Attempts, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let keys = Secrets::connect()?.hmac_keys().await?;
            Ok((store.users()?, store.attempts(keys.clone())?, keys))
        },
        reset,
    )
    .await
}

async fn reset(
    (users, attempts, keys): &(Users, Attempts, secrets::Keys),
    request: Request,
) -> Result<Answer, Error> {
    let keys = keys.get().await?;
    let NewStart { token, password } = request.json(|body| NewStart::read(body, &keys))?;

    let now = request.now();
    users.reset_password(&token, PasswordHash::of(&password)?, now).await?;
    // Who has the mail is the owner: nothing that others did keeps them out any more.
    attempts.welcome(&token.email, &request.address(), now).await;

    Ok(Answer::no_content())
}
