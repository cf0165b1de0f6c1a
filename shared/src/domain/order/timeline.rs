//! What has happened to an order.

use serde::{Deserialize, Serialize};

use super::Fulfilment;
use crate::domain::{
    cause::{By, Cause},
    id::Id,
    money::Money,
    payment::{Payment, Refund},
    time::Timestamp,
};

/// Something that has happened to an order. Entries are only ever added; each becomes the event `order.<type>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What.
    pub r#type: Kind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: By,
    /// In which request.
    pub request_id: String,
    /// In which trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How much money it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// Which payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<Id<Payment>>,
    /// Which refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<Id<Refund>>,
    /// Which fulfilment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment_id: Option<Id<Fulfilment>>,
}

/// What happens to orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each says itself what has happened")]
pub enum Kind {
    Created,
    PaymentStarted,
    PaymentActionRequired,
    PaymentFailed,
    PaymentVoided,
    Authorized,
    CaptureStarted,
    Paid,
    CancellationStarted,
    Cancelled,
    Expired,
    RefundStarted,
    Refunded,
    RefundFailed,
    Fulfilled,
    Completed,
    Disputed,
    DisputeWon,
    DisputeLost,
    Erased,
}

impl Kind {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::PaymentStarted => "payment_started",
            Self::PaymentActionRequired => "payment_action_required",
            Self::PaymentFailed => "payment_failed",
            Self::PaymentVoided => "payment_voided",
            Self::Authorized => "authorized",
            Self::CaptureStarted => "capture_started",
            Self::Paid => "paid",
            Self::CancellationStarted => "cancellation_started",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::RefundStarted => "refund_started",
            Self::Refunded => "refunded",
            Self::RefundFailed => "refund_failed",
            Self::Fulfilled => "fulfilled",
            Self::Completed => "completed",
            Self::Disputed => "disputed",
            Self::DisputeWon => "dispute_won",
            Self::DisputeLost => "dispute_lost",
            Self::Erased => "erased",
        }
    }
}

impl Entry {
    pub(super) fn new(r#type: Kind, cause: &Cause) -> Self {
        Self {
            r#type,
            at: cause.at,
            actor: cause.by,
            request_id: cause.request_id.clone(),
            trace_id: cause.trace_id.clone(),
            amount: None,
            payment_id: None,
            refund_id: None,
            fulfilment_id: None,
        }
    }

    pub(super) fn of_payment(self, id: Id<Payment>, amount: Money) -> Self {
        Self { payment_id: Some(id), amount: Some(amount), ..self }
    }

    pub(super) fn of_refund(self, refund: &Refund) -> Self {
        let (payment_id, refund_id) = (Some(refund.payment_id), Some(refund.id));
        Self { payment_id, refund_id, amount: Some(refund.amount), ..self }
    }
}
