//! `POST /oauth/clients/{client_id}/secrets`: adds a secret to a machine client.

use shared::{
    oauth::SecretView,
    prelude::*,
    store::clients::{ClientSecret, Clients},
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients), ConfigError> {
    Ok((store.keys().await?, store.audited()?.clients()?))
}

async fn handle((keys, clients): &(Keys, Clients), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let id = request.path_id("client_id")?;

    let (secret, text) = ClientSecret::generate(request.new_id()?, request.now())?;
    clients.add_secret(&staff, id, &secret, &request.context_of(staff.authority())).await?;

    Response::created(&SecretView::with_text(&secret, text))
}
