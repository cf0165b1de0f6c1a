//! Public keys and withdrawn authority: all that a verifier of access tokens must know. It stays in memory, so that
//! authorization costs no round trip.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Update},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Item, audit, number,
    schema::{Key, VERIFIERS},
    tables::CommonTables,
    text,
    transaction::Transaction,
    withdrawals::{self, WithdrawalItem},
};
use crate::{
    auth::{self, Access, PublicKeys, TokenError},
    aws,
    cache::Cache,
    domain::{change::ChangeContext, time::Timestamp, user::Actor},
    error::Error,
    telemetry,
};

/// Access to the Keys table.
#[derive(Clone)]
pub struct KeyTable {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) common: CommonTables,
}

/// A public key as the table holds it. Its `sk` is its `kid`.
#[derive(Serialize, Deserialize)]
struct KeyItem {
    sk: String,
    /// Base64url of the 32 bytes, as in a JWK (RFC 8037).
    x: String,
    /// TTL attribute: when the key is retired, in seconds since the Unix epoch.
    expires_at: i64,
    /// Set if the key must not be used any more. The item stays for a while, so that verifiers learn of it.
    #[serde(default)]
    revoked: bool,
}

/// Expiry of a key that is not retired: the year 2100.
pub const NEVER: i64 = 4_102_444_800;
/// The copy is read again after this time.
const FRESH: Duration = Duration::from_secs(5);
/// Each reading repeats this much of the time before the last one, for clocks that differ and indexes that lag.
const OVERLAP: Duration = Duration::from_secs(60);

/// A copy of what verifiers must know.
#[derive(Clone)]
struct Known {
    keys: PublicKeys,
    /// When each key is retired, in seconds since the Unix epoch.
    retired_at: HashMap<String, i64>,
    withdrawals: HashMap<Actor, WithdrawalItem>,
    read_at: Timestamp,
}

impl Known {
    fn empty() -> Self {
        let (keys, retired_at, withdrawals) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { keys, retired_at, withdrawals, read_at: Timestamp::from_millis(0) }
    }

    /// Adds what was read since: all that expires after `after`, and so all keys in use. Forgets what has expired.
    fn with(&self, items: Vec<Item>, after: i64, now: Timestamp) -> Result<Self, Error> {
        let mut known = Self { read_at: now, ..self.clone() };
        // A key that was not read again was revoked while this instance slept.
        known.retired_at.retain(|_, expires_at| *expires_at <= after);
        for item in items {
            if item.contains_key("subject") {
                let withdrawal: WithdrawalItem = serde_dynamo::from_item(item).map_err(Error::internal)?;
                known.withdrawals.insert(withdrawal.subject, withdrawal);
            } else {
                let key: KeyItem = serde_dynamo::from_item(item).map_err(Error::internal)?;
                if key.revoked {
                    known.retired_at.remove(&key.sk);
                    continue;
                }
                let public = BASE64_URL_SAFE_NO_PAD.decode(key.x).map_err(Error::internal)?;
                known.keys.insert(key.sk.clone(), public);
                known.retired_at.insert(key.sk, key.expires_at);
            }
        }
        known.retired_at.retain(|_, expires_at| *expires_at > now.as_seconds());
        known.keys.retain(|kid, _| known.retired_at.contains_key(kid));
        known.withdrawals.retain(|_, withdrawal| withdrawal.expires_at > now.as_seconds());
        Ok(known)
    }

    fn verify(&self, token: &str, issuer: &str) -> Result<Access, TokenError> {
        let access = auth::verify(token, &self.keys, issuer)?;
        let withdrawal = self.withdrawals.get(&access.authority().subject);
        if withdrawal.is_some_and(|withdrawal| withdrawal.ends(access.authority())) {
            return Err(TokenError::Invalid);
        }
        Ok(access)
    }
}

impl KeyTable {
    /// Publishes a key, unless it is already published.
    pub async fn publish(&self, kid: &str, public: &[u8], context: &ChangeContext) -> Result<(), Error> {
        let put = Item::from([
            ("x".to_owned(), text(BASE64_URL_SAFE_NO_PAD.encode(public))),
            ("alg".to_owned(), text("EdDSA")),
            ("list".to_owned(), text(VERIFIERS)),
            ("created_at".to_owned(), text(context.at)),
            ("expires_at".to_owned(), number(NEVER)),
        ]);
        let event = audit::event(context, kid)?.created(json!({"state": "published"}));
        let transaction = Transaction::new(&self.client, &self.table)
            .create(Key::Jwk { kid: kid.to_owned() }.on(put), |_| Error::StaleVersion)?
            .audited(&event, &self.common)?;
        transaction.try_commit().await.map(drop)
    }

