//! Use cases of accounts: registration, log-in, passwords and erasure.
//!
//! Wherever a password is checked, the attempt is counted and limited first, and an unknown account takes as long as a
//! known one.

mod access;

mod change_password;
mod erase;
mod log_in;
mod register;
mod reset;
mod update_access;
mod verify;

pub use access::Accounts;
pub use change_password::PasswordChange;
pub use log_in::Credentials;
pub use register::{NewAccount, register};
pub use reset::PasswordReset;
pub use verify::{EmailVerification, FirstAdmin};
