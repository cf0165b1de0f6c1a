//! OAuth clients.

use aws_sdk_dynamodb::Client as DynamoDb;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Page, audit,
    idempotency::{Idempotent, IdempotentRequest},
    pages,
    schema::Key,
    tables::CommonTables,
    text,
    transaction::Transaction,
    users::delete_existing,
    withdrawals::Withdrawal,
};
use crate::{
    auth::{Scopes, Staff},
    aws,
    domain::{
        change::ChangeContext,
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Actor, Client},
    },
    error::Error,
    telemetry::{self, Metric},
};

/// Partition of the list of all clients.
const LIST: &str = "CLIENT";

/// Access to OAuth clients.
#[derive(Clone)]
pub struct Clients {
    pub(super) client: DynamoDb,
    pub(super) table: String,
    pub(super) common: CommonTables,
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
    /// Raised when all its access tokens are to end.
    #[serde(default)]
    pub epoch: i64,
    pub created_at: Timestamp,
    pub created_by: Actor,
}

impl ClientItem {
    /// Returns the part that the audit trail shows.
    fn audited(&self) -> Value {
        json!({"name": self.name, "scope": self.scope, "redirect_uris": self.redirect_uris})
    }
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
        by: &Staff,
        client: ClientItem,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<ClientItem>, Error> {
        let record = request.completed(&client)?;
        let mut item = Key::Client(client.id).on(serde_dynamo::to_item(&client).map_err(Error::internal)?);
        item.insert("list".to_owned(), text(LIST));
        let event = audit::event(request.context(), client.id)?.created(client.audited());
        let created = Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .create(item, |_| Error::internal("a client of this id exists"))?
            .once(&record)?
            .commit()
            .await?
            .result(request, client)?;
        if !created.replayed && created.value.secret_hash.is_some() {
            telemetry::count(Metric::MachineClientsMade);
        }
        Ok(created)
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

    /// Deletes a client and ends its access tokens. Its users' sessions can no longer be refreshed.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete(&self, by: &Staff, id: Id<Client>, context: &ChangeContext) -> Result<(), Error> {
        let client = self.get(id).await?.ok_or(Error::NotFound)?;
        let withdrawal = Withdrawal::Client { client: id, epoch: client.epoch + 1 };
        let event = audit::event(context, id)?.changed(client.audited(), Value::Null);
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .delete(delete_existing(&Key::Client(id)), |_| Error::NotFound)?
            .withdraw(&withdrawal, &self.common, context.at)?
            .commit()
            .await
            .map(drop)
    }
}
