//! Password hashes: Argon2id (RFC 9106), as PHC strings, which contain their parameters.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error as HashError, PasswordHasher, PasswordVerifier, phc},
};
use serde::{Deserialize, Serialize};

use super::policy::Password;
use crate::{auth::random, error::Error};

/// Current parameters, from OWASP's Password Storage Cheat Sheet. To change them, change [`NOBODY`] too: existing hashes are
/// renewed at the next log-in.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Limits for stored hashes: a damaged one must not exhaust memory or time.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 4;

/// A hash without a known password: salt and hash are digits of π.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$JD9qiIWjCNMTGYouA3BzRA$pAk4IimfMdAILvqY7E5siUUoIeY40BN3vlRmzzTpDGw";

/// The stored form of a password: a PHC string such as `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// Result of [`PasswordHash::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    Wrong,
    Right,
    /// The password is right, but its hash has old parameters: store a new one.
    RightButOutdated,
}

impl PasswordHash {
    /// Hashes a password with the current parameters and a random salt.
    ///
    /// # Errors
    /// [`Error::Internal`] without randomness or memory.
    pub fn of(password: &Password) -> Result<Self, Error> {
        let salt = random::<SALT_BYTES>()?;
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password_with_salt(password.0.as_bytes(), &salt).map_err(Error::internal)?;
        Ok(Self(hash.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a hash that no password matches. Verifying it for unknown accounts makes them take as long as known ones.
    pub fn of_nobody() -> Self {
        Self(NOBODY.to_owned())
    }

    /// Verifies a password, in 15 ms of CPU time whatever the result.
    ///
    /// # Errors
    /// [`Error::Internal`] if the hash is damaged, or without memory.
    pub fn verify(&self, password: &Password) -> Result<PasswordCheck, Error> {
        let (hash, outdated) = self.read()?;
        match Argon2::default().verify_password(password.0.as_bytes(), &hash) {
            Ok(()) if outdated => Ok(PasswordCheck::RightButOutdated),
            Ok(()) => Ok(PasswordCheck::Right),
            Err(HashError::PasswordInvalid) => Ok(PasswordCheck::Wrong),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// Parses the hash, and compares its parameters with the current ones.
    fn read(&self) -> Result<(phc::PasswordHash, bool), Error> {
        let damaged = |why: &str| Error::internal(format!("a password hash is damaged: {why}"));
        let hash = phc::PasswordHash::new(&self.0).map_err(|error| damaged(&error.to_string()))?;
        let params = Params::try_from(&hash).map_err(|error| damaged(&error.to_string()))?;
        let (Some(version), Some(salt), Some(output)) = (hash.version, hash.salt, hash.hash) else {
            return Err(damaged("a part of it is missing"));
        };
        let costs = (params.m_cost(), params.t_cost(), params.p_cost());
        if costs.0 > MAX_MEMORY_KIB || costs.1 > MAX_PASSES || costs.2 > MAX_LANES {
            return Err(damaged("it asks for too much work"));
        }
        let outdated = (hash.algorithm.as_str(), version) != ("argon2id", 19)
            || costs != (MEMORY_KIB, PASSES, LANES)
            || (salt.len(), output.len()) != (SALT_BYTES, HASH_BYTES);
        Ok((hash, outdated))
    }
}

/// Hides the hash.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}
