//! Authentication and authorization: scopes, tokens and their keys.
//!
//! Only this module can make the proofs [`Staff`], [`Customer`] and [`OrderAccess`]. A function that takes one can't be called
//! without the check.

mod access;
mod key;

mod token;

mod key_set;

mod mail_token;
mod refresh_token;

pub use access::{
    Access, Authority, Customer, FIRST_PARTY, Grant, OrderAccess, Scope, Scopes, Staff, TokenError,
};
pub use key::Key;
pub(crate) use key::{hash, random};
pub use key_set::KeySet;
pub use mail_token::MailToken;
pub use refresh_token::RefreshToken;
pub use token::{ACCESS_TOKEN_LIFETIME, Claims, Jwks, PublicKeys, SigningKey, verify};

pub use crate::domain::user::Role;
