//! `GET /users/{user_id}`: one user, for the staff.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.users()?)), get).await
}

async fn get((keys, users): &(Keys, Users), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::UsersRead).await?;
    let id = request.path_id("user_id")?;

    let account = users.get(&staff, id).await?;

    Answer::ok(&account.user)?.version(account.version)
}
