//! The id of an order.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Order;
use crate::domain::{
    id::{Entity, Id},
    input::Fault,
    time::Timestamp,
    user::User,
};

/// The id of an order: the order's own ULID, then its customer's. So whoever has it, be it a webhook or a schedule, reaches
/// the order by its key alone, and orders still sort by the millisecond in which they were placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderId {
    order: Id<Order>,
    customer: Id<User>,
}

impl Entity for Order {
    const PREFIX: &'static str = "ord";
}

impl OrderId {
    /// The id of an order that a customer places.
    pub fn new(order: Id<Order>, customer: Id<User>) -> Self {
        Self { order, customer }
    }

    /// Whose order it is.
    pub fn customer(self) -> Id<User> {
        self.customer
    }

    /// The part that is the order's own, without prefix.
    pub fn own_part(self) -> String {
        self.order.ulid().to_ascii_lowercase()
    }

    /// When it was placed.
    pub fn created_at(self) -> Timestamp {
        self.order.created_at()
    }

    /// One of so many groups that all orders fall into evenly.
    pub fn group(self, groups: u8) -> u8 {
        self.order.to_bytes()[15] % groups
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.order, self.customer.ulid().to_ascii_lowercase())
    }
}

impl FromStr for OrderId {
    type Err = Fault;

    /// Takes only what [`Display`](fmt::Display) writes: one spelling a thing.
    fn from_str(text: &str) -> Result<Self, Fault> {
        const FORM: Fault = Fault::Format("an id of this kind");
        // The prefix, its underscore and a ULID.
        let (order, customer) = text.split_at_checked(Order::PREFIX.len() + 27).ok_or(FORM)?;
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
