//! Customer mails: when they are due, their text, and SES, which sends them.
//!
//! A mail to an unverified address contains no text that a caller has chosen. Otherwise anyone could use the shop to send
//! messages to anyone.

mod notification;

mod email;

mod ses;

mod mailer;

pub use mailer::Mailer;
pub use ses::Ses;
