//! `GET` and `POST /oauth/authorize`: a client sends a person here, who signs in and agrees, or not.

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request, Style},
    oauth::{self, Authorizer, Unanswerable},
    secrets::Secrets,
    sign_in::{Credentials, SignIn},
    store::sessions::Sessions,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve_as(
        Style::Page,
        env!("CARGO_PKG_NAME"),
        async |store| {
            let authorizer = oauth::authorizer(store.clients()?)?;
            let attempts = store.attempts(Secrets::connect()?.hmac_keys().await?)?;
            Ok((authorizer, SignIn::new(store.users()?, attempts), store.sessions()?))
        },
        authorize,
    )
    .await
}

async fn authorize(
    (authorizer, sign_in, sessions): &(Authorizer, SignIn, Sessions),
    request: Request,
) -> Result<Answer, Error> {
    let parameters = if request.is_post() { request.form()? } else { request.parameters()? };
    let asked = match authorizer.read(&parameters).await {
        Ok(asked) => asked,
        Err(Unanswerable::Here(error)) => return Err(error),
        Err(Unanswerable::AtTheClient(location)) => return Answer::see_other(&location),
    };
    if !request.is_post() {
        return Answer::html(asked.page(None, ""));
    }
    if parameters.get("decision") != Some("allow") {
        return Answer::see_other(&asked.denied());
    }

    let (now, email) = (request.now(), parameters.get("email").unwrap_or_default());
    let password = parameters.get("password").unwrap_or_default();
    let Some(credentials) = Credentials::of(email, password) else {
        return Answer::html(asked.page(Some("Enter your e-mail address and your password."), email));
    };
    let agreed = async {
        let (user, attempt) = sign_in.check(&credentials, &request.address(), now).await?;
        let agreeing = sessions.authorize(&user, asked.consent.clone(), now);
        sign_in.forgetting(&attempt, now, agreeing).await
    };
    match agreed.await {
        Ok(code) => Answer::see_other(&asked.agreed(&code)),
        Err(wrong @ Error::InvalidCredentials) => Answer::html(asked.page(Some(&wrong.to_string()), email)),
        Err(Error::TooManyAttempts { retry_after_seconds: wait }) => {
            let mistake = format!("There were too many wrong passwords. Try again in {wait} seconds.");
            Answer::html(asked.page(Some(&mistake), email))?.too_many_requests(wait)
        }
        Err(failed) => Err(failed),
    }
}
