//! What mails are due by, as the streams of Users and Orders tell it, and the marks of those that were sent.

use std::collections::HashMap;

use serde::Deserialize;

use super::{Change, Item, key, logins::login_partition, number, orders::Kept, text, users::Users, with_key};
use crate::{
    aws,
    domain::{
        id::{Entity, Id},
        money::Money,
        order::{Entry, Fulfilment, Kind, Order},
        time::Timestamp,
        user::{Email, Registration, Reset, Session, User},
    },
    error::Error,
};

/// How long a mark is kept, in seconds: as long as the stream may bring a change again.
const MARK_SECONDS: i64 = 24 * 60 * 60;

/// Something of which somebody has to hear by mail.
#[derive(Debug)]
pub enum Occasion {
    /// An e-mail address was registered.
    Registered(Email, Id<Registration>),
    /// A new password was asked for.
    ResetRequested(Email, Id<Reset>),
    /// A password was changed, for the so-manieth time that all sessions were ended.
    PasswordChanged(Email, i64),
    /// All sessions were ended, for the so-manieth time.
    SessionsEnded(Email, i64),
    /// A session was ended because its refresh token was used twice.
    TokenReused(Id<User>, Id<Session>),
    /// Something has become of an order.
    Order {
        /// The order, as it is now.
        order: Box<Order>,
        /// What has become of it.
        news: OrderNews,
        /// The place of that in the order's timeline, from 1.
        sequence: usize,
    },
}

/// What a customer wants to hear of an order.
#[derive(Clone, Copy, Debug)]
pub enum OrderNews {
    /// Its payment is sure.
    Confirmed,
    /// A part of it, or all, was shipped.
    Shipped(Id<Fulfilment>),
    /// So much money went back.
    Refunded(Money),
    /// It was cancelled.
    Cancelled,
}

impl Occasion {
    /// Reads them from a change of the table of users or of orders: mostly one, often none.
    ///
    /// # Errors
    /// [`Error::Internal`] where the change can't be read.
    pub fn of(change: Change) -> Result<Vec<Self>, Error> {
        #[derive(Deserialize)]
        struct Login {
            epoch: i64,
            password_changed_at: Timestamp,
        }
        #[derive(Deserialize)]
        struct Session {
            reused_at: Option<Timestamp>,
        }
        let (pk, sk) = change.key()?;
        let (kind, of) = pk.split_once('#').unwrap_or_default();
        let (part, id) = sk.split_once('#').unwrap_or((&sk, ""));
        let email = || Email::parse(of).map_err(|_| Error::internal("a log-in has no e-mail address"));
        let occasion = match (kind, part) {
            ("USER", "ORDER") => {
                let orders = change.both::<Kept>()?;
                return Ok(orders
                    .map(|(old, new)| Self::of_order(&old.order, &new.order))
                    .unwrap_or_default());
            }
            ("LOGIN", "REGISTRATION") if change.is_creation() => Some(Self::Registered(email()?, parse(id)?)),
            ("LOGIN", "RESET") if change.is_creation() => Some(Self::ResetRequested(email()?, parse(id)?)),
            ("LOGIN", "LOGIN") => match change.both::<Login>()? {
                Some((old, new)) if old.password_changed_at != new.password_changed_at => {
                    Some(Self::PasswordChanged(email()?, new.epoch))
                }
                Some((old, new)) if old.epoch != new.epoch => Some(Self::SessionsEnded(email()?, new.epoch)),
                _ => None,
            },
            ("USER", "SESSION") => match change.both::<Session>()? {
                Some((Session { reused_at: None }, Session { reused_at: Some(_) })) => {
                    Some(Self::TokenReused(parse(of)?, parse(id)?))
                }
                _ => None,
            },
            _ => None,
        };
        Ok(occasion.into_iter().collect())
    }

    /// What has been added to an order's timeline.
    fn of_order(old: &Order, new: &Order) -> Vec<Self> {
        let mut occasions = Vec::new();
        for (place, entry) in new.timeline.iter().enumerate().skip(old.timeline.len()) {
            let sure = |entry: &Entry| matches!(entry.r#type, Kind::Authorized | Kind::Paid);
            let news = match (entry.r#type, entry.fulfilment_id, entry.amount) {
                // Once: what is authorized is captured later.
                (Kind::Authorized | Kind::Paid, ..) if !new.timeline[..place].iter().any(sure) => {
                    OrderNews::Confirmed
                }
                (Kind::Fulfilled, Some(id), _) => OrderNews::Shipped(id),
                (Kind::Refunded, _, Some(amount)) => OrderNews::Refunded(amount),
                (Kind::Cancelled, ..) => OrderNews::Cancelled,
                _ => continue,
            };
            occasions.push(Self::Order { order: Box::new(new.clone()), news, sequence: place + 1 });
        }
        occasions
    }
}

fn parse<T: Entity>(id: &str) -> Result<Id<T>, Error> {
    id.parse().map_err(|_| Error::internal("the key of a changed item holds no id"))
}

/// The marks of mails that were sent.
pub struct Mails {
    pub(super) users: Users,
}

/// Which mails went to an address in the last day.
pub struct Sent(HashMap<String, i64>);

impl Sent {
    /// Whether this one went there.
    pub fn holds(&self, kind: &str, id: &str) -> bool {
        self.0.contains_key(&format!("MAIL#{kind}#{id}"))
    }

    /// How many of a kind went there in the hour before a moment.
    pub fn in_the_last_hour(&self, kind: &str, now: Timestamp) -> usize {
        let (prefix, hour_ago) = (format!("MAIL#{kind}#"), now.as_seconds() - 60 * 60);
        self.0.iter().filter(|(mark, sent_at)| mark.starts_with(&prefix) && **sent_at > hour_ago).count()
    }
}

impl Mails {
    /// The address of a user, if there still is such a user.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn address_of(&self, user: Id<User>) -> Result<Option<Email>, Error> {
        Ok(self.users.account(user).await?.map(|account| account.user.email))
    }

    /// Whether an address has an account.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn has_account(&self, email: &Email) -> Result<bool, Error> {
        Ok(self.users.login(email).await?.is_some())
    }

    /// Which mails went to an address in the last day.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn sent(&self, to: &Email) -> Result<Sent, Error> {
        #[derive(Deserialize)]
        struct Mark {
            sk: String,
            sent_at: i64,
        }
        let query = self.users.client.query().table_name(&self.users.table).consistent_read(true);
        let query = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :mail)")
            .expression_attribute_values(":pk", text(login_partition(to)))
            .expression_attribute_values(":mail", text("MAIL#"));
        let items = query.send().await.map_err(aws::judge)?.items.unwrap_or_default();
        let marks: Vec<Mark> = serde_dynamo::from_items(items).map_err(Error::internal)?;
        Ok(Sent(marks.into_iter().map(|mark| (mark.sk, mark.sent_at)).collect()))
    }

    /// Marks a mail as sent.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn mark(&self, to: &Email, kind: &str, id: &str, now: Timestamp) -> Result<(), Error> {
        let mark = Item::from([
            ("sent_at".to_owned(), number(now.as_seconds())),
            ("expires_at".to_owned(), number(now.as_seconds() + MARK_SECONDS)),
        ]);
        let mark = with_key(mark, key(login_partition(to), format!("MAIL#{kind}#{id}")));
        let put = self.users.client.put_item().table_name(&self.users.table).set_item(Some(mark));
        put.send().await.map(drop).map_err(aws::judge)
    }
}
