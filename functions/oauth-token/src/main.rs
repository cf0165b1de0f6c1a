//! `POST /oauth/token`: tokens for a code, for a refresh token, or for a client's own secret.

use std::process::ExitCode;

use shared::{
    error::{Error, OAuthError},
    http::{self, Answer, Request, Style},
    oauth::{ClientCredentials, Registry, Tokens},
    secrets::Secrets,
    store::{codes::Presented, sessions::Sessions},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve_as(
        Style::OAuth,
        env!("CARGO_PKG_NAME"),
        async |store| {
            let secrets = Secrets::connect()?;
            let tokens = Tokens::new(secrets.issuer().await?, secrets.hmac_keys().await?);
            Ok((Registry::new(store.clients()?), store.sessions()?, tokens))
        },
        grant,
    )
    .await
}

async fn grant(
    (registry, sessions, tokens): &(Registry, Sessions, Tokens),
    request: Request,
) -> Result<Answer, Error> {
    let form = request.form()?;
    let client = ClientCredentials::read(request.basic_credentials()?, &form)?;
    let (scope, now) = (form.scope()?, request.now());

    let answer = match form.required("grant_type", "grant_type is missing.")? {
        "refresh_token" => {
            let presented = form.required("refresh_token", "refresh_token is missing.")?;
            let client_id = client.public()?;
            let keys = tokens.keys().await?;
            let rotating = sessions.rotate(presented, client_id, scope.as_ref(), &keys, now);
            tokens.of_session(&registry.while_public(client_id, rotating).await?, now).await?
        }
        "authorization_code" => {
            let presented = Presented {
                code: form.required("code", "code is missing.")?,
                client_id: client.public()?,
                redirect_uri: form.required("redirect_uri", "redirect_uri is missing.")?,
                code_verifier: form.required("code_verifier", "code_verifier is missing (RFC 7636).")?,
            };
            let exchanging = sessions.exchange(&presented, request.new_id()?, now);
            tokens.of_session(&registry.while_public(presented.client_id, exchanging).await?, now).await?
        }
        "client_credentials" => tokens.of_client(&registry.authenticate(&client, scope).await?, now).await?,
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    };

    Answer::ok(&answer)
}
