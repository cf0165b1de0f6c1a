//! Secrets Manager: the private keys, only where they are used.

use std::sync::Arc;

use aws_sdk_secretsmanager::{
    Client, error::ProvideErrorMetadata, operation::get_secret_value::builders::GetSecretValueFluentBuilder,
};

use serde::Deserialize;

use crate::{
    auth::{Claims, Grant, Key, KeySet, SigningKey},
    aws,
    cache::{Cache, Reading},
    config::{self, ConfigError},
    domain::time::Timestamp,
    error::Error,
};

/// A new key comes into force so many milliseconds after it was published. By then everybody knows it: functions read the
/// keys every five minutes, and others may keep /.well-known/jwks.json for five more.
const ANNOUNCED_MILLIS: i64 = 15 * 60 * 1000;

/// The connection to Secrets Manager.
pub struct Secrets {
    client: Client,
}

impl Secrets {
    /// Prepares the connection; the first call opens it.
    ///
    /// # Errors
    /// Where a variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        Ok(Self { client: Client::new(&aws::configuration("SECRETS_MANAGER")?) })
    }

    /// What issues access tokens, its keys read at once.
    ///
    /// # Errors
    /// Where `SIGNING_SECRET` or `PUBLIC_URL` is missing.
    pub async fn issuer(&self) -> Result<Issuer, ConfigError> {
        let name = config::issuer(&config::required("PUBLIC_URL")?);
        let secret = config::required("SIGNING_SECRET")?;
        let keys = Keys(self.open("the signing keys", secret, KeySet::read).await);
        Ok(Issuer { name, keys })
    }

    /// The keys for HMAC, read at once.
    ///
    /// # Errors
    /// Where `HMAC_SECRET` is missing.
    pub async fn hmac_keys(&self) -> Result<Keys, ConfigError> {
        let secret = config::required("HMAC_SECRET")?;
        Ok(Keys(self.open("the HMAC keys", secret, KeySet::read).await))
    }

    /// The secrets themselves, for the one function that makes new keys.
    ///
    /// # Errors
    /// Where `SIGNING_SECRET` or `HMAC_SECRET` is missing.
    pub fn rotation(self) -> Result<Rotation, ConfigError> {
        let (signing, hmac) = (config::required("SIGNING_SECRET")?, config::required("HMAC_SECRET")?);
        Ok(Rotation { client: self.client, signing, hmac })
    }

    /// What the payment provider and the shop know each other by, read at once.
    ///
    /// # Errors
    /// Where `PAYMENTS_SECRET` is missing.
    pub async fn payments(&self) -> Result<ProviderSecret, ConfigError> {
        let secret = config::required("PAYMENTS_SECRET")?;
        let keys = self.open("the payment provider's keys", secret, ProviderKeys::read).await;
        Ok(ProviderSecret(keys))
    }

    async fn open<T>(&self, what: &'static str, secret: String, parse: Parse<T>) -> Arc<Kept<T>> {
        let kept = Kept { client: self.client.clone(), secret, parse, cache: Cache::new(what) };
        kept.cache.preload(async || kept.read().await).await;
        Arc::new(kept)
    }
}

/// What the text of a secret means.
type Parse<T> = fn(&str) -> Result<T, Error>;

/// What is in a secret, kept in memory.
struct Kept<T> {
    client: Client,
    secret: String,
    parse: Parse<T>,
    cache: Cache<T>,
}

impl<T> Kept<T> {
    async fn get(&self) -> Result<Reading<T>, Error> {
        self.cache.get(async || self.read().await).await
    }

    async fn read(&self) -> Result<T, Error> {
        let call = self.client.get_secret_value().secret_id(&self.secret);
        let answer = call.send().await.map_err(aws::judge)?;
        (self.parse)(answer.secret_string().unwrap_or_default())
    }
}

/// The keys in a secret, kept in memory.
#[derive(Clone)]
pub struct Keys(Arc<Kept<KeySet>>);

impl Keys {
    /// The keys.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where they can't be read.
    pub async fn get(&self) -> Result<Arc<KeySet>, Error> {
        let kept = &self.0;
        let mut keys = kept.get().await?;
        // Right after the first deployment there is none, for a moment.
        if keys.value.is_empty() && keys.may_be_repeated() {
            keys = kept.cache.load(async || kept.read().await).await?;
        }
        if keys.value.is_empty() {
            return Err(Error::Unavailable("keys-rotate has made no key yet".into()));
        }
        Ok(keys.value)
    }
}

/// What the payment provider and the shop know each other by.
#[derive(Deserialize)]
pub struct ProviderKeys {
    /// With it the shop calls the provider.
    pub api_key: String,
    /// With them the provider signs its webhooks: more than one while it changes.
    pub webhook_secrets: Vec<String>,
}

impl ProviderKeys {
    fn read(text: &str) -> Result<Self, Error> {
        // What the text is stays out of the error: it is a secret.
        serde_json::from_str(text).map_err(|_| {
            Error::internal("the secret of the payment provider is not the JSON that it should be")
        })
    }
}

/// [`ProviderKeys`], kept in memory.
#[derive(Clone)]
pub struct ProviderSecret(Arc<Kept<ProviderKeys>>);

