//! `POST /sessions`: log in.

use std::process::ExitCode;

use shared::{
    auth::{FIRST_PARTY, Grant},
    domain::user::Actor,
    error::Error,
    http::{self, Answer, Request},
    oauth::Tokens,
    secrets::Secrets,
    sign_in::{Credentials, SignIn},
    store::sessions::Sessions,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let secrets = Secrets::connect()?;
            let keys = secrets.hmac_keys().await?;
            let sign_in = SignIn::new(store.users()?, store.attempts(keys.clone())?);
            Ok((sign_in, store.sessions()?, Tokens::new(secrets.issuer().await?, keys)))
        },
        log_in,
    )
    .await
}

async fn log_in(
    (sign_in, sessions, tokens): &(SignIn, Sessions, Tokens),
    request: Request,
) -> Result<Answer, Error> {
    let credentials = request.json(Credentials::read)?;

    let now = request.now();
    let (user, attempt) = sign_in.check(&credentials, &request.address(), now).await?;
    let id = request.new_id()?;
    let grant = Grant {
        subject: Actor::User(user.user()),
        client_id: FIRST_PARTY.to_owned(),
        session: Some(id),
        scope: user.role().scopes(),
    };
    let opened = sign_in.forgetting(&attempt, now, sessions.begin(&user, id, grant, now)).await?;

    Answer::ok(&tokens.of_session(&opened, now).await?)
}