    /// Schedules the retirement of a key, unless it already is.
    pub async fn retire(&self, kid: &str, at: Timestamp, context: &ChangeContext) -> Result<(), Error> {
        let update = Update::builder()
            .set_key(Some(Key::Jwk { kid: kid.to_owned() }.item()))
            .update_expression("SET expires_at = :at")
            .condition_expression("expires_at = :never")
            .expression_attribute_values(":at", number(at.as_seconds()))
            .expression_attribute_values(":never", number(NEVER));
        let event = audit::event(context, kid)?.created(json!({"state": "retired", "retired_at": at}));
        let transaction = Transaction::new(&self.client, &self.table)
            .update(update, |_| Error::StaleVersion)?
            .audited(&event, &self.common)?;
        transaction.try_commit().await.map(drop)
    }

    /// Stops the use of a key at once.
    pub async fn revoke(&self, kid: &str, context: &ChangeContext) -> Result<(), Error> {
        let update = Update::builder()
            .set_key(Some(Key::Jwk { kid: kid.to_owned() }.item()))
            .update_expression("SET revoked = :true, expires_at = :at")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revoked)")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .expression_attribute_values(":at", number((context.at + withdrawals::LIFETIME).as_seconds()));
        let event = audit::event(context, kid)?.created(json!({"state": "revoked"}));
        let transaction = Transaction::new(&self.client, &self.table)
            .update(update, |_| Error::StaleVersion)?
            .audited(&event, &self.common)?;
        transaction.try_commit().await.map(drop)
    }

    /// Reads the keys that are not retired.
    pub async fn read(&self, now: Timestamp) -> Result<PublicKeys, Error> {
        Ok(self.update(&Known::empty(), now).await?.keys)
    }

    /// Brings a copy up to date. The index is sorted by expiry, and each withdrawal expires a fixed time after it was made,
    /// so that one Query returns what is new and all keys in use.
    async fn update(&self, known: &Known, now: Timestamp) -> Result<Known, Error> {
        let after = (known.read_at + withdrawals::LIFETIME).as_seconds() - OVERLAP.as_secs() as i64;
        let after = after.max(now.as_seconds());
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let query = self.client.query().table_name(&self.table).index_name("verifiers");
            let query = query
                .key_condition_expression("#list = :list AND expires_at > :after")
                .expression_attribute_names("#list", "list")
                .expression_attribute_values(":list", text(VERIFIERS))
                .expression_attribute_values(":after", number(after));
            let page = query.set_exclusive_start_key(start).send().await.map_err(aws::classify)?;
            items.extend(page.items.into_iter().flatten());
            start = page.last_evaluated_key;
            if start.is_none() {
                return known.with(items, after, now);
            }
        }
    }
}

/// Verifier of access tokens, with its copy in memory.
pub struct Keys {
    table: KeyTable,
    issuer: String,
    cache: Cache<Known>,
}

impl Keys {
    pub(super) fn new(table: KeyTable, issuer: String) -> Self {
        Self { table, issuer, cache: Cache::new("what verifiers must know", FRESH) }
    }

    /// Reads the keys before the first request arrives. If that fails, the first request tries again.
    pub(super) async fn preload(&self) {
        self.cache.preload(async || self.read().await).await;
    }

    /// Returns the keys that are not retired, by `kid`.
    pub async fn published(&self) -> Result<PublicKeys, Error> {
        Ok(self.cache.get(async || self.read().await).await?.value.keys.clone())
    }

    /// Verifies an access token.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::Unavailable`] if the keys can't be read.
    pub async fn verify(&self, token: &str) -> Result<Access, Error> {
        let known = self.cache.get(async || self.read().await).await?;
        let mut access = known.value.verify(token, &self.issuer);
        if access == Err(TokenError::UnknownKey) {
            if known.may_be_repeated() {
                let read = self.cache.load(async || self.read().await).await?;
                access = read.value.verify(token, &self.issuer);
            } else if known.failed {
                return Err(Error::Unavailable("the keys could not be read".into()));
            }
        }
        access.map_err(|_| Error::InvalidToken)
    }

    async fn read(&self) -> Result<Known, Error> {
        let now = telemetry::now();
        match self.cache.value() {
            Some(known) => self.table.update(&known, now).await,
            None => self.table.update(&Known::empty(), now).await,
        }
    }
}
