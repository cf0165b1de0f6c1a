//! OAuth clients.

use aws_sdk_dynamodb::Client as DynamoDb;
use serde::{Deserialize, Serialize};

use super::{
    Item, Page,
    idempotency::{Outcome, Record},
    key, list, text,
    transaction::Transaction,
    with_key,
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

/// The list of all clients.
const LIST: &str = "CLIENT";

/// The OAuth clients.
#[derive(Clone)]
pub struct Clients {
    pub(super) client: DynamoDb,
    pub(super) table: String,
}

/// A client as it lies in the table. One that browsers are sent back to has no secret, since it could not keep it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientItem {
    /// Its identifier, for ever.
    pub id: Id<Client>,
    /// What people call it.
    pub name: String,
    /// The most that it may have.
    pub scope: Scopes,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// The hash of its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_hash: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

impl Clients {
    /// The client of that id.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn get(&self, id: Id<Client>) -> Result<Option<ClientItem>, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(client_key(id)));
        let item = get.send().await.map_err(aws::judge)?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Registers a client, once.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`].
    pub async fn create(&self, _by: &Staff, client: &ClientItem, record: &Record) -> Result<Outcome, Error> {
        let item = with_key(serde_dynamo::to_item(client).map_err(Error::internal)?, client_key(client.id));
        let mut item: Item = item;
        item.insert("list".to_owned(), text(LIST));
        Transaction::new(&self.client, &self.table)
            .create(item, |_| Error::internal("a client of this id exists"))?
            .once(record)?
            .commit()
            .await
    }

    /// One page of the clients, the newest first.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn list(
        &self,
        _by: &Staff,
        limit: usize,
        after: Option<Id<Client>>,
    ) -> Result<Page<ClientItem, Id<Client>>, Error> {
        let start = after.map(|id| with_key(client_key(id), list::position(LIST, id)));
        let pages = list::newest(&self.client, &self.table, LIST, limit, start);
        pages.read(|_| true, |client: &ClientItem| client.id).await
    }

    /// Removes a client. Its access tokens live out their minutes; its users' sessions can't be prolonged any more.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete(&self, _by: &Staff, id: Id<Client>) -> Result<(), Error> {
        // Read first: a removal on condition that loses its answer would be told, when it is tried again, that there is
        // no such client.
        self.get(id).await?.ok_or(Error::NotFound)?;
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(client_key(id)));
        delete.send().await.map(drop).map_err(aws::judge)
    }
}

fn client_key(id: Id<Client>) -> Item {
    key(format!("CLIENT#{id}"), "CLIENT")
}
