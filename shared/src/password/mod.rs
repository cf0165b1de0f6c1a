//! Passwords: which are acceptable, and their hashes.
//!
//! A [`Password`] is to be checked, a [`NewPassword`] may be set. Neither shows its text in logs. Only the [`PasswordHash`] is
//! stored.

pub mod blocklist;

mod guess;

mod policy;

mod hash;

pub use hash::{PasswordCheck, PasswordHash};
pub use policy::{NewPassword, Password};
