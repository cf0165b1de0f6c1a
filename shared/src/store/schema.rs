//! Keys of all items: the one place that builds and parses them.
//!
//! | table | item | `pk` | `sk` |
//! | --- | --- | --- | --- |
//! | Products | [catalogue entry](super::products) | `PRODUCT#id` | `ENTRY` |
//! | | [stock](super::inventory) | `PRODUCT#id` | `ENTRY#STOCK` |
//! | | [stock movement](super::inventory) | `PRODUCT#id` | `MOVE#id` |
//! | | [SKU, which keeps it unique](super::products) | `SKU#sku` | `SKU` |
//! | | [idempotency record](super::idempotency) | `USER#id`, `CLIENT#id` | `IDEM#operation#hash of key` |
//! | Orders | [order](super::orders) | `USER#id` | `ORDER#own part of its id` |
//! | | [idempotency record](super::idempotency) | `USER#id`, `CLIENT#id` | `IDEM#operation#hash of key` |
//! | Users | [profile](super::users) | `USER#id` | `PROFILE` |
//! | | [session](super::sessions) | `USER#id` | `SESSION#id` |
//! | | [log-in](super::logins) | `LOGIN#email` | `LOGIN` |
//! | | [pending registration](super::registrations) | `LOGIN#email` | `REGISTRATION#id` |
//! | | [pending password reset](super::resets) | `LOGIN#email` | `RESET#id` |
//! | | [record of a sent mail](super::mails) | `LOGIN#email` | `MAIL#kind#id` |
//! | | [log-in attempts at an account](super::attempts) | `ATTEMPT#hmac of email` | `ATTEMPT` |
//! | | [address that an account trusts](super::attempts) | `ATTEMPT#hmac of email` | `KNOWN#hmac of address` |
//! | | [log-in attempts from an address](super::attempts) | `ADDRESS#hmac of address` | `ADDRESS` |
//! | | [authorization code](super::codes) | `CODE#hash` | `CODE` |
//! | | [OAuth client](super::clients) | `CLIENT#id` | `CLIENT` |
//! | | [idempotency record](super::idempotency) | `USER#id` | `IDEM#operation#hash of key` |
//! | Audit | [event of the audit trail](super::audit) | `AUDIT#id of the object` | its id |
//! | Keys | [public key](super::keys) | `KEY` | `kid` |
//! | | [withdrawal](super::withdrawals) | `WITHDRAWN#user or client` | number of the copy |
//!
//! Entry and stock share a partition, so that one Query reads both, but are separate items, so that a sale rewrites
//! neither the description nor the list indexes. Only entries are in the six list indexes: `status` or
//! `status_category` × newest, price, name. These hold summaries without the description.
//!
//! The index `verifiers` of the Keys table holds what a verifier of tokens must know, by the time at which it may forget it.

use super::{Item, text};
use crate::domain::{
    audit::AuditEvent,
    id::Id,
    inventory::Movement,
    order::DueQueue,
    order_id::OrderId,
    product::{Product, Sku},
    user::{Actor, Client, EmailAddress, Registration, Reset, Session, User},
};

/// Common prefix of the sort keys of a product's entry and stock.
pub(super) const ENTRY: &str = "ENTRY";
pub(super) const MOVEMENT_PREFIX: &str = "MOVE#";
pub(super) const ORDER_PREFIX: &str = "ORDER#";
pub(super) const SENT_MAIL_PREFIX: &str = "MAIL#";
/// Partition of the index `verifiers` of the Keys table.
pub(super) const VERIFIERS: &str = "VERIFIERS";
const PUBLIC_KEY_PARTITION: &str = "KEY";
const STOCK: &str = "ENTRY#STOCK";
const PROFILE: &str = "PROFILE";
const LOGIN: &str = "LOGIN";
const IDEMPOTENCY_PREFIX: &str = "IDEM#";
const PRODUCT: &str = "PRODUCT#";
const USER: &str = "USER#";
const SESSION: &str = "SESSION#";
const LOGIN_PREFIX: &str = "LOGIN#";
const REGISTRATION: &str = "REGISTRATION#";
const RESET: &str = "RESET#";

/// Primary key of an item.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Product(Id<Product>),
    Stock(Id<Product>),
    Movement(Id<Product>, Id<Movement>),
    Sku(Sku),
    Order(OrderId),
    Idempotency {
        caller: Actor,
        operation: &'static str,
        key_hash: String,
    },
    Profile(Id<User>),
    Session(Id<User>, Id<Session>),
    Login(EmailAddress),
    Registration(EmailAddress, Id<Registration>),
    Reset(EmailAddress, Id<Reset>),
    SentMail {
        to: EmailAddress,
        kind: &'static str,
        id: String,
    },
    Attempts {
        account: String,
    },
    TrustedAddress {
        account: String,
        address: String,
    },
    AddressAttempts {
        address: String,
    },
    Code {
        hash: String,
    },
    Client(Id<Client>),
    Audit {
        object: String,
        id: Id<AuditEvent>,
    },
    Jwk {
        kid: String,
    },
    Withdrawal {
        subject: Actor,
        copy: u8,
    },
    /// Does not exist: health-get reads it to check the connection.
    Health,
}

