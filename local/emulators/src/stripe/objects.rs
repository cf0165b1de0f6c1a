//! Stripe's objects and their JSON: <https://docs.stripe.com/api/payment_intents/object>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::time::Timestamp;

use super::form::Form;

/// A PaymentIntent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Intent {
    pub id: String,
    pub amount: i64,
    pub currency: String,
    pub capture_method: CaptureMethod,
    pub status: Status,
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub payment_method: Option<String>,
    pub return_url: Option<String>,
    pub canceled_at: Option<Timestamp>,
    pub cancellation_reason: Option<String>,
    pub last_payment_error: Option<Value>,
    pub latest_charge: Option<String>,
    /// True after the rate limit that the payment method `pm_rate_limited` causes once.
    pub was_rate_limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CaptureMethod {
    Automatic,
    Manual,
}

/// Status of a PaymentIntent: <https://docs.stripe.com/payments/paymentintents/lifecycle>.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
}

/// A charge or an authorization.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Charge {
    pub id: String,
    pub intent: String,
    pub amount: i64,
    pub captured: i64,
    pub refunded: i64,
    pub currency: String,
    pub created: Timestamp,
    /// Time of a dispute to come.
    pub disputed_at: Option<Timestamp>,
    pub dispute: Option<Dispute>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Dispute {
    pub id: String,
    pub created: Timestamp,
    pub status: DisputeStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DisputeStatus {
    NeedsResponse,
    Won,
    Lost,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refund {
    pub id: String,
    pub charge: String,
    pub intent: String,
    pub amount: i64,
    pub currency: String,
    pub reason: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub created: Timestamp,
    pub status: RefundStatus,
    /// Time and status of a change to come.
    pub settles: Option<(Timestamp, RefundStatus)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundStatus {
    Pending,
    Succeeded,
    Failed,
}

impl Intent {
    /// Returns the order id of the metadata.
    pub fn order_id(&self) -> &str {
        self.metadata.get("order_id").map_or("", String::as_str)
    }

    /// Returns Stripe's JSON. `url` is the URL of the emulator, `charge` the successful charge.
    pub fn json(&self, url: &str, charge: Option<&Charge>) -> Value {
        let Self { id, status, .. } = self;
        let capturable = if *status == Status::RequiresCapture { self.amount } else { 0 };
        let mut intent = json!({
            "id": id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": capturable,
            "amount_received": charge.map_or(0, |charge| charge.captured),
            "canceled_at": self.canceled_at.map(Timestamp::as_seconds),
            "cancellation_reason": self.cancellation_reason,
            "capture_method": self.capture_method,
            "client_secret": format!("{id}_secret_pretended"),
            "confirmation_method": "automatic",
            "created": self.created.as_seconds(),
            "currency": self.currency,
            "last_payment_error": self.last_payment_error,
            "latest_charge": self.latest_charge,
            "livemode": false,
            "metadata": self.metadata,
            "next_action": null,
            "payment_method": self.payment_method,
            "payment_method_types": ["card"],
            "status": status,
        });
        if *status == Status::RequiresAction {
            let page = format!("{url}/authenticate/{id}");
            intent["next_action"] = json!({
                "type": "redirect_to_url",
                "redirect_to_url": {"url": page, "return_url": self.return_url},
            });
        }
        intent
    }

    /// Returns the `return_url` of the confirmation.
    pub fn way_back(&self) -> Option<String> {
        let way = self.return_url.as_ref()?;
        let outcome = if self.last_payment_error.is_some() { "failed" } else { "succeeded" };
        let separator = if way.contains('?') { '&' } else { '?' };
        Some(format!("{way}{separator}payment_intent={}&redirect_status={outcome}", self.id))
    }
}

impl Status {
    /// Returns Stripe's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::Processing => "processing",
            Self::RequiresCapture => "requires_capture",
            Self::Canceled => "canceled",
            Self::Succeeded => "succeeded",
        }
    }
}

impl CaptureMethod {
    /// Takes the capture method from a form.
    pub fn take(form: &mut Form) -> Option<Self> {
        match form.text("capture_method").as_deref() {
            None | Some("automatic") => Some(Self::Automatic),
            Some("manual") => Some(Self::Manual),
            Some(_) => None,
        }
    }
}

impl Charge {
    /// Returns whether the refund holds money, for the time being or for good.
    pub fn is_disputed(&self) -> bool {
        self.dispute.as_ref().is_some_and(|dispute| dispute.status != DisputeStatus::Won)
    }

    /// Returns Stripe's JSON.
    pub fn json(&self, intent: &Intent) -> Value {
        json!({
            "id": self.id,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": self.captured,
            "amount_refunded": self.refunded,
            "captured": self.captured > 0,
            "created": self.created.as_seconds(),
            "currency": self.currency,
            "disputed": self.dispute.is_some(),
            "livemode": false,
            "metadata": intent.metadata,
            "paid": true,
            "payment_intent": self.intent,
            "refunded": self.captured > 0 && self.refunded == self.captured,
            "status": "succeeded",
        })
    }

    /// Returns Stripe's JSON of the dispute.
    pub fn dispute_json(&self) -> Value {
        self.dispute.as_ref().map_or(Value::Null, |dispute| {
            json!({
                "id": dispute.id,
                "object": "dispute",
                "amount": self.captured,
                "charge": self.id,
                "created": dispute.created.as_seconds(),
                "currency": self.currency,
                "livemode": false,
                "metadata": {},
                "payment_intent": self.intent,
                "reason": "fraudulent",
                "status": dispute.status,
            })
        })
    }
}

impl Refund {
    /// Returns Stripe's JSON.
    pub fn json(&self) -> Value {
        let mut refund = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "charge": self.charge,
            "created": self.created.as_seconds(),
            "currency": self.currency,
            "metadata": self.metadata,
            "payment_intent": self.intent,
            "reason": self.reason,
            "status": self.status,
        });
        if self.status == RefundStatus::Failed {
            refund["failure_reason"] = json!("expired_or_canceled_card");
        }
        refund
    }
}
