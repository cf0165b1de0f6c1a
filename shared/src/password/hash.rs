//! Passwords at rest: Argon2id (RFC 9106), written as PHC strings, which name their own parameters.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{Error as HashError, PasswordHasher, PasswordVerifier, phc},
};
use serde::{Deserialize, Serialize};

use super::Password;
use crate::{auth::random, error::Error};

/// Today's parameters: those of OWASP's Password Storage Cheat Sheet. They can be changed here and in [`NOBODY`] at any
/// time: every other hash is made anew at its owner's next log-in.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// The most that a hash may ask for: a damaged one must not take all of a function's memory or time.
const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 8;
const MAX_LANES: u32 = 4;

/// With today's parameters, and with the digits of π for salt and hash: nobody can have a password for it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$JD9qiIWjCNMTGYouA3BzRA$pAk4IimfMdAILvqY7E5siUUoIeY40BN3vlRmzzTpDGw";

/// What a password is kept as: a PHC string such as `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

/// What [`PasswordHash::verify`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is another password.
    Wrong,
    /// It is the password.
    Right,
    /// It is the password, but its hash was not made with today's parameters: keep a new one.
    RightButOutdated,
}

impl PasswordHash {
    /// Hashes a password with today's parameters and a salt of its own.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no randomness or no memory.
    pub fn of(password: &Password) -> Result<Self, Error> {
        let salt = random::<SALT_BYTES>()?;
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).map_err(Error::internal)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = argon2.hash_password_with_salt(password.0.as_bytes(), &salt).map_err(Error::internal)?;
        Ok(Self(hash.to_string()))
    }

    /// Its text, a PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A hash that no password has. Verified where there is no account, it makes the answer take as long as elsewhere.
    pub fn of_nobody() -> Self {
        Self(NOBODY.to_owned())
    }

    /// Whether it is the hash of this password: 15 ms of work, whatever the answer.
    ///
    /// # Errors
    /// [`Error::Internal`] where the hash is damaged, or there is no memory.
    pub fn verify(&self, password: &Password) -> Result<PasswordCheck, Error> {
        let (hash, outdated) = self.read()?;
        match Argon2::default().verify_password(password.0.as_bytes(), &hash) {
            Ok(()) if outdated => Ok(PasswordCheck::RightButOutdated),
            Ok(()) => Ok(PasswordCheck::Right),
            Err(HashError::PasswordInvalid) => Ok(PasswordCheck::Wrong),
            Err(error) => Err(Error::internal(error)),
        }
    }

    /// What the string says, if it can be verified, and whether it is not what a new hash would say.
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

/// Says no more than what it is.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}
