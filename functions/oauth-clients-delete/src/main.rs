//! `DELETE /oauth/clients/{client_id}`: deletes an OAuth client and ends its access tokens.

use shared::{prelude::*, store::clients::Clients};

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<(Keys, Clients), ConfigError> {
    Ok((store.keys().await?, store.audited()?.clients()?))
}

async fn handle((keys, clients): &(Keys, Clients), request: Request) -> Result<Response, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let id = request.path_id("client_id")?;

    clients.delete(&staff, id, &request.context_of(staff.authority())).await?;

    Ok(Response::no_content())
}
