//! `DELETE /oauth/clients/{client_id}`: a program gets no more tokens. Those already out live out their 15 minutes.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    store::{clients::Clients, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), async |store| Ok((store.keys().await?, store.clients()?)), delete)
        .await
}

async fn delete((keys, clients): &(Keys, Clients), request: Request) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let id = request.path_id("client_id")?;

    clients.delete(&staff, id).await?;

    Ok(Answer::no_content())
}
