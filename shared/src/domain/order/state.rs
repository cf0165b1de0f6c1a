//! What an order may become: three axes, each with its one table of transitions.
//!
//! Everything else about an order follows from where it stands on them:
//!
//! ```text
//! order       open ─► completed | cancelled | expired
//!
//! payment     unpaid ─► processing ─► authorized ─► paid ─► partially_refunded ─► refunded
//!                ▲          │ │            │          ▲            │                  │
//!                └──────────┘ └───────► paid          └────────────┴──────────────────┘ a refund that fails later
//!                  declined              voided ◄── authorized     voided ─► processing: paid again
//!
//! fulfilment  unfulfilled ─► partially_fulfilled ─► fulfilled
//! ```

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

/// What has become of an order. All but `Open` are final.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum OrderStatus {
    /// It waits to be paid, or shipped.
    Open,
    /// It was paid, and all of it was shipped that was not given back.
    Completed,
    /// It was called off before anything was shipped; what was paid has gone back.
    Cancelled,
    /// It was not paid in time.
    Expired,
}

impl OrderStatus {
    /// Whether it may go on to another.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => next != Self::Open,
            Self::Completed | Self::Cancelled | Self::Expired => false,
        }
    }
}

/// How far an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing is paid, and nothing is on the way.
    Unpaid,
    /// The provider, or the customer's bank, has not said yet what came of a payment.
    Processing,
    /// The money is reserved for the shop, until it captures it.
    Authorized,
    /// The shop has the money.
    Paid,
    /// Some of it has gone back.
    PartiallyRefunded,
    /// All of it has gone back.
    Refunded,
    /// What was reserved is free again: called off, or not captured in time.
    Voided,
}

impl PaymentStatus {
    /// Whether it may go on to another.
    pub fn may_become(self, next: Self) -> bool {
        use PaymentStatus::{Authorized, Paid, PartiallyRefunded, Processing, Refunded, Unpaid, Voided};
        match self {
            // Paid: the provider's word is the last, whatever was heard of a payment before.
            Unpaid | Voided => matches!(next, Processing | Paid),
            Processing => matches!(next, Unpaid | Authorized | Paid),
            Authorized => matches!(next, Paid | Voided),
            Paid => matches!(next, PartiallyRefunded | Refunded),
            // Back: refunds can fail after they were accepted.
            PartiallyRefunded => matches!(next, Paid | Refunded),
            Refunded => matches!(next, Paid | PartiallyRefunded),
        }
    }
}

/// How much of an order has been shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentStatus {
    /// Nothing.
    Unfulfilled,
    /// Some of it.
    PartiallyFulfilled,
    /// All that is to be shipped.
    Fulfilled,
}

impl FulfilmentStatus {
    /// Whether it may go on to another.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Unfulfilled => next != Self::Unfulfilled,
            Self::PartiallyFulfilled => next == Self::Fulfilled,
            Self::Fulfilled => false,
        }
    }
}
