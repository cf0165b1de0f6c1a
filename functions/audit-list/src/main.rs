//! `GET /audit`: lists privileged changes for admins, newest first.

use shared::{domain::audit::AuditQuery, http::Paging, prelude::*, store::audit::AuditTrail};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, AuditTrail), ConfigError> {
    Ok((store.keys().await?, store.audit_trail()?))
}

async fn handle((keys, trail): &(Keys, AuditTrail), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::AuditRead).await?;
    let (query, paging) = request.query(|query| {
        let (events, paging) = (AuditQuery::read(query), Paging::read(query));
        Some((events?, paging?))
    })?;

    let page = trail.list(&staff, &query, paging.limit, paging.after(&query)?).await?;

    Response::page(&request, &page, &query)
}
