//! Access tokens (RFC 9068), scopes, and the proofs of who is calling.
//!
//! A proof can't be made outside of this module, so a function of the store that takes one can't be called without
//! its check.

use std::{collections::HashMap, sync::Once};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error as JwtError, ErrorKind},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{Id, User},
    time::Timestamp,
};

/// What an access token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name, and api's words for it stand in as_str")]
pub enum Scope {
    ProductsWrite,
    InventoryRead,
    InventoryWrite,
    OrdersOwn,
    OrdersRead,
    OrdersWrite,
    PaymentsWrite,
    ProfileRead,
    Account,
    UsersRead,
    UsersWrite,
    ClientsWrite,
}

impl Scope {
    /// As tokens and the contract write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProductsWrite => "products:write",
            Self::InventoryRead => "inventory:read",
            Self::InventoryWrite => "inventory:write",
            Self::OrdersOwn => "orders:own",
            Self::OrdersRead => "orders:read",
            Self::OrdersWrite => "orders:write",
            Self::PaymentsWrite => "payments:write",
            Self::ProfileRead => "profile:read",
            Self::Account => "account",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::ClientsWrite => "clients:write",
        }
    }
}

/// A user's role: the set of scopes that a session of theirs gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Buys.
    Customer,
    /// Runs the shop.
    Staff,
    /// Runs the staff.
    Admin,
}

impl Role {
    /// What the role allows.
    pub fn scopes(self) -> Vec<Scope> {
        use Scope::*;
        let customer = [OrdersOwn, ProfileRead, Account];
        let staff =
            [ProductsWrite, InventoryRead, InventoryWrite, OrdersRead, OrdersWrite, PaymentsWrite, UsersRead];
        match self {
            Self::Customer => customer.to_vec(),
            Self::Staff => [&customer[..], &staff].concat(),
            Self::Admin => [&customer[..], &staff, &[UsersWrite, ClientsWrite]].concat(),
        }
    }
}

/// A member of the staff whose token has the scope that was asked for.
#[derive(Clone, Debug)]
pub struct Staff {
    id: Id<User>,
}

impl Staff {
    /// Who it is.
    pub fn id(&self) -> Id<User> {
        self.id
    }
}

/// What a valid access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    subject: Id<User>,
    scope: String,
}

impl Access {
    /// The proof that the caller may do what needs `scope`.
    ///
    /// # Errors
    /// [`Refusal::Scope`].
    pub fn staff(&self, scope: Scope) -> Result<Staff, Refusal> {
        let granted = self.scope.split(' ').any(|granted| granted == scope.as_str());
        if granted { Ok(Staff { id: self.subject }) } else { Err(Refusal::Scope) }
    }
}

/// Why a token does not open the door.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names a key that is not, or not yet, known here.
    UnknownKey,
    /// It is damaged, forged, expired, or meant for somebody else.
    Invalid,
    /// It is valid, but lacks the scope.
    Scope,
}

/// The claims of an access token (RFC 9068, section 2.2).
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: the API's URL.
    pub iss: String,
    /// Audience: the API's URL.
    pub aud: String,
    /// Subject: whose token it is.
    pub sub: Id<User>,
    /// The OAuth client that it was issued to.
    pub client_id: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it expires, in seconds since 1970.
    pub exp: i64,
    /// Its own id.
    pub jti: String,
    /// The scopes, with spaces between them.
    pub scope: String,
}

/// How long an access token lives, in seconds.
pub const ACCESS_TOKEN_SECONDS: i64 = 15 * 60;

/// Clocks may differ by so many seconds.
const LEEWAY_SECONDS: u64 = 5;
/// Far more than any token of ours has, far less than a header may hold.
const MAX_TOKEN_BYTES: usize = 4_096;
/// The `typ` of RFC 9068, which keeps other kinds of JWT out.
const TOKEN_TYPE: &str = "at+jwt";

impl Claims {
    /// The claims of a token that a user of that role gets.
    pub fn for_role(issuer: &str, subject: Id<User>, role: Role, jti: String, now: Timestamp) -> Self {
        let scopes: Vec<&str> = role.scopes().into_iter().map(Scope::as_str).collect();
        Self {
            iss: issuer.to_owned(),
            aud: issuer.to_owned(),
            sub: subject,
            client_id: "lambda-shop".to_owned(),
            iat: now.as_seconds(),
            exp: now.as_seconds() + ACCESS_TOKEN_SECONDS,
            jti,
            scope: scopes.join(" "),
        }
    }
}

/// Public keys by their `kid`.
pub type PublicKeys = HashMap<String, Vec<u8>>;

/// Judges an access token: EdDSA only, `typ` `at+jwt`, a key of ours by `kid`, issuer and audience, expiry.
///
/// # Errors
/// [`Refusal::UnknownKey`], [`Refusal::Invalid`].
pub fn verify(token: &str, keys: &PublicKeys, issuer: &str) -> Result<Access, Refusal> {
    use_ring();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refusal::Invalid)?;
    let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
    let typed = typ.is_some_and(|typ| typ == TOKEN_TYPE || typ == format!("application/{TOKEN_TYPE}"));
    // `crit` names what a verifier must understand (RFC 7515, section 4.1.11); no token of ours has it.
    if !typed || header.alg != Algorithm::EdDSA || header.crit.is_some() {
        return Err(Refusal::Invalid);
    }
    let kid = header.kid.ok_or(Refusal::Invalid)?;
    let key = DecodingKey::from_ed_der(keys.get(&kid).ok_or(Refusal::UnknownKey)?);

    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims =
        jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|_| Refusal::Invalid)?.claims;
    Ok(Access { subject: claims.sub, scope: claims.scope })
}

/// A private key that signs access tokens. Only where tokens are made.
pub struct SigningKey {
    kid: String,
    pkcs8: Vec<u8>,
    public: Vec<u8>,
}

impl SigningKey {
    /// Makes a new one. Its `kid` is the beginning of its public half's hash.
    ///
    /// # Errors
    /// Where the system has no randomness to give.
    pub fn generate() -> Result<Self, ring::error::Unspecified> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())?;
        Self::from_pkcs8(pkcs8.as_ref().to_vec())
    }

    /// Takes one from its PKCS#8 form.
    ///
    /// # Errors
    /// Where it is none of Ed25519.
    pub fn from_pkcs8(pkcs8: Vec<u8>) -> Result<Self, ring::error::Unspecified> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| ring::error::Unspecified)?;
        let public = pair.public_key().as_ref().to_vec();
        let hash = ring::digest::digest(&ring::digest::SHA256, &public);
        let kid = BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12]);
        Ok(Self { kid, pkcs8, public })
    }

    /// The key's name in the header of its tokens.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The form to keep it in.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The half that everybody may know: 32 bytes.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// Where the claims can't be written as JSON.
    pub fn sign(&self, claims: &Claims) -> Result<String, JwtError> {
        use_ring();
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&self.pkcs8))
    }
}

/// Has `jsonwebtoken` compute with `ring`, which TLS has linked already. EdDSA is all that it can, so a token of any
/// other algorithm is refused even where the checks above it fail.
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
    // It fails only where a provider is set already, which none but this line does.
    ONCE.call_once(|| RING.install_default().unwrap_or_default());
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
