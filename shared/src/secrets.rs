//! Secrets Manager: the private keys.

use std::{sync::Arc, time::Duration};

use aws_sdk_secretsmanager::{
    Client, error::ProvideErrorMetadata, operation::get_secret_value::builders::GetSecretValueFluentBuilder,
};

use serde::Deserialize;

use crate::{
    auth::{Claims, Grant, Key, KeySet, SigningKey},
    aws,
    cache::{Cache, Reading},
    config::{self, ConfigError},
    domain::{
        change::{ChangeContext, Initiator},
        time::Timestamp,
    },
    error::Error,
};

/// A new key comes into force this long after it was published. By then every verifier has it: functions read the keys every
/// five minutes, and other verifiers may cache /.well-known/jwks.json for five more.
const IN_FORCE_AFTER: Duration = Duration::from_secs(15 * 60);

/// A secret is read again after this time, so that no one signs with a revoked key for longer.
const FRESH: Duration = Duration::from_secs(60);

/// The connection to Secrets Manager.
pub struct Secrets {
    client: Client,
}

impl Secrets {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// A variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        Ok(Self { client: Client::new(&aws::configuration("SECRETS_MANAGER")?) })
    }

    /// Opens the issuer of access tokens and reads its keys.
    ///
    /// # Errors
    /// `SIGNING_SECRET` or `PUBLIC_URL` is missing.
    pub async fn issuer(&self) -> Result<Issuer, ConfigError> {
        let name = config::issuer(&config::required("PUBLIC_URL")?);
        let secret = config::required("SIGNING_SECRET")?;
        let keys = HmacKeys(self.open("the signing keys", secret, KeySet::read).await);
        Ok(Issuer { name, keys })
    }

    /// Reads the HMAC keys.
    ///
    /// # Errors
    /// `HMAC_SECRET` is missing.
    pub async fn hmac_keys(&self) -> Result<HmacKeys, ConfigError> {
        let secret = config::required("HMAC_SECRET")?;
        Ok(HmacKeys(self.open("the HMAC keys", secret, KeySet::read).await))
    }

    /// Opens the secrets for keys-rotate, the only function that makes keys.
    ///
    /// # Errors
    /// `SIGNING_SECRET` or `HMAC_SECRET` is missing.
    pub fn rotation(self) -> Result<Rotation, ConfigError> {
        let (signing, hmac) = (config::required("SIGNING_SECRET")?, config::required("HMAC_SECRET")?);
        Ok(Rotation { client: self.client, signing, hmac })
    }

    /// Reads the payment provider's keys.
    ///
    /// # Errors
    /// `PAYMENTS_SECRET` is missing.
    pub async fn payments(&self) -> Result<ProviderSecret, ConfigError> {
        let secret = config::required("PAYMENTS_SECRET")?;
        let keys = self.open("the payment provider's keys", secret, ProviderKeys::read).await;
        Ok(ProviderSecret(keys))
    }

    async fn open<T>(&self, what: &'static str, secret: String, parse: Parse<T>) -> Arc<CachedSecret<T>> {
        let kept =
            CachedSecret { client: self.client.clone(), secret, parse, cache: Cache::new(what, FRESH) };
        kept.cache.preload(async || kept.read().await).await;
        Arc::new(kept)
    }
}

type Parse<T> = fn(&str) -> Result<T, Error>;

/// The parsed text of a secret, kept in memory.
struct CachedSecret<T> {
    client: Client,
    secret: String,
    parse: Parse<T>,
    cache: Cache<T>,
}

impl<T> CachedSecret<T> {
    async fn get(&self) -> Result<Reading<T>, Error> {
        self.cache.get(async || self.read().await).await
    }

    async fn read(&self) -> Result<T, Error> {
        let call = self.client.get_secret_value().secret_id(&self.secret);
        let answer = call.send().await.map_err(aws::classify)?;
        (self.parse)(answer.secret_string().ok_or_else(|| Error::internal("a secret has no text"))?)
    }
}

/// HMAC or signing keys, kept in memory.
#[derive(Clone)]
pub struct HmacKeys(Arc<CachedSecret<KeySet>>);

