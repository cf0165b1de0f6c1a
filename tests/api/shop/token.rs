//! Access tokens, well made or forged in any way that a test asks for. Written without the shop's own code, so that
//! the two can't be wrong in the same way.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use shared::telemetry;

/// A key that signs tokens.
pub struct Signer {
    pub kid: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub fn new(kid: &str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { kid: kid.to_owned(), pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap() }
    }

    /// The public half, as raw bytes.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The item of the table of keys that publishes it.
    pub fn item(&self) -> Value {
        json!({
            "pk": {"S": "KEY"},
            "sk": {"S": self.kid},
            "alg": {"S": "EdDSA"},
            "x": {"S": BASE64.encode(self.public())},
            "created_at": {"S": "2025-01-01T00:00:00.000Z"},
        })
    }
}

/// A token in the making.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
}

impl Token {
    /// One as the shop issues it.
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
            }),
        }
    }

    /// With a member of the header changed, or without it where null.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.header, name, value.into());
        self
    }

    /// With a claim changed, or without it where null.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        set(&mut self.claims, name, value.into());
        self
    }

    /// Signed as it should be.
    pub fn sign(&self, signer: &Signer) -> String {
        self.with_signature(|message| signer.pair.sign(message).as_ref().to_vec())
    }

    /// Signed with HMAC, by somebody who knows the public key and hopes that it is taken for the secret.
    pub fn sign_with_hmac(&self, secret: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        self.with_signature(|message| hmac::sign(&key, message).as_ref().to_vec())
    }

    /// With any signature.
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
