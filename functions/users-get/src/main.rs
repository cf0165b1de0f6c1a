//! `GET /users/{user_id}`: shows a user to staff.

use shared::{prelude::*, store::users::Users};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Users), ConfigError> {
    Ok((store.keys().await?, store.users()?))
}

async fn handle((keys, users): &(Keys, Users), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::UsersRead).await?;
    let id = request.path_id("user_id")?;

    let account = users.get(&staff, id).await?;

    Response::ok(&account.user)?.version(account.version)
}
