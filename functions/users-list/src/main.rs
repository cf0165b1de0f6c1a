//! `GET /users`: lists users for staff, newest first.

use shared::{
    http::Paging,
    prelude::*,
    store::users::{UserQuery, Users},
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Users), ConfigError> {
    Ok((store.keys().await?, store.users()?))
}

async fn handle((keys, users): &(Keys, Users), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::UsersRead).await?;
    let (query, paging) = request.query(|query| {
        let (users, paging) = (UserQuery::read(query), Paging::read(query));
        Some((users?, paging?))
    })?;

    let page = users.list(&staff, &query, paging.limit, paging.after(&query)?).await?;

    Response::page(&request, &page, &query)
}