impl HmacKeys {
    /// # Errors
    /// [`Error::Unavailable`] if the keys can't be read.
    pub async fn get(&self) -> Result<Arc<KeySet>, Error> {
        let kept = &self.0;
        let mut keys = kept.get().await?;
        // For a moment after the first deployment, there are none.
        if keys.value.is_empty() && keys.may_be_repeated() {
            keys = kept.cache.load(async || kept.read().await).await?;
        }
        if keys.value.is_empty() {
            return Err(Error::Unavailable("keys-rotate has made no key yet".into()));
        }
        Ok(keys.value)
    }
}

/// Keys shared with the payment provider.
#[derive(Deserialize)]
pub struct ProviderKeys {
    pub api_key: String,
    /// More than one while the provider rotates them.
    pub webhook_secrets: Vec<String>,
}

impl ProviderKeys {
    fn read(text: &str) -> Result<Self, Error> {
        // The text is secret, so the error does not contain it.
        serde_json::from_str(text)
            .map_err(|_| Error::internal("PAYMENTS_SECRET is not JSON with api_key and webhook_secrets"))
    }
}

/// [`ProviderKeys`], kept in memory.
#[derive(Clone)]
pub struct ProviderSecret(Arc<CachedSecret<ProviderKeys>>);

impl ProviderSecret {
    /// # Errors
    /// [`Error::Unavailable`] if the keys can't be read or have not been entered yet.
    pub async fn get(&self) -> Result<Arc<ProviderKeys>, Error> {
        let keys = self.0.get().await?.value;
        if keys.api_key.is_empty() {
            return Err(Error::Unavailable("the payment provider's keys have not been entered yet".into()));
        }
        Ok(keys)
    }
}

/// Issuer of access tokens.
pub struct Issuer {
    name: String,
    keys: HmacKeys,
}

impl Issuer {
    /// Issues an access token.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the keys can't be read, or there are none yet.
    pub async fn issue(&self, grant: &Grant, now: Timestamp) -> Result<String, Error> {
        let keys = self.keys.get().await?;
        SigningKey::of(keys.at(now)?)?.sign(&Claims::of(grant, &self.name, now)?)
    }
}

/// Stages of a secret's versions.
const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The secrets that keys-rotate rotates.
pub struct Rotation {
    client: Client,
    signing: String,
    hmac: String,
}

/// An event of keys-rotate.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum KeyEvent {
    Rotation(RotationEvent),
    Revocation(Revocation),
}

/// Order of an operator to stop using a key at once, because others may know it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Revocation {
    /// Id of the key.
    pub revoke: String,
}

/// A rotation event of Secrets Manager.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    pub step: RotationStep,
    secret_id: String,
    client_request_token: String,
}

impl KeyEvent {
    /// Returns the context of the changes that the event causes.
    pub fn context(&self, operation: &'static str, now: Timestamp) -> ChangeContext {
        let request_id = match self {
            Self::Rotation(event) => event.client_request_token.clone(),
            Self::Revocation(order) => order.revoke.clone(),
        };
        ChangeContext {
            initiator: Initiator::Schedule,
            client_id: None,
            operation,
            at: now,
            request_id,
            trace_id: None,
        }
    }
}

/// Steps of a rotation, in order. Each may be repeated.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RotationStep {
    CreateSecret,
    /// Publish the public keys.
    SetSecret,
    TestSecret,
    FinishSecret,
}

/// The version of a secret that a rotation makes.
pub struct SecretVersion<'a> {
    client: &'a Client,
    secret: &'a str,
    id: &'a str,
    signs: bool,
}

impl Rotation {
    /// # Errors
    /// [`Error::Internal`] for a secret that is not ours.
    pub fn version<'a>(&'a self, event: &'a RotationEvent) -> Result<SecretVersion<'a>, Error> {
        let secret = &event.secret_id;
        if *secret != self.signing && *secret != self.hmac {
            return Err(Error::internal("keys-rotate does not know the secret that it should rotate"));
        }
        let (id, signs) = (&event.client_request_token, *secret == self.signing);
        Ok(SecretVersion { client: &self.client, secret, id, signs })
    }
}

