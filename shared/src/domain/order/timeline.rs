//! The timeline of an order.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strum::{IntoStaticStr, VariantArray};

use super::fulfilment::Fulfilment;
use crate::domain::{
    change::{ChangeContext, Initiator},
    id::Id,
    money::Money,
    payment::{Payment, Refund},
    time::Timestamp,
};

/// An event of an order. Events are only ever appended; each is published as `order.<type>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    pub r#type: TimelineEventType,
    pub at: Timestamp,
    pub actor: Initiator,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<Id<Payment>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_id: Option<Id<Refund>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment_id: Option<Id<Fulfilment>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum TimelineEventType {
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

impl TimelineEvent {
    pub(super) fn new(r#type: TimelineEventType, context: &ChangeContext) -> Self {
        Self {
            r#type,
            at: context.at,
            actor: context.initiator,
            request_id: context.request_id.clone(),
            trace_id: context.trace_id.clone(),
            amount: None,
            payment_id: None,
            refund_id: None,
            fulfilment_id: None,
        }
    }

    /// Returns the part that the audit trail shows beside actor, time and request.
    pub fn audited(&self) -> Value {
        let mut event = json!({
            "type": self.r#type,
            "amount": self.amount,
            "payment_id": self.payment_id,
            "refund_id": self.refund_id,
            "fulfilment_id": self.fulfilment_id,
        });
        if let Value::Object(fields) = &mut event {
            fields.retain(|_, value| !value.is_null());
        }
        event
    }

    pub(super) fn of_payment(self, id: Id<Payment>, amount: Money) -> Self {
        Self { payment_id: Some(id), amount: Some(amount), ..self }
    }

    pub(super) fn of_refund(self, refund: &Refund) -> Self {
        let (payment_id, refund_id) = (Some(refund.payment_id), Some(refund.id));
        Self { payment_id, refund_id, amount: Some(refund.amount), ..self }
    }
}
