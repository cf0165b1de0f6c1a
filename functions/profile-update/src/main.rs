//! `PATCH /users/me`: change what the caller says of themselves.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    domain::user::Profile,
    error::Error,
    http::{self, Answer, Request},
    store::{keys::Keys, users::Users},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.users()?)), update).await
}

async fn update((keys, users): &(Keys, Users), request: Request) -> Result<Answer, Error> {
    let customer = request.customer(keys, Scope::Account).await?;
    let (if_match, patch) = (request.if_match()?, request.merge_patch()?);

    let account = users.own(&customer).await?;
    if_match.check(account.version)?;
    let wanted = patch.apply(&account.user.profile, Profile::read)?;
    let changed = users.update(&customer, account, wanted, request.now()).await?;

    Answer::ok(&changed.user)?.version(changed.version)
}
