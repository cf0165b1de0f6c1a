//! `POST /oauth/clients`: registers an OAuth client.

use shared::{
    oauth::{ClientView, NewClient},
    prelude::*,
    secrets::{HmacKeys, Secrets},
    store::clients::Clients,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients, HmacKeys), ConfigError> {
    Ok((store.keys().await?, store.audited()?.clients()?, Secrets::connect()?.hmac_keys().await?))
}

async fn handle(
    (keys, clients, hmac_keys): &(Keys, Clients, HmacKeys),
    request: Request,
) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewClient::read)?;

    let once = key.bind(staff.authority(), &new)?;
    let hmac_keys = hmac_keys.get().await?;
    let client = new.client(request.new_id()?, staff.id(), &hmac_keys, request.now())?;
    let client = clients.create(&staff, client, &once).await?;

    let location = format!("{}/{}", request.path(), client.value.id);
    let view = ClientView::with_secret(&client.value, &hmac_keys)?;
    Ok(Response::created(&view)?.at(&location)?.replayed_if(client.replayed))
}
