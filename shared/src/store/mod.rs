//! DynamoDB, and nobody else's: a file per kind of item, and nothing of the SDK leaves this module.
//!
//! | table | item | `pk` | `sk` |
//! | --- | --- | --- | --- |
//! | Products | [entry of the catalogue](products) | `PRODUCT#id` | `ENTRY` |
//! | | [stock](inventory) | `PRODUCT#id` | `ENTRY#STOCK` |
//! | | [movement of stock](inventory) | `PRODUCT#id` | `MOVE#id` |
//! | | [SKU, to keep it unique](products) | `SKU#sku` | `SKU` |
//! | | [idempotency record](idempotency) | `USER#id` | `IDEM#operation#hash of key` |
//! | Orders | [order](orders) | `USER#id` | `ORDER#own part of its id` |
//! | | [idempotency record](idempotency) | `USER#id`, `CLIENT#id` | `IDEM#operation#hash of key` |
//! | Users | [profile](users) | `USER#id` | `PROFILE` |
//! | | [session](sessions) | `USER#id` | `SESSION#id` |
//! | | [log-in](logins) | `LOGIN#email` | `LOGIN` |
//! | | [pending registration, reset](logins) | `LOGIN#email` | `REGISTRATION#id`, `RESET#id` |
//! | | [mark that a mail was sent](mails) | `LOGIN#email` | `MAIL#kind#id` |
//! | | [attempts at an account](attempts) | `ATTEMPT#hmac of email` | `ATTEMPT`, `KNOWN#hmac of address` |
//! | | [attempts from an address](attempts) | `ADDRESS#hmac of address` | `ADDRESS` |
//! | | [authorization code](codes) | `CODE#hash` | `CODE` |
//! | | [OAuth client](clients) | `CLIENT#id` | `CLIENT` |
//! | | [idempotency record](idempotency) | `USER#id` | `IDEM#operation#hash of key` |
//! | Keys | [public key](keys) | `KEY` | `kid` |
//!
//! Entry and stock lie side by side, so that one Query reads both, yet apart, so that a sale rewrites neither the
//! description nor the indexes. The entry alone is listed, by six indexes: `status` or `status_category` ×
//! newest, price, name; they hold summaries without the description.

pub mod attempts;
mod batch;
mod change;
pub mod clients;
pub mod codes;
pub mod events;
pub mod idempotency;
pub mod inventory;
pub mod keys;
mod list;
mod listing;
pub mod logins;
pub mod mails;
pub mod orders;
pub mod products;
pub mod sessions;
mod transaction;
pub mod users;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

pub use change::Change;
pub use listing::Position;

use crate::{
    aws,
    config::{self, ConfigError},
    error::Error,
    secrets,
};

/// An item as DynamoDB holds it.
type Item = HashMap<String, AttributeValue>;

/// The connection to DynamoDB, from which the tables are opened.
pub struct Store {
    client: Client,
}