impl Key {
    fn parts(&self) -> (String, String) {
        match self {
            Self::Product(id) => (product_partition(*id), ENTRY.to_owned()),
            Self::Stock(id) => (product_partition(*id), STOCK.to_owned()),
            Self::Movement(product, id) => (product_partition(*product), format!("{MOVEMENT_PREFIX}{id}")),
            Self::Sku(sku) => (format!("SKU#{}", sku.as_str()), "SKU".to_owned()),
            Self::Order(id) => (user_partition(id.customer()), format!("{ORDER_PREFIX}{}", id.own_part())),
            Self::Idempotency { caller, operation, key_hash } => {
                let partition = match caller {
                    Actor::User(id) => user_partition(*id),
                    Actor::Client(id) => client_partition(*id),
                };
                (partition, format!("{IDEMPOTENCY_PREFIX}{operation}#{key_hash}"))
            }
            Self::Profile(id) => (user_partition(*id), PROFILE.to_owned()),
            Self::Session(user, id) => (user_partition(*user), format!("{SESSION}{id}")),
            Self::Login(email) => (login_partition(email), LOGIN.to_owned()),
            Self::Registration(email, id) => (login_partition(email), format!("{REGISTRATION}{id}")),
            Self::Reset(email, id) => (login_partition(email), format!("{RESET}{id}")),
            Self::SentMail { to, kind, id } => {
                (login_partition(to), format!("{}{id}", sent_mail_prefix(kind)))
            }
            Self::Attempts { account } => (attempts_partition(account), "ATTEMPT".to_owned()),
            Self::TrustedAddress { account, address } => {
                (attempts_partition(account), format!("KNOWN#{address}"))
            }
            Self::AddressAttempts { address } => (format!("ADDRESS#{address}"), "ADDRESS".to_owned()),
            Self::Code { hash } => (format!("CODE#{hash}"), "CODE".to_owned()),
            Self::Client(id) => (client_partition(*id), "CLIENT".to_owned()),
            Self::Health => ("HEALTH".to_owned(), "HEALTH".to_owned()),
            Self::Audit { object, id } => (audit_partition(object), id.to_string()),
            Self::Jwk { kid } => (PUBLIC_KEY_PARTITION.to_owned(), kid.clone()),
            Self::Withdrawal { subject, copy } => (format!("WITHDRAWN#{subject}"), copy.to_string()),
        }
    }

    /// Returns the key as the attributes `pk` and `sk`.
    pub fn item(&self) -> Item {
        let (pk, sk) = self.parts();
        Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
    }

    /// Adds the key to an item's attributes.
    pub fn on(&self, mut item: Item) -> Item {
        item.extend(self.item());
        item
    }

    /// Parses the key of an item that a stream or index delivers. Returns `None` for the kinds that no one reads there.
    pub fn parse(pk: &str, sk: &str) -> Option<Self> {
        if let Some(product) = pk.strip_prefix(PRODUCT) {
            let product = product.parse().ok()?;
            match sk {
                ENTRY => Some(Self::Product(product)),
                STOCK => Some(Self::Stock(product)),
                _ => None,
            }
        } else if let Some(user) = pk.strip_prefix(USER) {
            let user: Id<User> = user.parse().ok()?;
            if let Some(order) = sk.strip_prefix(ORDER_PREFIX) {
                OrderId::from_parts(order, user).ok().map(Self::Order)
            } else if let Some(session) = sk.strip_prefix(SESSION) {
                Some(Self::Session(user, session.parse().ok()?))
            } else {
                (sk == PROFILE).then_some(Self::Profile(user))
            }
        } else {
            let email = EmailAddress::parse(pk.strip_prefix(LOGIN_PREFIX)?).ok()?;
            if let Some(registration) = sk.strip_prefix(REGISTRATION) {
                Some(Self::Registration(email, registration.parse().ok()?))
            } else if let Some(reset) = sk.strip_prefix(RESET) {
                Some(Self::Reset(email, reset.parse().ok()?))
            } else {
                (sk == LOGIN).then_some(Self::Login(email))
            }
        }
    }
}

/// Partition of everything that belongs to a product.
pub(super) fn product_partition(id: Id<Product>) -> String {
    format!("{PRODUCT}{id}")
}

/// Partition of everything that belongs to a user, in the Users as in the Orders table.
pub(super) fn user_partition(id: Id<User>) -> String {
    format!("{USER}{id}")
}

/// Partition of everything that belongs to an e-mail address.
pub(super) fn login_partition(email: &EmailAddress) -> String {
    format!("{LOGIN_PREFIX}{}", email.as_str())
}

/// Prefix of the sort keys of the mails of a kind.
pub(super) fn sent_mail_prefix(kind: &str) -> String {
    format!("{SENT_MAIL_PREFIX}{kind}#")
}

/// Partition of the log-in attempts at an account, given its pseudonym.
pub(super) fn attempts_partition(account: &str) -> String {
    format!("ATTEMPT#{account}")
}

/// Partition of the changes of an object.
pub(super) fn audit_partition(object: &str) -> String {
    format!("AUDIT#{object}")
}

fn client_partition(id: Id<Client>) -> String {
    format!("CLIENT#{id}")
}

/// Partitions of each queue in the index `due`: DynamoDB allows a partition a thousand writes a second.
pub const SHARDS: u8 = 4;

/// Partition of the sparse index `due` that holds a shard of a queue.
pub(super) fn due_partition(queue: DueQueue, shard: u8) -> String {
    format!("{}#{shard}", queue.into_str())
}

/// Tells idempotency records from the other items of a partition.
pub(super) fn is_idempotency_record(item: &Item) -> bool {
    sort_key_starts_with(item, IDEMPOTENCY_PREFIX)
}

/// Tells stock movements from the other items of a partition.
pub(super) fn is_movement(item: &Item) -> bool {
    sort_key_starts_with(item, MOVEMENT_PREFIX)
}

fn sort_key_starts_with(item: &Item, prefix: &str) -> bool {
    item.get("sk").and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk.starts_with(prefix))
}
