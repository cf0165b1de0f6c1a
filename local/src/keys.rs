//! The key that signs access tokens on this machine, and the tokens that `cargo shop token` hands out.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shared::{
    auth::{Claims, Role, SigningKey},
    domain::id::{Id, User},
    telemetry,
};

/// Why there is no key, or no token. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It was not made yet.
    #[error("there is no signing key in {0}: run `cargo shop up` first, with the same --data-dir")]
    Missing(PathBuf),
    /// The file can't be read or written.
    #[error("the signing key {0} can't be read or written: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The file holds something else.
    #[error("{0} holds no signing key: remove it, then run `cargo shop up`")]
    Damaged(PathBuf),
    /// The system has no randomness to give.
    #[error("the system has no randomness to make a key from")]
    Random,
    /// The token can't be written.
    #[error("no token can be made: {0}")]
    Token(String),
}

/// The key in that file, made on the first call. Nobody else may read it.
///
/// # Errors
/// Where it can't be made, written or read.
pub fn load_or_make(path: &Path) -> Result<SigningKey, KeyError> {
    if path.exists() {
        return load(path);
    }
    let key = SigningKey::generate().map_err(|_| KeyError::Random)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(key.pkcs8()));
    written.map_err(|error| KeyError::File(path.to_owned(), error))?;
    Ok(key)
}

/// The key in that file.
///
/// # Errors
/// [`KeyError::Missing`] where there is none.
pub fn load(path: &Path) -> Result<SigningKey, KeyError> {
    let pkcs8 = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.parent().unwrap_or(path).to_owned()),
        _ => KeyError::File(path.to_owned(), error),
    })?;
    SigningKey::from_pkcs8(pkcs8).map_err(|_| KeyError::Damaged(path.to_owned()))
}

/// The item of the table of keys that publishes the key's public half, in DynamoDB's JSON.
pub fn item(key: &SigningKey) -> Value {
    json!({
        "pk": {"S": "KEY"},
        "sk": {"S": key.kid()},
        "alg": {"S": "EdDSA"},
        "x": {"S": BASE64_URL_SAFE_NO_PAD.encode(key.public())},
        "created_at": {"S": telemetry::now()},
    })
}

/// A token for the seeded user of that role, as logging in would give it; `issuer` is the API's URL with its version.
///
/// # Errors
/// Where it can't be written.
pub fn token(key: &SigningKey, issuer: &str, role: Role) -> Result<String, KeyError> {
    let now = telemetry::now();
    let claims = Claims::for_role(issuer, user(role)?, role, format!("local-{}", now.as_millis()), now);
    key.sign(&claims).map_err(|error| KeyError::Token(error.to_string()))
}

/// The seeded user of that role. Ids that stay the same let idempotency keys and the like work across tokens.
fn user(role: Role) -> Result<Id<User>, KeyError> {
    let id: Result<Id<User>, _> = match role {
        Role::Admin => "usr_01k2000000000000000000admn",
        Role::Staff => "usr_01k2000000000000000000staf",
        Role::Customer => "usr_01k2000000000000000000cstm",
    }
    .parse();
    id.map_err(|fault| KeyError::Token(fault.to_string()))
}
