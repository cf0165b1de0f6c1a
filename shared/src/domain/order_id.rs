//! Ids of orders, which carry their customer's id.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    id::{Entity, Id},
    time::Timestamp,
    user::User,
    validation::Violation,
};

/// The order's own ULID, followed by its customer's. Webhooks and schedules can thus compute an order's key from its id,
/// without an index. Ids sort by the millisecond in which the order was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderId {
    order: Id<OwnPart>,
    customer: Id<User>,
}

/// The part of an [`OrderId`] that is not its customer's id.
pub enum OwnPart {}

impl Entity for OwnPart {
    const PREFIX: &'static str = "ord";
}

impl OrderId {
    pub fn new(order: Id<OwnPart>, customer: Id<User>) -> Self {
        Self { order, customer }
    }

    pub fn customer(self) -> Id<User> {
        self.customer
    }

    /// Returns the order's own ULID in lower case, without prefix.
    pub fn own_part(self) -> String {
        self.order.ulid().to_ascii_lowercase()
    }

    /// Restores an id from its [own part](Self::own_part) and its customer.
    ///
    /// # Errors
    /// [`Violation::Format`].
    pub fn from_parts(own_part: &str, customer: Id<User>) -> Result<Self, Violation> {
        Ok(Self { order: format!("{}_{own_part}", OwnPart::PREFIX).parse()?, customer })
    }

    /// Returns when the order was placed.
    pub fn created_at(self) -> Timestamp {
        self.order.created_at()
    }

    /// Returns the shard of this order, below `shards`. Orders spread evenly over all of them.
    pub fn shard(self, shards: u8) -> u8 {
        self.order.to_bytes()[15] % shards
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.order, self.customer.ulid().to_ascii_lowercase())
    }
}

impl FromStr for OrderId {
    type Err = Violation;

    /// Accepts only what [`Display`](fmt::Display) writes: an id has one spelling.
    fn from_str(text: &str) -> Result<Self, Violation> {
        const FORM: Violation = Violation::Format("a valid id");
        // The prefix, its underscore and a ULID.
        let (order, customer) = text.split_at_checked(OwnPart::PREFIX.len() + 27).ok_or(FORM)?;
        let customer = format!("{}_{customer}", User::PREFIX);
        Ok(Self { order: order.parse()?, customer: customer.parse()? })
    }
}

impl Serialize for OrderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
