//! Passwords: what may become one, and how it lies in the store.
//!
//! A [`Password`] is text that somebody sent to be checked, a [`NewPassword`] one that may be set. Neither shows its
//! text to logs. At rest there is only the [`PasswordHash`].

pub mod blocklist;
mod guess;
mod hash;

use std::{fmt, ops::Deref};

use icu_normalizer::ComposingNormalizerBorrowed;

pub use hash::{PasswordCheck, PasswordHash};

use crate::domain::validation::Violation;

/// With nothing beside it, a password has this many characters (NIST SP 800-63B-4, 3.1.1.2).
const MIN: usize = 15;
/// Enough for every password manager and every passphrase.
const MAX: usize = 128;
/// What the shop calls itself; to be guessed by everybody, whoever's password it is.
const SHOP: &str = "lambda-shop";
/// A new one takes two to the power of this many guesses, at least.
const ENOUGH: u32 = 36;

/// A password that somebody sent: 1 to 128 characters of any kind, in the one spelling (NFKC) that all keyboards agree
/// on.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Reads one that is to be checked.
    ///
    /// # Errors
    /// [`Violation::TooShort`] where it is empty, [`Violation::TooLong`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        const NFKC: ComposingNormalizerBorrowed = ComposingNormalizerBorrowed::new_nfkc();
        let text = NFKC.normalize(text).into_owned();
        match text.chars().count() {
            0 => Err(Violation::TooShort(1)),
            1..=MAX => Ok(Self(text)),
            _ => Err(Violation::TooLong(MAX)),
        }
    }
}

/// Says no more than what it is.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A password that may be set: long enough, and nothing that attackers try first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword(Password);

impl NewPassword {
    /// Reads one that is to be set by somebody of whom everybody knows what `about` says: the e-mail address, the name.
    /// Where that is not known yet, [`NewPassword::unlike`] is told later.
    ///
    /// # Errors
    /// [`Violation::TooShort`], [`Violation::TooLong`], [`Violation::CommonPassword`], [`Violation::RepetitivePassword`],
    /// [`Violation::PersonalPassword`].
    pub fn parse(text: &str, about: &[&str]) -> Result<Self, Violation> {
        let password = Password::parse(text)?;
        if password.0.chars().count() < MIN {
            return Err(Violation::TooShort(MIN));
        }
        Self(password).unlike(about)
    }

    /// The same, if it says more than what everybody knows.
    ///
    /// # Errors
    /// As for [`NewPassword::parse`].
    pub fn unlike(self, about: &[&str]) -> Result<Self, Violation> {
        let about = [about, &[SHOP]].concat();
        let weak = |about: &[&str], list| guess::bits(&self.0.0, about, list) < ENOUGH;
        if weak(&[], None) {
            Err(Violation::RepetitivePassword)
        } else if weak(&about, None) {
            Err(Violation::PersonalPassword)
        } else if weak(&about, Some(blocklist::BUILT_IN)) {
            Err(Violation::CommonPassword)
        } else {
            Ok(self)
        }
    }
}

impl Deref for NewPassword {
    type Target = Password;

    fn deref(&self) -> &Password {
        &self.0
    }
}
