//! `PATCH /users/me`: updates the caller's profile.

use shared::{domain::user::Profile, prelude::*, store::users::Users};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Users), ConfigError> {
    Ok((store.keys().await?, store.users()?))
}

async fn handle((keys, users): &(Keys, Users), request: Request) -> Result<Response, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let (if_match, patch) = (request.if_match()?, request.merge_patch()?);

    let account = users.own(&customer).await?;
    if_match.check(account.version)?;
    let profile = patch.apply(&account.user.profile, Profile::read)?;
    let context = request.context_of(customer.authority());
    let account = users.update(&customer, account, profile, &context).await?;

    Response::ok(&account.user)?.version(account.version)
}
