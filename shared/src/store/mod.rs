//! DynamoDB: one file per kind of item. Nothing of the SDK leaves this module.
//!
//! The store loads, saves and lists; what to save is decided by the use cases above it. [`schema`] has the key table.

mod schema;

pub mod idempotency;
mod transaction;

mod batch;
mod pages;

pub mod inventory;
pub mod products;

mod listing;

pub mod orders;

mod due;

pub mod users;

pub mod logins;

pub mod registrations;
pub mod resets;
pub mod sessions;

pub mod attempts;
pub mod clients;
pub mod codes;
pub mod erasure;
pub mod keys;
pub mod mails;

mod stream_record;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

pub use due::DueCursor;
pub use listing::Position;
pub use schema::SHARDS;
pub use stream_record::{Images, StreamRecord};

use idempotency::StoredRecord;
use serde::{Deserialize, Serialize};

use crate::{
    aws,
    config::{self, ConfigError},
    error::Error,
    secrets,
};

type Item = HashMap<String, AttributeValue>;

/// The connection to DynamoDB, from which the tables are opened.
pub struct Store {
    client: Client,
}

impl Store {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// A variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        Ok(Self { client: Client::new(&aws::configuration("DYNAMODB")?) })
    }

    pub fn products(&self) -> Result<products::Products, ConfigError> {
        Ok(products::Products { client: self.client.clone(), table: config::required("PRODUCTS_TABLE")? })
    }

    pub fn inventory(&self) -> Result<inventory::Inventory, ConfigError> {
        Ok(inventory::Inventory { client: self.client.clone(), table: config::required("PRODUCTS_TABLE")? })
    }

    /// Opens the orders for a function that changes no stock.
    pub fn orders(&self) -> Result<orders::Orders, ConfigError> {
        let table = config::required("ORDERS_TABLE")?;
        Ok(orders::Orders { client: self.client.clone(), table, products: None })
    }

    /// Opens the orders and the stocks that change with them.
    pub fn orders_and_stock(&self) -> Result<orders::Orders, ConfigError> {
        let (table, products) = (config::required("ORDERS_TABLE")?, config::required("PRODUCTS_TABLE")?);
        Ok(orders::Orders { client: self.client.clone(), table, products: Some(products) })
    }

    pub fn users(&self) -> Result<users::Users, ConfigError> {
        Ok(users::Users { client: self.client.clone(), table: config::required("USERS_TABLE")? })
    }

    pub fn sessions(&self) -> Result<sessions::Sessions, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(sessions::Sessions { users: users::Users { client: self.client.clone(), table } })
    }

    /// Opens the log-in attempt counters. `keys` pseudonymize accounts and addresses.
    pub fn attempts(&self, keys: secrets::HmacKeys) -> Result<attempts::Attempts, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(attempts::Attempts { client: self.client.clone(), table, keys })
    }

    pub fn clients(&self) -> Result<clients::Clients, ConfigError> {
        Ok(clients::Clients { client: self.client.clone(), table: config::required("USERS_TABLE")? })
    }

    pub fn mails(&self) -> Result<mails::Mails, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(mails::Mails { users: users::Users { client: self.client.clone(), table } })
    }

    /// Opens the public keys and reads them, which opens the connection before the first request arrives.
    pub async fn keys(&self) -> Result<keys::Keys, ConfigError> {
        let table = config::required("KEYS_TABLE")?;
        let issuer = config::issuer(&config::required("PUBLIC_URL")?);
        let keys = keys::Keys::new(keys::KeyTable { client: self.client.clone(), table }, issuer);
        keys.preload().await;
        Ok(keys)
    }

    /// Opens the public keys for keys-rotate, the only function that writes them.
    pub fn key_table(&self) -> Result<keys::KeyTable, ConfigError> {
        Ok(keys::KeyTable { client: self.client.clone(), table: config::required("KEYS_TABLE")? })
    }
}

/// One page of a list.
pub struct Page<T, P> {
    pub items: Vec<T>,
    /// Position of the next page, if there is one.
    pub next: Option<P>,
}

impl<T, P: Copy> Page<T, P> {
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

fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A stored value with the version that optimistic locking compares: it counts the changes, from 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versioned<T> {
    #[serde(flatten)]
    pub value: T,
    pub version: i64,
}

/// Result of saving a change.
#[derive(Debug)]
pub enum Saved<T> {
    Committed(T),
    /// An earlier request with the same idempotency key has completed.
    Replayed(StoredRecord),
    /// The item has changed since it was read.
    Conflict,
}

/// Sends a conditional update. Returns the current item, if there is one, where the condition does not hold.
async fn update_if(update: UpdateItemFluentBuilder) -> Result<Result<UpdateItemOutput, Option<Item>>, Error> {
    let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    match update.send().await {
        Ok(output) => Ok(Ok(output)),
        Err(failed) => match failed.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(Err(failed.item().cloned())),
            _ => Err(aws::classify(failed)),
        },
    }
}

/// Returns the output of a conditional write, or `None` where the condition does not hold.
fn if_condition_holds<T, E>(result: Result<T, SdkError<E>>) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match result {
        Ok(output) => Ok(Some(output)),
        Err(failed) if failed.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(failed) => Err(aws::classify(failed)),
    }
}

/// Retry budget of a use case whose item keeps changing concurrently.
pub(crate) const MAX_RETRIES: u32 = 5;

/// The error of a use case that has used up [`MAX_RETRIES`].
pub(crate) fn contended() -> Error {
    Error::Unavailable("the item kept changing concurrently".into())
}
