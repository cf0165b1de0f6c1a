//! `POST /users/password-reset`: ask for a new password. Whether there is such an account is told by mail alone.

use std::process::ExitCode;

use shared::{
    domain::user::Email,
    error::Error,
    http::{self, Answer, Request},
    store::users::Users,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| store.users(), forgot).await
}

async fn forgot(users: &Users, request: Request) -> Result<Answer, Error> {
    let email = request.json(|body| body.field("email").text(Email::parse))?;

    users.request_reset(&email, request.new_id()?, request.now()).await?;

    Ok(Answer::accepted())
}
