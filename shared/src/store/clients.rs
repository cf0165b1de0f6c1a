//! OAuth clients.

use aws_sdk_dynamodb::Client as DynamoDb;
use serde::{Deserialize, Serialize};

use super::{
    Page,
    idempotency::{Idempotent, IdempotentRequest},
    pages,
    schema::Key,
    text,
    transaction::Transaction,
};
use crate::{
    auth::{Scopes, Staff},
    aws,
    domain::{
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Actor, Client},
    },
    error::Error,
};

/// Partition of the list of all clients.
const LIST: &str = "CLIENT";

/// Access to OAuth clients.
#[derive(Clone)]
pub struct Clients {
    pub(super) client: DynamoDb,
    pub(super) table: String,
}

/// An OAuth client as the table holds it. Clients with redirect URIs are public: they have no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientItem {
    pub id: Id<Client>,
    pub name: String,
    /// Maximum scope of its tokens.
    pub scope: Scopes,
    pub redirect_uris: Vec<RedirectUri>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    pub created_at: Timestamp,
    pub created_by: Actor,
}

impl Clients {
    pub async fn get(&self, id: Id<Client>) -> Result<Option<ClientItem>, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(Key::Client(id).item()));
        let item = get.send().await.map_err(aws::classify)?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Registers a client.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`].
    pub async fn create(
        &self,
        _by: &Staff,
        client: ClientItem,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<ClientItem>, Error> {
        let record = request.completed(&client)?;
        let mut item = Key::Client(client.id).on(serde_dynamo::to_item(&client).map_err(Error::internal)?);
        item.insert("list".to_owned(), text(LIST));
        Transaction::new(&self.client, &self.table)
            .create(item, |_| Error::internal("a client of this id exists"))?
            .once(&record)?
            .commit()
            .await?
            .result(request, client)
    }

    /// Lists the clients, newest first.
    pub async fn list(
        &self,
        _by: &Staff,
        limit: usize,
        after: Option<Id<Client>>,
    ) -> Result<Page<ClientItem, Id<Client>>, Error> {
        let start = after.map(|id| Key::Client(id).on(pages::position(LIST, id)));
        let pages = pages::newest(&self.client, &self.table, LIST, limit, start);
        pages.read(|_| true, |client: &ClientItem| client.id).await
    }

    /// Deletes a client. Its access tokens stay valid until they expire; its users' sessions can no longer be refreshed.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete(&self, _by: &Staff, id: Id<Client>) -> Result<(), Error> {
        // Read first: the retry of a conditional delete whose response was lost would fail.
        self.get(id).await?.ok_or(Error::NotFound)?;
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(Key::Client(id).item()));
        delete.send().await.map(drop).map_err(aws::classify)
    }
}
