//! `POST /users/forgot-password`: mails a token for a new password, if the account exists.

use shared::{domain::user::EmailAddress, prelude::*, store::users::Users};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Users, ConfigError> {
    store.users()
}

async fn handle(users: &Users, request: Request) -> Result<Response, Error> {
    let email = request.json(|body| body.field("email").text(EmailAddress::parse))?;

    users.request_reset(&email, request.new_id()?, request.now()).await?;

    Ok(Response::accepted())
}