impl ProviderSecret {
    /// The keys.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where they can't be read, or nobody has entered them yet.
    pub async fn get(&self) -> Result<Arc<ProviderKeys>, Error> {
        let keys = self.0.get().await?.value;
        if keys.api_key.is_empty() {
            return Err(Error::Unavailable("nobody has entered the payment provider's keys".into()));
        }
        Ok(keys)
    }
}

/// What issues access tokens.
pub struct Issuer {
    name: String,
    keys: Keys,
}

impl Issuer {
    /// An access token, good for [15 minutes](crate::auth::ACCESS_TOKEN_SECONDS).
    ///
    /// # Errors
    /// [`Error::Unavailable`] where there is no key yet, or none that can be read.
    pub async fn issue(&self, grant: &Grant, now: Timestamp) -> Result<String, Error> {
        let keys = self.keys.get().await?;
        SigningKey::of(keys.at(now)?)?.sign(&Claims::of(grant, &self.name, now)?)
    }
}

/// The stages of a secret's versions.
const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// The secrets, as their rotation sees them:
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
pub struct Rotation {
    client: Client,
    signing: String,
    hmac: String,
}

/// What Secrets Manager asks for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotationEvent {
    /// What is to be done.
    pub step: Step,
    secret_id: String,
    client_request_token: String,
}

/// The steps of a rotation. They come one after the other, and each may come again.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Make the new version.
    CreateSecret,
    /// Let those know who have to.
    SetSecret,
    /// See whether it works.
    TestSecret,
    /// Make it the current one.
    FinishSecret,
}

/// One version of one secret, on its way to be the current one.
pub struct Version<'a> {
    client: &'a Client,
    secret: &'a str,
    id: &'a str,
    signs: bool,
}

impl Rotation {
    /// The version that a rotation makes.
    ///
    /// # Errors
    /// [`Error::Internal`] where it is of a secret that is none of ours.
    pub fn version<'a>(&'a self, event: &'a RotationEvent) -> Result<Version<'a>, Error> {
        let secret = &event.secret_id;
        if *secret != self.signing && *secret != self.hmac {
            return Err(Error::internal("keys-rotate is asked to rotate a secret that it does not know"));
        }
        let (id, signs) = (&event.client_request_token, *secret == self.signing);
        Ok(Version { client: &self.client, secret, id, signs })
    }
}

impl Version<'_> {
    /// Whether its keys sign tokens, so that their public halves have to be published.
    pub fn signs(&self) -> bool {
        self.signs
    }

    /// Makes it: the current keys and a new one. If it was made before, it stays as it is.
    ///
    /// # Errors
    /// Only those of Secrets Manager.
    pub async fn create(&self, now: Timestamp) -> Result<(), Error> {
        if self.read(self.pending()).await?.is_some() {
            return Ok(());
        }
        let current = self.client.get_secret_value().secret_id(self.secret).version_stage(CURRENT);
        let current = self.read(current).await?.unwrap_or_default();
        // The very first key has nobody to wait for.
        let announced = if current.is_empty() { 0 } else { ANNOUNCED_MILLIS };
        let from = Timestamp::from_millis(now.as_millis() + announced);
        let key = if self.signs {
            let key = SigningKey::generate()?;
            Key::new(key.kid().to_owned(), from, key.pkcs8())
        } else {
            Key::random(from)?
        };
        let put = self.client.put_secret_value().secret_id(self.secret).client_request_token(self.id);
        let put = put.secret_string(current.with(key, now).write()?).version_stages(PENDING);
        put.send().await.map(drop).map_err(aws::judge)
    }

    /// Its keys.
    ///
    /// # Errors
    /// [`Error::Internal`] where it was not made.
    pub async fn keys(&self) -> Result<KeySet, Error> {
        let any_stage = self.client.get_secret_value().secret_id(self.secret).version_id(self.id);
        let keys = self.read(any_stage).await?;
        keys.ok_or_else(|| Error::internal("the version of the secret that is rotated does not exist"))
    }

    /// Makes it the current one, if it is not already.
    ///
    /// # Errors
    /// Only those of Secrets Manager.
    pub async fn finish(&self) -> Result<(), Error> {
        let secret = self.client.describe_secret().secret_id(self.secret).send().await.map_err(aws::judge)?;
        let versions = secret.version_ids_to_stages().into_iter().flatten();
        let current = versions.filter(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
        let current: Option<&str> = current.map(|(id, _)| id.as_str()).next();
        if current == Some(self.id) {
            return Ok(());
        }
        let moved = self.client.update_secret_version_stage().secret_id(self.secret).version_stage(CURRENT);
        let moved = moved.move_to_version_id(self.id).set_remove_from_version_id(current.map(str::to_owned));
        moved.send().await.map(drop).map_err(aws::judge)
    }

    fn pending(&self) -> GetSecretValueFluentBuilder {
        let call = self.client.get_secret_value().secret_id(self.secret);
        call.version_id(self.id).version_stage(PENDING)
    }

    /// The keys that a call gives, unless there is no such version.
    async fn read(&self, call: GetSecretValueFluentBuilder) -> Result<Option<KeySet>, Error> {
        match call.send().await {
            Ok(answer) => KeySet::read(answer.secret_string().unwrap_or_default()).map(Some),
            Err(missing) if missing.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(failed) => Err(aws::judge(failed)),
        }
    }
}
