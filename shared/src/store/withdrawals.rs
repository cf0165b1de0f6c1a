//! Withdrawn authority: what ends access tokens before they expire.
//!
//! A token is verified without the store, so the Keys table, which all services read, records what has ended. Whoever ends
//! it writes the withdrawal in the same transaction. Each write of a caller checks it in its own transaction, so that
//! withdrawn authority changes nothing from that moment. Reads look at the copy of [`Keys`](super::keys::Keys), which is at
//! most some seconds old.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Update, builders::UpdateBuilder};
use serde::Deserialize;

use super::{
    number,
    schema::{Key, VERIFIERS},
    tables::CommonTables,
    text,
    transaction::Transaction,
};
use crate::{
    auth::{ACCESS_TOKEN_LIFETIME, Authority, random},
    domain::{
        id::Id,
        time::Timestamp,
        user::{Actor, Client, Session, User},
    },
    error::Error,
};

/// A withdrawal outlives the last token that it concerns by this.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// A withdrawal is kept for this time.
pub(super) const LIFETIME: Duration = ACCESS_TOKEN_LIFETIME.saturating_add(MARGIN);
/// A client's withdrawal has this many copies, of which a write checks one at random: DynamoDB allows an item one
/// transaction at a time, and a client may write concurrently. A person does not.
const COPIES_OF_CLIENT: u8 = 8;

/// Authority that ends.
pub(super) enum Withdrawal {
    /// Of all tokens of an account below an epoch, except those of one session.
    Account { user: Id<User>, epoch: i64, kept: Option<Id<Session>> },
    /// Of the tokens of one session.
    Session { user: Id<User>, session: Id<Session> },
    /// Of all tokens of a machine client below an epoch.
    Client { client: Id<Client>, epoch: i64 },
}

/// A withdrawal as the table holds it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct WithdrawalItem {
    pub subject: Actor,
    epoch: i64,
    #[serde(default)]
    kept: Option<Id<Session>>,
    #[serde(default)]
    sessions: Vec<Id<Session>>,
    /// TTL attribute, in seconds since the Unix epoch.
    pub expires_at: i64,
}

impl WithdrawalItem {
    /// Returns whether it ends a token.
    pub fn ends(&self, authority: &Authority) -> bool {
        let kept = authority.session.is_some() && authority.session == self.kept;
        let ended = authority.session.is_some_and(|session| self.sessions.contains(&session));
        ended || (authority.epoch < self.epoch && !kept)
    }
}

impl<'a> Transaction<'a> {
    /// Checks that the caller's authority has not been withdrawn.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] on commit.
    pub(super) fn authorized(self, by: &Authority, common: &'a CommonTables) -> Result<Self, Error> {
        let [random] = random::<1>()?;
        let key = Key::Withdrawal { subject: by.subject, copy: random % copies(by.subject) };
        let check = ConditionCheck::builder()
            .set_key(Some(key.item()))
            .condition_expression(not_withdrawn(by))
            .set_expression_attribute_values(Some(values_of(by)));
        self.elsewhere(common.keys()?, |transaction| transaction.check(check, |_| Error::InvalidToken))
    }

    /// Withdraws authority.
    pub(super) fn withdraw(
        self,
        withdrawal: &Withdrawal,
        common: &'a CommonTables,
        now: Timestamp,
    ) -> Result<Self, Error> {
        self.elsewhere(common.keys()?, |mut transaction| {
            for copy in 0..copies(withdrawal.subject()) {
                transaction = transaction.update(withdrawal.write(copy, now), |_| {
                    Error::internal("a withdrawal has no condition to fail")
                })?;
            }
            Ok(transaction)
        })
    }

    /// Withdraws authority of the caller's own account, if the caller's has not been withdrawn. It is one write, because a
    /// transaction may not name an item twice.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] on commit.
    pub(super) fn withdraw_own(
        self,
        by: &Authority,
        withdrawal: &Withdrawal,
        common: &'a CommonTables,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut write = withdrawal.write(0, now).condition_expression(not_withdrawn(by));
        for (name, value) in values_of(by) {
            write = write.expression_attribute_values(name, value);
        }
        self.elsewhere(common.keys()?, |transaction| transaction.update(write, |_| Error::InvalidToken))
    }
}

impl Withdrawal {
    fn subject(&self) -> Actor {
        match self {
            Self::Account { user, .. } | Self::Session { user, .. } => Actor::User(*user),
            Self::Client { client, .. } => Actor::Client(*client),
        }
    }

    fn write(&self, copy: u8, now: Timestamp) -> UpdateBuilder {
        let subject = self.subject();
        let update = Update::builder()
            .set_key(Some(Key::Withdrawal { subject, copy }.item()))
            .expression_attribute_names("#subject", "subject")
            .expression_attribute_values(":subject", text(subject))
            .expression_attribute_values(":expires", number((now + LIFETIME).as_seconds()));
        // Verifiers list the first copy only.
        let (listed, update) = if copy == 0 {
            let update = update
                .expression_attribute_names("#list", "list")
                .expression_attribute_values(":list", text(VERIFIERS));
            (", #list = :list", update)
        } else {
            ("", update)
        };
        let common = format!("#subject = :subject, expires_at = :expires{listed}");
        match self {
            Self::Account { epoch, kept: Some(kept), .. } => update
                .update_expression(format!("SET {common}, epoch = :epoch, kept = :kept"))
                .expression_attribute_values(":epoch", number(*epoch))
                .expression_attribute_values(":kept", text(kept)),
            Self::Account { epoch, kept: None, .. } | Self::Client { epoch, .. } => update
                .update_expression(format!("SET {common}, epoch = :epoch REMOVE kept"))
                .expression_attribute_values(":epoch", number(*epoch)),
            Self::Session { session, .. } => update
                .update_expression(format!(
                    "SET {common}, epoch = if_not_exists(epoch, :zero) ADD sessions :session"
                ))
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":session", AttributeValue::Ss(vec![session.to_string()])),
        }
    }
}

fn copies(subject: Actor) -> u8 {
    match subject {
        Actor::User(_) => 1,
        Actor::Client(_) => COPIES_OF_CLIENT,
    }
}

/// The condition of [`WithdrawalItem::ends`], negated.
fn not_withdrawn(by: &Authority) -> &'static str {
    match by.session {
        None => "attribute_not_exists(pk) OR epoch <= :own_epoch",
        Some(_) => {
            "attribute_not_exists(pk) OR ((epoch <= :own_epoch OR kept = :own_session) AND NOT contains(sessions, :own_session))"
        }
    }
}

/// Values of [`not_withdrawn`].
fn values_of(by: &Authority) -> HashMap<String, AttributeValue> {
    let session = by.session.map(|session| (":own_session".to_owned(), text(session)));
    [(":own_epoch".to_owned(), number(by.epoch))].into_iter().chain(session).collect()
}
