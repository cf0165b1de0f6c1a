//! `POST /users/verify-email`: the mailed token and the password of that registration together open the account.

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request},
    secrets::{self, Secrets},
    sign_in::{self, FirstAdmin, Proof, SignIn},
    store::users::Users,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let keys = Secrets::connect()?.hmac_keys().await?;
            let sign_in = SignIn::new(store.users()?, store.attempts(keys.clone())?);
            Ok((store.users()?, sign_in, keys, sign_in::first_admin()?))
        },
        verify,
    )
    .await
}

async fn verify(
    (users, sign_in, keys, first_admin): &(Users, SignIn, secrets::Keys, FirstAdmin),
    request: Request,
) -> Result<Answer, Error> {
    let keys = keys.get().await?;
    let Proof { token, password } = request.json(|body| Proof::read(body, &keys))?;

    let now = request.now();
    let (registration, attempt) =
        sign_in.check_registration(&token, &password, &request.address(), now).await?;
    let role = first_admin.role_of(&token.email);
    let opening = users.open_account(&token, registration, request.new_id()?, role, now);
    sign_in.forgetting(&attempt, now, opening).await?;

    Ok(Answer::no_content())
}
