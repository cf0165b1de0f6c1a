//! Notifications: the changes about which a customer gets a mail.

use crate::{
    domain::{
        id::Id,
        money::Money,
        order::{Fulfilment, Order, TimelineEvent, TimelineEventType},
        user::{EmailAddress, Registration, Reset, Session, User},
    },
    store::{Images, StreamRecord, Versioned, logins::Login, sessions::SessionItem},
};

/// A change about which someone gets a mail.
#[derive(Debug)]
pub enum Notification {
    Registered(EmailAddress, Id<Registration>),
    ResetRequested(EmailAddress, Id<Reset>),
    /// Carries the account's new epoch, which identifies the change.
    PasswordChanged(EmailAddress, i64),
    /// Carries the account's new epoch, which identifies the change.
    SessionsEnded(EmailAddress, i64),
    /// A session was ended because its refresh token was used twice.
    TokenReused(Id<User>, Id<Session>),
    Order {
        order: Box<Order>,
        news: OrderNotification,
        /// Position of the event in the order's timeline, from 1.
        sequence: usize,
    },
}

/// A change of an order that matters to its customer.
#[derive(Clone, Copy, Debug)]
pub enum OrderNotification {
    /// The payment is authorized or captured.
    Confirmed,
    Shipped(Id<Fulfilment>),
    Refunded(Money),
    Cancelled,
}

impl Notification {
    /// Decides which notifications are due after a change: usually one or none.
    pub fn of(record: StreamRecord) -> Vec<Self> {
        match record {
            StreamRecord::RegistrationCreated(email, id) => vec![Self::Registered(email, id)],
            StreamRecord::ResetCreated(email, id) => vec![Self::ResetRequested(email, id)],
            StreamRecord::Login(email, images) => Self::of_login(email, images).into_iter().collect(),
            StreamRecord::Session(user, id, images) => {
                Self::of_session(user, id, images).into_iter().collect()
            }
            StreamRecord::Order(images) => Self::of_order(*images),
            _ => Vec::new(),
        }
    }

    fn of_login(email: EmailAddress, images: Images<Login>) -> Option<Self> {
        let (old, new) = images.updated()?;
        if old.password_changed_at != new.password_changed_at {
            Some(Self::PasswordChanged(email, new.epoch))
        } else if old.epoch != new.epoch {
            Some(Self::SessionsEnded(email, new.epoch))
        } else {
            None
        }
    }

    fn of_session(user: Id<User>, id: Id<Session>, images: Images<SessionItem>) -> Option<Self> {
        let (old, new) = images.updated()?;
        (old.reused_at.is_none() && new.reused_at.is_some()).then_some(Self::TokenReused(user, id))
    }

    fn of_order(images: Images<Versioned<Order>>) -> Vec<Self> {
        let Some((old, new)) = images.updated() else { return Vec::new() };
        let order = new.value;
        let confirms = |event: &TimelineEvent| {
            matches!(event.r#type, TimelineEventType::Authorized | TimelineEventType::Paid)
        };
        let mut notifications = Vec::new();
        for (index, event) in order.timeline.iter().enumerate().skip(old.value.timeline.len()) {
            let news = match (event.r#type, event.fulfilment_id, event.amount) {
                // Once: an authorized payment is captured later.
                _ if confirms(event) && !order.timeline[..index].iter().any(confirms) => {
                    OrderNotification::Confirmed
                }
                (TimelineEventType::Fulfilled, Some(id), _) => OrderNotification::Shipped(id),
                (TimelineEventType::Refunded, _, Some(amount)) => OrderNotification::Refunded(amount),
                (TimelineEventType::Cancelled, ..) => OrderNotification::Cancelled,
                _ => continue,
            };
            notifications.push(Self::Order { order: Box::new(order.clone()), news, sequence: index + 1 });
        }
        notifications
    }
}
