//! Records of sent mails, so that a repeated stream record does not send a mail twice.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::{
    Item, number,
    schema::{self, Key, SENT_MAIL_PREFIX},
    text,
    users::Users,
};
use crate::{
    aws,
    domain::{
        id::Id,
        time::Timestamp,
        user::{EmailAddress, User},
    },
    error::Error,
};

/// A stream delivers a record for at most this long.
const EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Access to the records of sent mails, and to the accounts that mails go to.
pub struct Mails {
    pub(super) users: Users,
}

/// Mails sent to an address within the last day.
pub struct SentMails(HashMap<String, i64>);

impl SentMails {
    pub fn contains(&self, kind: &str, id: &str) -> bool {
        self.0.contains_key(&format!("{}{id}", schema::sent_mail_prefix(kind)))
    }

    /// Counts the mails of a kind within the hour before `now`.
    pub fn in_the_last_hour(&self, kind: &str, now: Timestamp) -> usize {
        let (prefix, hour_ago) = (schema::sent_mail_prefix(kind), now.as_seconds() - 60 * 60);
        self.0.iter().filter(|(mark, sent_at)| mark.starts_with(&prefix) && **sent_at > hour_ago).count()
    }
}

impl Mails {
    /// Looks up the address of a user, if the account still exists.
    pub async fn address_of(&self, user: Id<User>) -> Result<Option<EmailAddress>, Error> {
        Ok(self.users.account(user).await?.map(|account| account.user.email))
    }

    pub async fn has_account(&self, email: &EmailAddress) -> Result<bool, Error> {
        Ok(self.users.login(email).await?.is_some())
    }

    pub async fn sent(&self, to: &EmailAddress) -> Result<SentMails, Error> {
        #[derive(Deserialize)]
        struct Mark {
            sk: String,
            sent_at: i64,
        }
        let query = self.users.client.query().table_name(&self.users.table).consistent_read(true);
        let query = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :mail)")
            .expression_attribute_values(":pk", text(schema::login_partition(to)))
            .expression_attribute_values(":mail", text(SENT_MAIL_PREFIX));
        let items = query.send().await.map_err(aws::classify)?.items;
        let items = items.into_iter().flatten().collect::<Vec<_>>();
        let marks: Vec<Mark> = serde_dynamo::from_items(items).map_err(Error::internal)?;
        Ok(SentMails(marks.into_iter().map(|mark| (mark.sk, mark.sent_at)).collect()))
    }

    /// Records that a mail was sent.
    pub async fn mark(
        &self,
        to: &EmailAddress,
        kind: &'static str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mark = Item::from([
            ("sent_at".to_owned(), number(now.as_seconds())),
            ("expires_at".to_owned(), number((now + EXPIRES_AFTER).as_seconds())),
        ]);
        let mark = Key::SentMail { to: to.clone(), kind, id: id.to_owned() }.on(mark);
        let put = self.users.client.put_item().table_name(&self.users.table).set_item(Some(mark));
        put.send().await.map(drop).map_err(aws::classify)
    }
}
