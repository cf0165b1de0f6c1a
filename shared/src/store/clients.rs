//! OAuth clients.

use aws_sdk_dynamodb::{
    Client as DynamoDb,
    types::{AttributeValue, Update, builders::UpdateBuilder},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Page, audit,
    idempotency::{Idempotent, IdempotentRequest},
    number, pages,
    schema::Key,
    tables::CommonTables,
    text,
    transaction::Transaction,
    users::delete_existing,
    withdrawals::Withdrawal,
};
use crate::{
    auth::{Scopes, Staff, hash, random},
    aws,
    domain::{
        change::ChangeContext,
        client::RedirectUri,
        id::{Entity, Id},
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

/// A secret of a machine client. It is random, and only its hash is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSecret {
    pub id: Id<ClientSecret>,
    hash: String,
    pub created_at: Timestamp,
}

impl Entity for ClientSecret {
    const PREFIX: &'static str = "sec";
}

impl ClientSecret {
    /// Makes a secret. Also returns its text, which can't be recovered later.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn generate(id: Id<Self>, now: Timestamp) -> Result<(Self, String), Error> {
        let text = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
        Ok((Self { id, hash: hash(text.as_bytes()), created_at: now }, text))
    }
}

/// Maximum secrets of a client: one in use, and one to change to.
const MAX_SECRETS: usize = 2;

/// An OAuth client as the table holds it. Clients with redirect URIs are public: they have no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientItem {
    pub id: Id<Client>,
    pub name: String,
    /// Maximum scope of its tokens.
    pub scope: Scopes,
    pub redirect_uris: Vec<RedirectUri>,
    /// At most [`MAX_SECRETS`], oldest first.
    #[serde(default)]
    pub secrets: Vec<ClientSecret>,
    /// Raised when all its access tokens are to end.
    #[serde(default)]
    pub epoch: i64,
    pub created_at: Timestamp,
    pub created_by: Actor,
}

impl ClientItem {
    /// Returns whether the client acts for itself.
    pub fn is_machine(&self) -> bool {
        self.redirect_uris.is_empty()
    }

    /// Returns whether this is one of its secrets. Hashes of 256 random bits: the time of their comparison reveals nothing.
    pub fn has_secret(&self, text: &str) -> bool {
        let hash = hash(text.as_bytes());
        self.secrets.iter().any(|secret| secret.hash == hash)
    }

    /// Returns the part that the audit trail shows.
    fn audited(&self) -> Value {
        json!({"name": self.name, "scope": self.scope, "redirect_uris": self.redirect_uris})
    }
}

impl Clients {
    pub async fn get(&self, id: Id<Client>) -> Result<Option<ClientItem>, Error> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get = get.set_key(Some(Key::Client(id).item()));
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
        if !created.replayed && created.value.is_machine() {
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

    /// Adds a secret to a machine client. Its other secret stays valid, so that programs can change over.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for a public client; [`Error::TooManySecrets`].
    pub async fn add_secret(
        &self,
        by: &Staff,
        id: Id<Client>,
        secret: &ClientSecret,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let client = self.get(id).await?.filter(ClientItem::is_machine).ok_or(Error::NotFound)?;
        if client.secrets.len() >= MAX_SECRETS {
            return Err(Error::TooManySecrets);
        }
        let added = serde_dynamo::to_attribute_value([secret]).map_err(Error::internal)?;
        let update = Update::builder()
            .set_key(Some(Key::Client(id).item()))
            .update_expression("SET secrets = list_append(secrets, :added)")
            .condition_expression("attribute_exists(pk) AND size(secrets) < :max")
            .expression_attribute_values(":added", added)
            .expression_attribute_values(":max", AttributeValue::N(MAX_SECRETS.to_string()));
        let event = audit::event(context, id)?.created(json!({"secret_id": secret.id}));
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .update(update, |_| Error::TooManySecrets)?
            .commit()
            .await
            .map(drop)
    }

    /// Deletes a secret of a client, and ends the client's access tokens: which secret got them is not recorded.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn delete_secret(
        &self,
        by: &Staff,
        id: Id<Client>,
        secret: Id<ClientSecret>,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let client = self.get(id).await?.ok_or(Error::NotFound)?;
        let place = client.secrets.iter().position(|known| known.id == secret).ok_or(Error::NotFound)?;
        let update = raise_epoch(id, client.epoch)
            .update_expression(format!("SET epoch = :next REMOVE secrets[{place}]"))
            .condition_expression(format!("epoch = :epoch AND secrets[{place}].id = :secret"))
            .expression_attribute_values(":secret", text(secret));
        let event = audit::event(context, id)?.changed(json!({"secret_id": secret}), Value::Null);
        let withdrawal = Withdrawal::Client { client: id, epoch: client.epoch + 1 };
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .update(update, |_| Error::NotFound)?
            .withdraw(&withdrawal, &self.common, context.at)?
            .commit()
            .await
            .map(drop)
    }

    /// Ends the access tokens of a machine client, on its own request.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::StaleVersion`] if they have been ended since the client was read.
    pub async fn end_tokens(&self, id: Id<Client>, now: Timestamp) -> Result<(), Error> {
        let client = self.get(id).await?.ok_or(Error::NotFound)?;
        let withdrawal = Withdrawal::Client { client: id, epoch: client.epoch + 1 };
        Transaction::new(&self.client, &self.table)
            .update(raise_epoch(id, client.epoch), |_| Error::StaleVersion)?
            .withdraw(&withdrawal, &self.common, now)?
            .commit()
            .await
            .map(drop)
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

/// Ends the access tokens of a client, on its item, unless they have been ended since.
fn raise_epoch(id: Id<Client>, from: i64) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(Key::Client(id).item()))
        .update_expression("SET epoch = :next")
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":epoch", number(from))
        .expression_attribute_values(":next", number(from + 1))
}
