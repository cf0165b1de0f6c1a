//! `POST /users`: registers an account. Its owner verifies the e-mail address by a mailed token.

use shared::{
    accounts::{self, NewAccount},
    prelude::*,
    store::users::Users,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Users, ConfigError> {
    store.users()
}

async fn handle(users: &Users, request: Request) -> Result<Response, Error> {
    let new = request.json(NewAccount::read)?;

    accounts::register(users, new, request.new_id()?, request.now()).await?;

    Ok(Response::accepted())
}
