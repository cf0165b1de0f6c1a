//! `GET /oauth/clients`: the programs that use the shop, the newest first.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Paging, Request},
    oauth::ClientView,
    store::{clients::Clients, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.clients()?)), list).await
}

async fn list((keys, clients): &(Keys, Clients), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let paging = request.query(Paging::read)?;

    let page = clients.list(&staff, paging.limit, paging.after(&"clients")?).await?;

    Answer::page(&request, &page.map(ClientView::from), &"clients")
}
