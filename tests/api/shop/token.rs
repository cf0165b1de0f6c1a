//! Access tokens, valid or forged. Written without the shop's code, so that both cannot have the same bug.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use shared::{store::keys::NEVER, telemetry};

/// A signing key.
pub struct Signer {
    pub kid: String,
    pair: Ed25519KeyPair,
    pkcs8: Vec<u8>,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec();
        Self { kid: kid.to_owned(), pair: Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap(), pkcs8 }
    }

    /// Reads the first key of a secret.
    pub fn of_secret(text: &str) -> Self {
        let keys: Value = serde_json::from_str(text).unwrap();
        let text = |name: &str| keys["keys"][0][name].as_str().unwrap();
        let pkcs8 = BASE64.decode(text("key")).unwrap();
        Self { kid: text("id").to_owned(), pair: Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap(), pkcs8 }
    }

    /// Returns the raw public key.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs bytes.
    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    /// Makes a token of any header and claims, JSON or not.
    pub fn seal(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = BASE64.encode(self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Returns the secret with this key.
    pub fn secret(&self) -> String {
        secret(&self.kid, &self.pkcs8)
    }

    /// Returns the item that publishes the key.
    pub fn item(&self) -> Value {
        json!({
            "pk": {"S": "KEY"},
            "sk": {"S": self.kid},
            "alg": {"S": "EdDSA"},
            "x": {"S": BASE64.encode(self.public())},
            "created_at": {"S": "2025-01-01T00:00:00.000Z"},
            "list": {"S": "VERIFIERS"},
            "expires_at": {"N": NEVER.to_string()},
        })
    }
}

/// Returns a secret with one key that is in force.
pub fn secret(id: &str, key: &[u8]) -> String {
    json!({"keys": [{"id": id, "from": "2025-01-01T00:00:00.000Z", "key": BASE64.encode(key)}]}).to_string()
}

/// A hash function of an HMAC.
#[derive(Clone, Copy)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// Returns the name in `alg`.
    pub fn algorithm(self) -> &'static str {
        match self {
            Self::Sha256 => "HS256",
            Self::Sha384 => "HS384",
            Self::Sha512 => "HS512",
        }
    }

    fn of_ring(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A token to change and sign.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
}

impl Token {
    /// Makes a token like the shop's.
    pub fn new(issuer: &str, kid: &str, subject: &str, scope: &str) -> Self {
        let now = telemetry::now().as_seconds();
        Self {
            header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}),
            claims: json!({
                "iss": issuer,
                "aud": issuer,
                "sub": subject,
                "client_id": "tests",
                "iat": now,
                "exp": now + 900,
                "jti": "CANARY-jti",
                "scope": scope,
                // Of no withdrawal, unless a test sets it.
                "epoch": i32::MAX,
            }),
        }
    }

    /// Changes a member of the header, or removes it by null.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// Changes a claim, or removes it by null.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Signs the token.
    pub fn sign(&self, signer: &Signer) -> String {
        self.with_signature(|message| signer.signature(message))
    }

    /// Signs the token by HMAC with the public key as secret.
    pub fn sign_with_hmac(&self, hash: Hash, secret: &[u8]) -> String {
        let key = hmac::Key::new(hash.of_ring(), secret);
        self.with_signature(|message| hmac::sign(&key, message).as_ref().to_vec())
    }

    /// Adds any signature.
    pub fn with_signature(&self, signature: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
        let encode = |part: &Value| BASE64.encode(part.to_string());
        let message = format!("{}.{}", encode(&self.header), encode(&self.claims));
        let signature = BASE64.encode(signature(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    let object = object.as_object_mut().unwrap();
    match value {
        Value::Null => object.remove(name),
        value => object.insert(name.to_owned(), value),
    };
}