impl Rotation {
    /// Replaces a key by one that is in force at once. `publish` gets the new signing key before it signs.
    ///
    /// # Errors
    /// [`Error::Internal`] if no secret has the key.
    pub async fn replace(
        &self,
        id: &str,
        now: Timestamp,
        publish: impl AsyncFnOnce(SigningKey) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (secret, signs) in [(&self.signing, true), (&self.hmac, false)] {
            let get = self.client.get_secret_value().secret_id(secret).version_stage(CURRENT);
            let answer = get.send().await.map_err(aws::classify)?;
            let text = answer.secret_string().ok_or_else(|| Error::internal("a secret has no text"))?;
            let keys = KeySet::read(text)?;
            if !keys.contains(id) {
                continue;
            }
            let key = new_key(signs, now)?;
            if signs {
                publish(SigningKey::of(&key)?).await?;
            }
            let keys = keys.without(id).with(key, now).write()?;
            let put = self.client.put_secret_value().secret_id(secret).secret_string(keys);
            return put.version_stages(CURRENT).send().await.map(drop).map_err(aws::classify);
        }
        Err(Error::internal("no secret has the key that should be revoked"))
    }
}

fn new_key(signs: bool, from: Timestamp) -> Result<Key, Error> {
    if !signs {
        return Key::random(from);
    }
    let key = SigningKey::generate()?;
    Ok(Key::new(key.kid().to_owned(), from, key.pkcs8()))
}

impl SecretVersion<'_> {
    /// Returns whether the keys sign tokens, so that their public keys must be published.
    pub fn signs(&self) -> bool {
        self.signs
    }

    /// Makes the version, unless it exists: the current keys and a new one.
    pub async fn create(&self, now: Timestamp) -> Result<(), Error> {
        if self.read(self.pending()).await?.is_some() {
            return Ok(());
        }
        let current = self.client.get_secret_value().secret_id(self.secret).version_stage(CURRENT);
        let current = self.read(current).await?.unwrap_or_else(KeySet::empty);
        // The very first key is needed at once.
        let from = if current.is_empty() { now } else { now + IN_FORCE_AFTER };
        let key = new_key(self.signs, from)?;
        let put = self.client.put_secret_value().secret_id(self.secret).client_request_token(self.id);
        let put = put.secret_string(current.with(key, now).write()?).version_stages(PENDING);
        put.send().await.map(drop).map_err(aws::classify)
    }

    /// # Errors
    /// [`Error::Internal`] if the version does not exist.
    pub async fn keys(&self) -> Result<KeySet, Error> {
        let any_stage = self.client.get_secret_value().secret_id(self.secret).version_id(self.id);
        let keys = self.read(any_stage).await?;
        keys.ok_or_else(|| Error::internal("the version of the secret that is rotated does not exist"))
    }

    /// Makes this the current version.
    pub async fn finish(&self) -> Result<(), Error> {
        let secret =
            self.client.describe_secret().secret_id(self.secret).send().await.map_err(aws::classify)?;
        let versions = secret.version_ids_to_stages().into_iter().flatten();
        let current = versions.filter(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
        let current: Option<&str> = current.map(|(id, _)| id.as_str()).next();
        if current == Some(self.id) {
            return Ok(());
        }
        let moved = self.client.update_secret_version_stage().secret_id(self.secret).version_stage(CURRENT);
        let moved = moved.move_to_version_id(self.id).set_remove_from_version_id(current.map(str::to_owned));
        moved.send().await.map(drop).map_err(aws::classify)
    }

    fn pending(&self) -> GetSecretValueFluentBuilder {
        let call = self.client.get_secret_value().secret_id(self.secret);
        call.version_id(self.id).version_stage(PENDING)
    }

    /// Reads the keys of a version. Returns `None` if it does not exist.
    async fn read(&self, call: GetSecretValueFluentBuilder) -> Result<Option<KeySet>, Error> {
        match call.send().await {
            Ok(answer) => {
                let text = answer.secret_string().ok_or_else(|| Error::internal("a secret has no text"))?;
                KeySet::read(text).map(Some)
            }
            Err(missing) if missing.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(failed) => Err(aws::classify(failed)),
        }
    }
}
