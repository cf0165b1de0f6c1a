//! DynamoDB: one file per kind of item. Nothing of the SDK leaves this module.
//!
//! The store loads, saves and lists; what to save is decided by the use cases above it. [`schema`] has the key table.

mod item;

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

use aws_sdk_dynamodb::Client;
pub use due::DueCursor;
use item::{Item, if_condition_holds, integer, number, text, update_if};
pub(crate) use item::{MAX_RETRIES, contended};
pub use item::{Page, Versioned};
pub use listing::Position;
pub use orders::Saved;
pub use schema::SHARDS;
pub use stream_record::{Images, StreamRecord};

use crate::{
    aws,
    config::{self, ConfigError},
    secrets,
};

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
