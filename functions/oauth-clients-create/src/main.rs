//! `POST /oauth/clients`: register a program that uses the shop. Its secret is shown here, and nowhere else.

use std::process::ExitCode;

use shared::{
    auth::Scope,
    error::Error,
    http::{self, Answer, Request},
    oauth::{self, ClientView, NewClient},
    secrets::{self, Secrets},
    store::{clients::Clients, keys::Keys},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http::serve(
        env!("CARGO_PKG_NAME"),
        async |store| Ok((store.keys().await?, store.clients()?, Secrets::connect()?.hmac_keys().await?)),
        create,
    )
    .await
}

async fn create(
    (keys, clients, hmac_keys): &(Keys, Clients, secrets::Keys),
    request: Request,
) -> Result<Answer, Error> {
    let staff = request.staff(keys, Scope::ClientsWrite).await?;
    let key = request.idempotency_key()?;
    let new = request.json(NewClient::read)?;

    let hmac_keys = hmac_keys.get().await?;
    let client = new.client(request.new_id()?, staff.id(), &hmac_keys, request.now())?;
    let location = format!("{}/{}", request.path(), client.id);
    let answer = Answer::created(&ClientView::from(&client))?.at(&location)?;
    let record = key.record(&staff, &new, &answer)?;
    let outcome = clients.create(&staff, &client, &record).await?;

    // The record has no secret: this answer and every repetition derive it.
    answer.unless_replayed(outcome)?.rewrite_body(|client| oauth::with_secret(client, &hmac_keys))
}
