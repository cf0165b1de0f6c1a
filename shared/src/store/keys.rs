//! The public keys that access tokens are verified with: in memory, so that authorising costs no round trip.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::Client;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{failure, text};
use crate::{
    auth::{self, Access, PublicKeys, Refusal},
    error::{self, Error},
    telemetry::{self, Level},
};

/// Keys older than this are read again, so that a retired one is soon forgotten.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// After a read that failed, or for a `kid` that is unknown, they are read again this often at most: neither an outage
/// nor a flood of forged tokens reaches the store with every request.
const AGAIN: Duration = Duration::from_secs(10);

/// The keys, and whose tokens they verify.
pub struct Keys {
    client: Client,
    table: String,
    issuer: String,
    cache: Mutex<Option<Cached>>,
}

#[derive(Clone)]
struct Cached {
    keys: Arc<PublicKeys>,
    /// The last attempt to read them, and whether it failed.
    tried: Instant,
    failed: bool,
}

/// A public key as it lies in the table: `pk` `KEY`, `sk` its `kid`.
#[derive(Serialize, Deserialize)]
struct KeyItem {
    sk: String,
    /// Base64url of the 32 bytes, as in a JWK (RFC 8037).
    x: String,
}

impl Keys {
    pub(super) fn new(client: Client, table: String, issuer: String) -> Self {
        Self { client, table, issuer, cache: Mutex::default() }
    }

    /// Reads the keys before the first request is there. Where that fails, the first request will try again.
    pub(super) async fn preload(&self) {
        if let Err(error) = self.load().await {
            telemetry::event(Level::Warn, "the keys could not be read at start", &error::chain(&error));
        }
    }

    /// Judges an access token.
    ///
    /// # Errors
    /// [`Error::InvalidToken`]; [`Error::Unavailable`] where the keys that would tell can't be read.
    pub async fn verify(&self, token: &str) -> Result<Access, Error> {
        let known = self.known().await?;
        let mut verdict = auth::verify(token, &known.keys, &self.issuer);
        if verdict == Err(Refusal::UnknownKey) {
            if known.tried.elapsed() > AGAIN {
                verdict = auth::verify(token, &self.load().await?.keys, &self.issuer);
            } else if known.failed {
                return Err(Error::Unavailable("the keys could not be read".into()));
            }
        }
        verdict.map_err(|_| Error::InvalidToken)
    }

    /// The keys in memory, read again where that is due. Known ones are better than none while the store is silent.
    async fn known(&self) -> Result<Cached, Error> {
        let cached = self.cached().clone();
        match cached {
            Some(cached) if cached.tried.elapsed() < if cached.failed { AGAIN } else { FRESH } => Ok(cached),
            Some(stale) => Ok(self.load().await.unwrap_or_else(|error| {
                telemetry::event(Level::Warn, "the keys could not be read again", &error::chain(&error));
                stale
            })),
            None => self.load().await,
        }
    }

    async fn load(&self) -> Result<Cached, Error> {
        let tried = Instant::now();
        let read = self.read().await;
        let mut cache = self.cached();
        match read {
            Ok(keys) => Ok(cache.insert(Cached { keys: Arc::new(keys), tried, failed: false }).clone()),
            Err(error) => {
                if let Some(stale) = cache.as_mut() {
                    (stale.tried, stale.failed) = (tried, true);
                }
                Err(error)
            }
        }
    }

    async fn read(&self) -> Result<PublicKeys, Error> {
        let query = self.client.query().table_name(&self.table).key_condition_expression("pk = :pk");
        let answer =
            query.expression_attribute_values(":pk", text("KEY")).send().await.map_err(failure::judge)?;
        let items: Vec<KeyItem> =
            serde_dynamo::from_items(answer.items.unwrap_or_default()).map_err(Error::internal)?;
        let key = |item: KeyItem| Ok((item.sk, BASE64_URL_SAFE_NO_PAD.decode(item.x)?));
        let keys: Result<PublicKeys, base64::DecodeError> = items.into_iter().map(key).collect();
        keys.map_err(Error::internal)
    }

    fn cached(&self) -> MutexGuard<'_, Option<Cached>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
