//! `GET /oauth/clients`: lists OAuth clients, newest first.

use shared::{http::Paging, oauth::ClientView, prelude::*, store::clients::Clients};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients), ConfigError> {
    Ok((store.keys().await?, store.clients()?))
}

async fn handle((keys, clients): &(Keys, Clients), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let paging = request.query(Paging::read)?;

    let page = clients.list(&staff, paging.limit, paging.after(&"clients")?).await?;

    Response::page(&request, &page.map(ClientView::from), &"clients")
}
