//! Access tokens: JSON Web Tokens by RFC 9068.

use std::{collections::HashMap, sync::Once, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::ErrorKind,
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::{
    access::{Access, Authority, Grant, TokenError},
    key::{Key, random},
};
use crate::{
    domain::{
        id::Id,
        time::Timestamp,
        user::{Actor, Session},
    },
    error::Error,
};

/// The claims of an access token (RFC 9068, section 2.2).
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The API's URL.
    pub iss: String,
    /// The API's URL.
    pub aud: String,
    pub sub: Actor,
    pub client_id: String,
    /// Session of a user; machine clients have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Id<Session>>,
    /// Epoch of the account or client.
    #[serde(default)]
    pub epoch: i64,
    /// Seconds since the Unix epoch.
    pub iat: i64,
    /// Seconds since the Unix epoch.
    pub exp: i64,
    pub jti: String,
    /// Scopes, separated by spaces.
    pub scope: String,
}

/// Lifetime of an access token.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Maximum difference between clocks.
const LEEWAY: Duration = Duration::from_secs(5);
/// No token of ours is nearly as long.
const MAX_TOKEN_BYTES: usize = 4_096;
/// The `typ` of RFC 9068, which excludes other kinds of JWT.
const TOKEN_TYPE: &str = "at+jwt";

impl Claims {
    /// Makes the claims of a new token.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn of(grant: &Grant, issuer: &str, now: Timestamp) -> Result<Self, Error> {
        Ok(Self {
            iss: issuer.to_owned(),
            aud: issuer.to_owned(),
            sub: grant.authority.subject,
            client_id: grant.authority.client_id.clone(),
            sid: grant.authority.session,
            epoch: grant.authority.epoch,
            iat: now.as_seconds(),
            exp: (now + ACCESS_TOKEN_LIFETIME).as_seconds(),
            jti: BASE64_URL_SAFE_NO_PAD.encode(random::<16>()?),
            scope: grant.scope.to_string(),
        })
    }
}

/// Public keys by their `kid`.
pub type PublicKeys = HashMap<String, Vec<u8>>;

/// A JSON Web Key Set (RFC 7517, RFC 8037).
#[derive(Serialize)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Serialize)]
struct Jwk {
    kty: &'static str,
    crv: &'static str,
    x: String,
    kid: String,
    r#use: &'static str,
    alg: &'static str,
}

impl From<&PublicKeys> for Jwks {
    fn from(keys: &PublicKeys) -> Self {
        let jwk = |(kid, key): (&String, &Vec<u8>)| {
            let (x, kid) = (BASE64_URL_SAFE_NO_PAD.encode(key), kid.clone());
            Jwk { kty: "OKP", crv: "Ed25519", x, kid, r#use: "sig", alg: "EdDSA" }
        };
        let mut keys: Vec<Jwk> = keys.iter().map(jwk).collect();
        keys.sort_by(|one, other| one.kid.cmp(&other.kid));
        Self { keys }
    }
}

/// Verifies an access token: EdDSA only, `typ` `at+jwt`, a key of ours by `kid`, issuer and audience, expiry.
///
/// # Errors
/// [`TokenError::UnknownKey`], [`TokenError::Invalid`].
pub fn verify(token: &str, keys: &PublicKeys, issuer: &str) -> Result<Access, TokenError> {
    use_ring();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
    let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
    let typed = typ.is_some_and(|typ| typ == TOKEN_TYPE || typ == format!("application/{TOKEN_TYPE}"));
    // `crit` names what a verifier must understand (RFC 7515, section 4.1.11); no token of ours has it.
    if !typed || header.alg != Algorithm::EdDSA || header.crit.is_some() {
        return Err(TokenError::Invalid);
    }
    let kid = header.kid.ok_or(TokenError::Invalid)?;
    let key = DecodingKey::from_ed_der(keys.get(&kid).ok_or(TokenError::UnknownKey)?);

    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims =
        jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| TokenError::Invalid)?.claims;
    // No token of ours lives longer, or was issued in the future.
    let latest = i64::try_from(jsonwebtoken::get_current_timestamp() + LEEWAY.as_secs()).unwrap_or(i64::MAX);
    let lifetime = claims.exp.saturating_sub(claims.iat);
    if u64::try_from(lifetime).is_ok_and(|lifetime| lifetime > ACCESS_TOKEN_LIFETIME.as_secs())
        || claims.iat > latest
    {
        return Err(TokenError::Invalid);
    }
    let Claims { sub: subject, client_id, sid: session, epoch, scope, .. } = claims;
    Ok(Access { authority: Authority { subject, client_id, session, epoch }, scope })
}

/// A private key that signs access tokens.
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl SigningKey {
    /// Generates a key. Its `kid` is a prefix of its public key's hash.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
        let pkcs8 = pkcs8.map_err(|_| Error::internal("the system has no randomness to give"))?;
        let mut key = Self::from_pkcs8(String::new(), pkcs8.as_ref().to_vec())?;
        let hash = ring::digest::digest(&ring::digest::SHA256, &key.public);
        key.kid = BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12]);
        Ok(key)
    }

    /// Parses a key of a key set.
    ///
    /// # Errors
    /// [`Error::Internal`] unless it is an Ed25519 key.
    pub fn of(key: &Key) -> Result<Self, Error> {
        Self::from_pkcs8(key.id.clone(), key.bytes.clone())
    }

    fn from_pkcs8(kid: String, pkcs8: Vec<u8>) -> Result<Self, Error> {
        let damaged = |_| Error::internal("a signing key is damaged");
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(damaged)?;
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { kid, pkcs8, public })
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Returns the public key, 32 bytes.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// [`Error::Internal`] if the claims can't be serialized.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        use_ring();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&self.pkcs8)).map_err(Error::internal)
    }
}

/// Makes `jsonwebtoken` use `ring`, which TLS already links. It supports only EdDSA, so a token of another algorithm is
/// refused even if the checks above failed to do so.
fn use_ring() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => {
                let pair =
                    Ed25519KeyPair::from_pkcs8(key.as_bytes()).map_err(|_| ErrorKind::InvalidEddsaKey)?;
                Ok(Box::new(Signer(pair)))
            }
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => Ok(Box::new(Verifier(key.try_get_as_bytes()?.to_vec()))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only if a provider is already installed.
        if RING.install_default().is_err() {
            crate::telemetry::warn("jsonwebtoken has another crypto provider", "");
        }
    });
}

struct Signer(Ed25519KeyPair);

impl signature::Signer<Vec<u8>> for Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Verifier(Vec<u8>);

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
