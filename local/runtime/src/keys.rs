//! Access tokens for `cargo shop token`, signed with the shop's own key.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use emulators::{
    EmulatorError,
    dynamodb::{self, DatabaseError},
    secrets_manager,
};
use serde_json::{Value, json};
use shared::{
    auth::{Authority, Claims, FIRST_PARTY, Grant, KeySet, Role, SigningKey},
    domain::{id::Id, user::Actor, user::User},
    error::{self, Error},
    store::keys::NEVER,
    telemetry,
};

use crate::data;

/// Secret of the signing keys, as in local/env.
const SIGNING_SECRET: &str = "SigningSecret";
/// Table of the accounts, as in local/env.
const USERS_TABLE: &str = "UsersTable";

/// No key, or no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is no signing key in {0}: run `cargo shop up` first, with the same --data-dir")]
    Missing(PathBuf),
    #[error(transparent)]
    Secrets(#[from] EmulatorError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the system has no randomness for a key")]
    Random,
    #[error("cannot make a token: {0}")]
    Token(String),
}

impl From<Error> for KeyError {
    fn from(failed: Error) -> Self {
        Self::Token(error::chain(&failed))
    }
}

/// Loads the current signing key of a data folder.
///
/// # Errors
/// [`KeyError::Missing`] before the first `cargo shop up`.
pub fn load(folder: &Path) -> Result<SigningKey, KeyError> {
    let secret = secrets_manager::current(&data::secrets(folder), SIGNING_SECRET)?;
    let keys = KeySet::read(&secret.ok_or_else(|| KeyError::Missing(folder.to_owned()))?)?;
    let key = keys.at(telemetry::now()).map_err(|_| KeyError::Missing(folder.to_owned()))?;
    Ok(SigningKey::of(key)?)
}

/// Generates a key.
///
/// # Errors
/// [`KeyError::Random`].
pub fn make() -> Result<SigningKey, KeyError> {
    SigningKey::generate().map_err(|_| KeyError::Random)
}

/// Returns the public key as an item of the Keys table, in DynamoDB's JSON.
pub fn item(key: &SigningKey) -> Value {
    json!({
        "pk": {"S": "KEY"},
        "sk": {"S": key.kid()},
        "alg": {"S": "EdDSA"},
        "x": {"S": BASE64_URL_SAFE_NO_PAD.encode(key.public())},
        "created_at": {"S": telemetry::now()},
        "list": {"S": "VERIFIERS"},
        "expires_at": {"N": NEVER.to_string()},
    })
}

/// Signs a token for the seeded user of a role. `issuer` is the API's URL with its version.
///
/// # Errors
/// [`KeyError::Token`].
pub fn token(key: &SigningKey, issuer: &str, role: Role) -> Result<String, KeyError> {
    token_of(key, issuer, user(role)?, role)
}

/// Signs a token for the seeded user of a role in a data folder. It is valid although earlier tokens of the user may have
/// been withdrawn, by a log-out for example.
///
/// # Errors
/// [`KeyError`].
pub fn current_token(folder: &Path, issuer: &str, role: Role) -> Result<String, KeyError> {
    let (key, user) = (load(folder)?, user(role)?);
    let profile = json!({"pk": {"S": format!("USER#{user}")}, "sk": {"S": "PROFILE"}});
    let profile = dynamodb::read(&data::database(folder), USERS_TABLE, &profile)?;
    let epoch = profile.and_then(|profile| profile["epoch"]["N"].as_str()?.parse().ok());
    sign(&key, issuer, user, role, epoch.unwrap_or(0))
}

/// Signs a token for any user of a role.
///
/// # Errors
/// [`KeyError::Token`].
pub fn token_of(key: &SigningKey, issuer: &str, user: Id<User>, role: Role) -> Result<String, KeyError> {
    sign(key, issuer, user, role, 0)
}

fn sign(key: &SigningKey, issuer: &str, user: Id<User>, role: Role, epoch: i64) -> Result<String, KeyError> {
    let (subject, client_id) = (Actor::User(user), FIRST_PARTY.to_owned());
    let authority = Authority { subject, client_id, session: None, epoch };
    let grant = Grant { authority, scope: role.scopes() };
    Ok(key.sign(&Claims::of(&grant, issuer, telemetry::now())?)?)
}

/// Returns the id of the seeded user of a role. It never changes, so that idempotency keys work across tokens.
///
/// # Errors
/// [`KeyError::Token`] if the id is invalid.
pub fn user(role: Role) -> Result<Id<User>, KeyError> {
    let id: Result<Id<User>, _> = match role {
        Role::Admin => "usr_01k2000000000000000000admn",
        Role::Staff => "usr_01k2000000000000000000staf",
        Role::Customer => "usr_01k2000000000000000000cstm",
    }
    .parse();
    id.map_err(|fault| KeyError::Token(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use shared::{
        auth::{self, Key, Scope},
        domain::time::Timestamp,
    };

    use super::*;
    use emulators::secrets_manager::Secrets;
    use template::Secret;

    #[tokio::test]
    async fn tokens_are_signed_with_the_key_in_force() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(load(folder.path()), Err(KeyError::Missing(_))));

        let (used, announced, now) = (make().unwrap(), make().unwrap(), telemetry::now().as_millis());
        let key = |key: &SigningKey, from: i64| {
            Key::new(key.kid().to_owned(), Timestamp::from_millis(from), key.pkcs8())
        };
        let keys = KeySet::of(key(&used, now)).with(key(&announced, now + 600_000), telemetry::now());
        let empty =
            Secret { name: SIGNING_SECRET.to_owned(), value: r#"{"keys":[]}"#.to_owned(), rotation: None };
        let path = data::secrets(folder.path());
        let secrets = Secrets::on_file(&path, vec![empty], "http://127.0.0.1:1", "key").await.unwrap();
        secrets.put(SIGNING_SECRET, &keys.write().unwrap()).unwrap();

        let found = load(folder.path()).unwrap();
        assert_eq!(found.kid(), used.kid());
        let token = token(&found, "http://shop.test/v1", Role::Staff).unwrap();
        let public = HashMap::from([(used.kid().to_owned(), used.public().to_vec())]);
        let access = auth::verify(&token, &public, "http://shop.test/v1").unwrap();
        assert_eq!(access.staff(Scope::UsersRead).unwrap().id(), Actor::User(user(Role::Staff).unwrap()));
        assert!(access.staff(Scope::UsersWrite).is_err());
    }
}
