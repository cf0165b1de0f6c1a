//! `PATCH /users/{user_id}`: changes a user's role or status, or lifts a lock.

use shared::{accounts::Accounts, domain::user::AccessUpdate, prelude::*};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Accounts), ConfigError> {
    Ok((store.keys().await?, Accounts::open(&store.audited()?).await?))
}

async fn handle((keys, accounts): &(Keys, Accounts), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::UsersWrite).await?;
    let (id, if_match) = (request.path_id("user_id")?, request.if_match()?);
    let patch = request.merge_patch()?;

    let account = accounts.get(&staff, id).await?;
    if_match.check(account.version)?;
    let (access, unlock) = patch.apply(&account.access(), AccessUpdate::read)?;
    let context = request.context_of(staff.authority());
    let account = accounts.update_access(&staff, account, access, unlock, &context).await?;

    Response::ok(&account.user)?.version(account.version)
}
