//! `POST /users`: register an e-mail address. Whether it has an account already is told by mail alone.

use std::process::ExitCode;

use shared::{
    error::Error,
    http::{self, Answer, Request},
    password::PasswordHash,
    sign_in::NewAccount,
    store::users::Users,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| store.users(), register).await
}

async fn register(users: &Users, request: Request) -> Result<Answer, Error> {
    let NewAccount { applicant, password } = request.json(NewAccount::read)?;

    let hash = PasswordHash::of(&password)?;
    users.register(&applicant, hash, request.new_id()?, request.now()).await?;

    Ok(Answer::accepted())
}
