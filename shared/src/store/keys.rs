//! Public keys of access tokens. They stay in memory, so that authorization costs no round trip.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    Item, if_condition_holds, number,
    schema::{self, Key},
    text,
};
use crate::{
    auth::{self, Access, PublicKeys, TokenError},
    aws,
    cache::Cache,
    domain::time::Timestamp,
    error::Error,
    telemetry,
};

/// Access to the table of public keys.
#[derive(Clone)]
pub struct KeyTable {
    pub(super) client: Client,
    pub(super) table: String,
}

/// A public key as the table holds it. Its `sk` is its `kid`.
#[derive(Serialize, Deserialize)]
struct KeyItem {
    sk: String,
    /// Base64url of the 32 bytes, as in a JWK (RFC 8037).
    x: String,
    /// TTL attribute: when the key is retired, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl KeyTable {
    /// Publishes a key, unless it is already published.
    pub async fn publish(&self, kid: &str, public: &[u8], now: Timestamp) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Jwk { kid: kid.to_owned() }.item()));
        let update = update
            .update_expression("SET x = :x, alg = :alg, created_at = if_not_exists(created_at, :now)")
            .expression_attribute_values(":x", text(BASE64_URL_SAFE_NO_PAD.encode(public)))
            .expression_attribute_values(":alg", text("EdDSA"))
            .expression_attribute_values(":now", text(now));
        update.send().await.map(drop).map_err(aws::classify)
    }

    /// Schedules the retirement of a key, unless it already is.
    pub async fn retire(&self, kid: &str, at: Timestamp) -> Result<(), Error> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::Jwk { kid: kid.to_owned() }.item()));
        let update = update
            .update_expression("SET expires_at = :at")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(expires_at)")
            .expression_attribute_values(":at", number(at.as_seconds()));
        if_condition_holds(update.send().await).map(drop)
    }

    /// Reads the keys that are not retired.
    pub async fn read(&self, now: Timestamp) -> Result<PublicKeys, Error> {
        let query = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk");
        let answer =
            query.expression_attribute_values(":pk", text(schema::PUBLIC_KEY_PARTITION)).send().await;
        let items: Vec<Item> = answer.map_err(aws::classify)?.items.into_iter().flatten().collect();
        let items: Vec<KeyItem> = serde_dynamo::from_items(items).map_err(Error::internal)?;
        let valid = |item: &KeyItem| item.expires_at.is_none_or(|at| at > now.as_seconds());
        let key = |item: KeyItem| Ok((item.sk, BASE64_URL_SAFE_NO_PAD.decode(item.x)?));
        let keys: Result<PublicKeys, base64::DecodeError> =
            items.into_iter().filter(valid).map(key).collect();
        keys.map_err(Error::internal)
    }
}

/// Verifier of access tokens, with its keys in memory.
pub struct Keys {
    table: KeyTable,
    issuer: String,
    cache: Cache<PublicKeys>,
}

impl Keys {
    pub(super) fn new(table: KeyTable, issuer: String) -> Self {
        Self { table, issuer, cache: Cache::new("the public keys") }
    }

    /// Reads the keys before the first request arrives. If that fails, the first request tries again.
    pub(super) async fn preload(&self) {
        self.cache.preload(async || self.read().await).await;
    }

    /// Returns the keys that are not retired, by `kid`.
    pub async fn published(&self) -> Result<Arc<PublicKeys>, Error> {
        Ok(self.cache.get(async || self.read().await).await?.value)
    }

    /// Verifies an access token.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::Unavailable`] if the keys can't be read.
    pub async fn verify(&self, token: &str) -> Result<Access, Error> {
        let known = self.cache.get(async || self.read().await).await?;
        let mut access = auth::verify(token, &known.value, &self.issuer);
        if access == Err(TokenError::UnknownKey) {
            if known.may_be_repeated() {
                let read = self.cache.load(async || self.read().await).await?;
                access = auth::verify(token, &read.value, &self.issuer);
            } else if known.failed {
                return Err(Error::Unavailable("the keys could not be read".into()));
            }
        }
        access.map_err(|_| Error::InvalidToken)
    }

    async fn read(&self) -> Result<PublicKeys, Error> {
        self.table.read(telemetry::now()).await
    }
}
