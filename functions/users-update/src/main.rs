//! `PATCH /users/{user_id}`: what a user is allowed: their role, whether they may log in, and a lock lifted.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::user::{Actor, Standing},
    error::Error,
    http::{self, Answer, Request},
    secrets::Secrets,
    store::{attempts::Attempts, keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| {
            let attempts = store.attempts(Secrets::connect()?.hmac_keys().await?)?;
            Ok((store.keys().await?, store.users()?, attempts))
        },
        update,
    )
    .await
}

async fn update(
    (keys, users, attempts): &(Keys, Users, Attempts),
    request: Request,
) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::UsersWrite).await?;
    let (id, if_match) = (request.path_id("user_id")?, request.if_match()?);
    let patch = request.merge_patch()?;

    let account = users.get(&staff, id).await?;
    if_match.check(account.version)?;
    let (wanted, unlock) = patch.apply(&account.standing(), Standing::read)?;
    if unlock {
        attempts.unlock(&account.user.email, request.now()).await?;
    }
    if wanted == account.standing() {
        return Answer::ok(&account.user)?.version(account.version);
    }
    // Else the last admin could shut everybody out.
    if staff.id() == Actor::User(id) {
        return Err(Error::OwnAccount);
    }
    let changed = users.set_standing(&staff, account, wanted, request.now()).await?;

    Answer::ok(&changed.user)?.version(changed.version)
}
