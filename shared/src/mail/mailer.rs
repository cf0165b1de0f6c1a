//! Sends due mails, each at least once.

use super::{
    email::Email,
    notification::Notification,
    ses::{Delivery, Ses},
};
use crate::{
    auth::MailToken,
    domain::user::EmailAddress,
    error::Error,
    secrets::HmacKeys,
    store::{StreamRecord, mails::Mails},
    telemetry,
};

/// Maximum mails of a kind to one address in an hour, if no log-in is needed to request them.
const MAX_PER_HOUR: usize = 5;

pub struct Mailer {
    mails: Mails,
    ses: Ses,
    keys: HmacKeys,
}

/// A mail, its recipient, and the id that identifies it among those of its kind.
struct Addressed {
    to: EmailAddress,
    id: String,
    email: Email,
}

impl Mailer {
    /// `keys` make the tokens in mails.
    pub fn new(mails: Mails, ses: Ses, keys: HmacKeys) -> Self {
        Self { mails, ses, keys }
    }

    /// Sends the mails that are due after a change, unless they were sent before.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a retry may help.
    pub async fn deliver(&self, record: StreamRecord) -> Result<(), Error> {
        for notification in Notification::of(record) {
            if let Some(mail) = self.compose(notification).await? {
                self.send(mail).await?;
            }
        }
        Ok(())
    }

    /// Composes the mail of a notification. Returns `None` if its recipient has no account (any more).
    async fn compose(&self, notification: Notification) -> Result<Option<Addressed>, Error> {
        let now = telemetry::now();
        Ok(match notification {
            Notification::Registered(to, id) => {
                let email = if self.mails.has_account(&to).await? {
                    Email::AlreadyRegistered
                } else {
                    let token = MailToken { id, email: to.clone() };
                    Email::Verification { token: token.write(&*self.keys.get().await?, now)? }
                };
                Some(Addressed { to, id: id.to_string(), email })
            }
            Notification::ResetRequested(to, id) => {
                if !self.mails.has_account(&to).await? {
                    return Ok(None);
                }
                let token = MailToken { id, email: to.clone() };
                let email = Email::ResetPassword { token: token.write(&*self.keys.get().await?, now)? };
                Some(Addressed { to, id: id.to_string(), email })
            }
            Notification::PasswordChanged(to, epoch) => {
                Some(Addressed { to, id: epoch.to_string(), email: Email::PasswordChanged })
            }
            Notification::SessionsEnded(to, epoch) => {
                Some(Addressed { to, id: epoch.to_string(), email: Email::SessionsEnded })
            }
            Notification::TokenReused(user, session) => {
                let to = self.mails.address_of(user).await?;
                to.map(|to| Addressed { to, id: session.to_string(), email: Email::SessionsEnded })
            }
            Notification::Order { order, news, sequence } => {
                let to = self.mails.address_of(order.customer_id).await?;
                let id = format!("{}#{sequence}", order.id);
                to.map(|to| Addressed { to, id, email: Email::Order(order, news) })
            }
        })
    }

    async fn send(&self, Addressed { to, id, email }: Addressed) -> Result<(), Error> {
        let (now, kind, sent) = (telemetry::now(), email.kind(), self.mails.sent(&to).await?);
        if sent.contains(kind, &id) {
            return Ok(());
        }
        if email.needs_no_account() && sent.in_the_last_hour(kind, now) >= MAX_PER_HOUR {
            telemetry::warn("did not send a mail", "too many of its kind to this address in an hour");
            return Ok(());
        }
        if let Delivery::Rejected = self.ses.send(&to, &email).await? {
            telemetry::warn("did not send a mail", "SES rejected its address or content");
        }
        self.mails.mark(&to, kind, &id, now).await
    }
}
