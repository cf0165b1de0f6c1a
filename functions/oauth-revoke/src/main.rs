//! `POST /oauth/revoke`: the session that a token belongs to ends (RFC 7009). What is no token of ours is revoked already.

use std::process::ExitCode;

use shared::{
    auth::RefreshToken,
    error::Error,
    http::{self, Answer, Request, Style},
    oauth::ClientCredentials,
    secrets::{self, Secrets},
    store::{keys::Keys, sessions::Sessions},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve_as(
        Style::OAuth,
        env!("CARGO_PKG_NAME"),
        async |store| Ok((store.keys().await?, store.sessions()?, Secrets::connect()?.hmac_keys().await?)),
        revoke,
    )
    .await
}

async fn revoke(
    (keys, sessions, hmac_keys): &(Keys, Sessions, secrets::Keys),
    request: Request,
) -> Result<Answer, Error> {
    let form = request.form()?;
    let client = ClientCredentials::read(request.basic_credentials()?, &form)?;
    let token = form.required("token", "token is missing.")?;

    let session = match RefreshToken::read(token, &*hmac_keys.get().await?) {
        Some(token) => Some((token.user, token.session)),
        None => match keys.verify(token).await {
            Ok(access) => access.session(),
            Err(Error::InvalidToken) => None,
            Err(failed) => return Err(failed),
        },
    };
    if let Some((user, session)) = session {
        sessions.revoke(user, session, client.named(), request.now()).await?;
    }

    Ok(Answer::done())
}
