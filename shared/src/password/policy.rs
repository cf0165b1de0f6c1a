//! Passwords that are acceptable.

use std::{fmt, ops::Deref};

use icu_normalizer::ComposingNormalizerBorrowed;

use super::{blocklist, guess};
use crate::domain::validation::Violation;

/// Minimum characters of a sole authentication factor (NIST SP 800-63B-4, section 3.1.1.2).
const MIN: usize = 15;
const MAX: usize = 128;
/// The shop's names, which attackers try against every account.
const SHOP: &str = "lambda-shop";
/// Minimum strength: the binary logarithm of the guesses that an attacker needs.
const ENOUGH: u32 = 36;

/// A password to be checked: 1 to 128 characters, normalized (NFKC) so that all keyboards produce the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub(super) String);

impl Password {
    /// # Errors
    /// [`Violation::TooShort`] if it is empty, [`Violation::TooLong`].
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

/// Hides the text.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A password that may be set: long enough, and not among those that attackers try first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPassword(Password);

impl NewPassword {
    /// Accepts a password of a user about whom attackers know `about`: e-mail address and name. If these are not known yet,
    /// call [`NewPassword::unlike`] later.
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

    /// Rejects a password that consists of what attackers know about its owner.
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
