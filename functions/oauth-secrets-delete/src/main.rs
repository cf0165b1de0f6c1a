//! `DELETE /oauth/clients/{client_id}/secrets/{secret_id}`: deletes a secret and ends the client's access tokens.

use shared::{prelude::*, store::clients::Clients};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients), ConfigError> {
    Ok((store.keys().await?, store.audited()?.clients()?))
}

async fn handle((keys, clients): &(Keys, Clients), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let (id, secret) = (request.path_id("client_id")?, request.path_id("secret_id")?);

    clients.delete_secret(&staff, id, secret, &request.context_of(staff.authority())).await?;

    Ok(Response::no_content())
}
