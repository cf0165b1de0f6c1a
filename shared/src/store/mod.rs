//! DynamoDB, and nobody else's: a file per kind of item, and nothing of the SDK leaves this module.
//!
//! | table | item | `pk` | `sk` |
//! | --- | --- | --- | --- |
//! | Products | [entry of the catalogue](products) | `PRODUCT#id` | `ENTRY` |
//! | | [stock](inventory) | `PRODUCT#id` | `ENTRY#STOCK` |
//! | | [movement of stock](inventory) | `PRODUCT#id` | `MOVE#id` |
//! | | [SKU, to keep it unique](products) | `SKU#sku` | `SKU` |
//! | | [idempotency record](idempotency) | `USER#id` | `IDEM#operation#hash of key` |
//! | Keys | [public key](keys) | `KEY` | `kid` |
//!
//! Entry and stock lie side by side, so that one Query reads both, yet apart, so that a sale rewrites neither the
//! description nor the indexes. The entry alone is listed, by six indexes: `status` or `status_category` ×
//! newest, price, name; they hold summaries without the description.

mod change;
mod client;
mod failure;
pub mod idempotency;
pub mod inventory;
pub mod keys;
mod listing;
pub mod products;
mod transaction;

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};

pub use change::Change;
pub use listing::Position;

use crate::{
    config::{self, ConfigError},
    error::Error,
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
        Ok(Self { client: client::new()? })
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

    /// The public keys, read at once: which opens the connection, too, before the first request is there.
    ///
    /// # Errors
    /// Where `KEYS_TABLE` or `PUBLIC_URL` is missing.
    pub async fn keys(&self) -> Result<keys::Keys, ConfigError> {
        let (table, url) = (config::required("KEYS_TABLE")?, config::required("PUBLIC_URL")?);
        let keys = keys::Keys::new(self.client.clone(), table, format!("{}/v1", url.trim_end_matches('/')));
        keys.preload().await;
        Ok(keys)
    }
}

/// One page of a list: its items, and the position to go on from, if there are more.
pub struct Page<T, P> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// After the last of them.
    pub next: Option<P>,
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// How often an item has changed, from 1.
fn version(item: &Item) -> Result<i64, Error> {
    let version = item.get("version").and_then(|version| version.as_n().ok());
    let version = version.and_then(|version| version.parse().ok());
    version.ok_or_else(|| Error::internal("an item has no version"))
}

/// The primary key of an item.
fn key(pk: impl ToString, sk: impl ToString) -> Item {
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}