impl Store {
    /// Prepares the connection; the first call opens it.
    ///
    /// # Errors
    /// Where a variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        Ok(Self { client: Client::new(&aws::configuration("DYNAMODB")?) })
    }

    /// The catalogue.
    ///
    /// # Errors
    /// Where `PRODUCTS_TABLE` is missing.
    pub fn products(&self) -> Result<products::Products, ConfigError> {
        Ok(products::Products { client: self.client.clone(), table: config::required("PRODUCTS_TABLE")? })
    }

    /// The stock of what is in the catalogue.
    ///
    /// # Errors
    /// Where `PRODUCTS_TABLE` is missing.
    pub fn inventory(&self) -> Result<inventory::Inventory, ConfigError> {
        Ok(inventory::Inventory { client: self.client.clone(), table: config::required("PRODUCTS_TABLE")? })
    }

    /// The orders, for those who leave the stocks alone.
    ///
    /// # Errors
    /// Where `ORDERS_TABLE` is missing.
    pub fn orders(&self) -> Result<orders::Orders, ConfigError> {
        let table = config::required("ORDERS_TABLE")?;
        Ok(orders::Orders { client: self.client.clone(), table, products: None })
    }

    /// The orders, and the stocks that change with them.
    ///
    /// # Errors
    /// Where `ORDERS_TABLE` or `PRODUCTS_TABLE` is missing.
    pub fn orders_and_stock(&self) -> Result<orders::Orders, ConfigError> {
        let (table, products) = (config::required("ORDERS_TABLE")?, config::required("PRODUCTS_TABLE")?);
        Ok(orders::Orders { client: self.client.clone(), table, products: Some(products) })
    }

    /// The accounts of users.
    ///
    /// # Errors
    /// Where `USERS_TABLE` is missing.
    pub fn users(&self) -> Result<users::Users, ConfigError> {
        Ok(users::Users { client: self.client.clone(), table: config::required("USERS_TABLE")? })
    }

    /// The sessions of users.
    ///
    /// # Errors
    /// Where `USERS_TABLE` is missing.
    pub fn sessions(&self) -> Result<sessions::Sessions, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(sessions::Sessions { users: users::Users { client: self.client.clone(), table } })
    }

    /// The counts of attempts at passwords, under pseudonyms that `keys` make.
    ///
    /// # Errors
    /// Where `USERS_TABLE` is missing.
    pub fn attempts(&self, keys: secrets::Keys) -> Result<attempts::Attempts, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(attempts::Attempts { client: self.client.clone(), table, keys })
    }

    /// The OAuth clients.
    ///
    /// # Errors
    /// Where `USERS_TABLE` is missing.
    pub fn clients(&self) -> Result<clients::Clients, ConfigError> {
        Ok(clients::Clients { client: self.client.clone(), table: config::required("USERS_TABLE")? })
    }

    /// What mails are sent by.
    ///
    /// # Errors
    /// Where `USERS_TABLE` is missing.
    pub fn mails(&self) -> Result<mails::Mails, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(mails::Mails { users: users::Users { client: self.client.clone(), table } })
    }

    /// The public keys, read at once: which opens the connection, too, before the first request is there.
    ///
    /// # Errors
    /// Where `KEYS_TABLE` or `PUBLIC_URL` is missing.
    pub async fn keys(&self) -> Result<keys::Keys, ConfigError> {
        let table = config::required("KEYS_TABLE")?;
        let issuer = config::issuer(&config::required("PUBLIC_URL")?);
        let keys = keys::Keys::new(keys::KeyTable { client: self.client.clone(), table }, issuer);
        keys.preload().await;
        Ok(keys)
    }

    /// The table of public keys, for the one function that writes it.
    ///
    /// # Errors
    /// Where `KEYS_TABLE` is missing.
    pub fn key_table(&self) -> Result<keys::KeyTable, ConfigError> {
        Ok(keys::KeyTable { client: self.client.clone(), table: config::required("KEYS_TABLE")? })
    }
}

/// One page of a list: its items, and the position to go on from, if there are more.
pub struct Page<T, P> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// After the last of them.
    pub next: Option<P>,
}

impl<T, P: Copy> Page<T, P> {
    /// The same page, its items seen in another way.
    pub fn map<'a, U>(&'a self, see: impl Fn(&'a T) -> U) -> Page<U, P> {
        Page { items: self.items.iter().map(see).collect(), next: self.next }
    }
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The whole number that an attribute holds.
fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// How often an item has changed, from 1.
fn version(item: &Item) -> Result<i64, Error> {
    integer(item, "version").ok_or_else(|| Error::internal("an item has no version"))
}

/// The primary key of an item.
fn key(pk: impl ToString, sk: impl ToString) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn with_key(mut item: Item, key: Item) -> Item {
    item.extend(key);
    item
}

/// Sends a conditional update; gives the item that stood against it, where its condition does not hold.
async fn update_unless_refused(
    update: UpdateItemFluentBuilder,
) -> Result<Result<UpdateItemOutput, Item>, Error> {
    let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match update.send().await {
        Ok(answer) => Ok(Ok(answer)),
        Err(failed) => match failed.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Err(refused.item().cloned().unwrap_or_default()))
            }
            _ => Err(aws::judge(failed)),
        },
    }
}

/// The answer of a conditional write; none where its condition does not hold.
fn unless_refused<T, E>(result: Result<T, SdkError<E>>) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(refused) if refused.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(failed) => Err(aws::judge(failed)),
    }
}
