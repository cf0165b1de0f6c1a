//! `POST /oauth/clients`: registers an OAuth client.

use shared::{
    oauth::{ClientView, NewClient},
    prelude::*,
    store::clients::Clients,
};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients), ConfigError> {
    Ok((store.keys().await?, store.audited()?.clients()?))
}

async fn handle((keys, clients): &(Keys, Clients), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewClient::read)?;

    let once = key.bind(staff.authority(), &new)?;
    let (client, secret) = new.client(request.new_id()?, staff.id(), request.new_id()?, request.now())?;
    let client = clients.create(&staff, client, &once).await?;

    let location = format!("{}/{}", request.path(), client.value.id);
    // Only its hash is stored, so that a replay can't show it again.
    let view = ClientView::from(&client.value).with_secret(secret.filter(|_| !client.replayed));
    Ok(Response::created(&view)?.at(&location)?.replayed_if(client.replayed))
}
