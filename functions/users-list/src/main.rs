//! `GET /users`: the users, for the staff, the newest first.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Paging, Request},
    store::{
        keys::Keys,
        users::{UserQuery, Users},
    },
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.users()?)), list).await
}

async fn list((keys, users): &(Keys, Users), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::UsersRead).await?;
    let (query, paging) = request.query(|query| {
        let (wanted, paging) = (UserQuery::read(query), Paging::read(query));
        Some((wanted?, paging?))
    })?;

    let after = paging.after(&query)?;
    let page = users.list(&staff, &query, paging.limit, after).await?;

    Answer::page(&request, &page, &query)
}
