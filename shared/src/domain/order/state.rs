//! States of an order: three axes, each with its transition table.
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

/// All but `Open` are final.
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
    /// Waits for payment or shipment.
    Open,
    /// Paid and shipped, except for what was refunded before shipment.
    Completed,
    /// Cancelled before shipment, and refunded.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl OrderStatus {
    /// Returns whether the transition is allowed.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Open => next != Self::Open,
            Self::Completed | Self::Cancelled | Self::Expired => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// No payment, and none in progress.
    Unpaid,
    /// The provider or the customer's bank has not reported the outcome yet.
    Processing,
    /// The bank has reserved the money until capture.
    Authorized,
    Paid,
    PartiallyRefunded,
    Refunded,
    /// The authorization was cancelled or has lapsed.
    Voided,
}

impl PaymentStatus {
    /// Returns whether the transition is allowed.
    pub fn may_become(self, next: Self) -> bool {
        use PaymentStatus::{Authorized, Paid, PartiallyRefunded, Processing, Refunded, Unpaid, Voided};
        match self {
            // Paid: the provider's latest answer wins over any earlier one.
            Unpaid | Voided => matches!(next, Processing | Paid),
            Processing => matches!(next, Unpaid | Authorized | Paid),
            Authorized => matches!(next, Paid | Voided),
            Paid => matches!(next, PartiallyRefunded | Refunded),
            // A refund can fail after it was accepted.
            PartiallyRefunded => matches!(next, Paid | Refunded),
            Refunded => matches!(next, Paid | PartiallyRefunded),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum FulfilmentStatus {
    Unfulfilled,
    PartiallyFulfilled,
    /// Everything that is to be shipped.
    Fulfilled,
}

impl FulfilmentStatus {
    /// Returns whether the transition is allowed.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Unfulfilled => next != Self::Unfulfilled,
            Self::PartiallyFulfilled => next == Self::Fulfilled,
            Self::Fulfilled => false,
        }
    }
}
