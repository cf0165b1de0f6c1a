//! DynamoDB: one file per kind of item. Nothing of the SDK leaves this module.
//!
//! The store loads, saves and lists; what to save is decided by the use cases above it. [`schema`] has the key table.

mod item;

mod schema;

pub mod idempotency;
mod tables;
mod transaction;

mod batch;
mod pages;

pub mod audit;
mod withdrawals;

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
pub use item::{Changed, Page, Versioned};
use item::{Item, if_condition_holds, integer, number, origin, text, update_if};
pub(crate) use item::{MAX_RETRIES, contended};
pub use listing::Position;
pub use orders::Saved;
pub use schema::SHARDS;
pub use stream_record::{Images, StreamRecord};
use tables::CommonTables;

use crate::{
    aws,
    config::{self, ConfigError},
    secrets,
};

/// The connection to DynamoDB, from which the tables are opened.
pub struct Store {
    client: Client,
    common: CommonTables,
}

impl Store {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// A variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        let common = CommonTables { keys: config::optional("KEYS_TABLE"), audit: None };
        Ok(Self { client: Client::new(&aws::configuration("DYNAMODB")?), common })
    }

    /// Prepares for withdrawing authority, in a function that verifies no access token.
    ///
    /// # Errors
    /// `KEYS_TABLE` is missing.
    pub fn withdrawing(self) -> Result<Self, ConfigError> {
        config::required("KEYS_TABLE").map(|_| self)
    }

    /// Prepares for changes that belong in the audit trail.
    ///
    /// # Errors
    /// `AUDIT_TABLE` is missing.
    pub fn audited(self) -> Result<Self, ConfigError> {
        let common = CommonTables { audit: Some(config::required("AUDIT_TABLE")?), ..self.common };
        Ok(Self { common, ..self })
    }

    pub fn audit_trail(&self) -> Result<audit::AuditTrail, ConfigError> {
        Ok(audit::AuditTrail { client: self.client.clone(), table: config::required("AUDIT_TABLE")? })
    }

    pub fn products(&self) -> Result<products::Products, ConfigError> {
        let (client, common) = (self.client.clone(), self.common.clone());
        Ok(products::Products { client, table: config::required("PRODUCTS_TABLE")?, common })
    }

    pub fn inventory(&self) -> Result<inventory::Inventory, ConfigError> {
        let (client, common) = (self.client.clone(), self.common.clone());
        Ok(inventory::Inventory { client, table: config::required("PRODUCTS_TABLE")?, common })
    }

    /// Opens the orders for a function that changes no stock.
    pub fn orders(&self) -> Result<orders::Orders, ConfigError> {
        let (client, common) = (self.client.clone(), self.common.clone());
        Ok(orders::Orders { client, table: config::required("ORDERS_TABLE")?, products: None, common })
    }

    /// Opens the orders and the stocks that change with them.
    pub fn orders_and_stock(&self) -> Result<orders::Orders, ConfigError> {
        let products = Some(config::required("PRODUCTS_TABLE")?);
        Ok(orders::Orders { products, ..self.orders()? })
    }

    pub fn users(&self) -> Result<users::Users, ConfigError> {
        let (client, common) = (self.client.clone(), self.common.clone());
        Ok(users::Users { client, table: config::required("USERS_TABLE")?, common })
    }

    pub fn sessions(&self) -> Result<sessions::Sessions, ConfigError> {
        Ok(sessions::Sessions { users: self.users()? })
    }

    /// Opens the log-in attempt counters. `keys` pseudonymize accounts and addresses.
    pub fn attempts(&self, keys: secrets::HmacKeys) -> Result<attempts::Attempts, ConfigError> {
        let table = config::required("USERS_TABLE")?;
        Ok(attempts::Attempts { client: self.client.clone(), table, keys })
    }

    pub fn clients(&self) -> Result<clients::Clients, ConfigError> {
        let (client, common) = (self.client.clone(), self.common.clone());
        Ok(clients::Clients { client, table: config::required("USERS_TABLE")?, common })
    }

    pub fn mails(&self) -> Result<mails::Mails, ConfigError> {
        Ok(mails::Mails { users: self.users()? })
    }

    /// Opens the verifier of tokens and reads what it must know, which opens the connection before the first request arrives.
    pub async fn keys(&self) -> Result<keys::Keys, ConfigError> {
        let table = config::required("KEYS_TABLE")?;
        let issuer = config::issuer(&config::required("PUBLIC_URL")?);
        let keys = keys::Keys::new(
            keys::KeyTable { client: self.client.clone(), table, common: self.common.clone() },
            issuer,
        );
        keys.preload().await;
        Ok(keys)
    }

    /// Opens the public keys for keys-rotate, the only function that writes them.
    pub fn key_table(&self) -> Result<keys::KeyTable, ConfigError> {
        let common = self.common.clone();
        Ok(keys::KeyTable { client: self.client.clone(), table: config::required("KEYS_TABLE")?, common })
    }
}
