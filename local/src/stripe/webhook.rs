//! Webhooks: events, signed and sent until they are taken. <https://docs.stripe.com/webhooks>.

use std::time::Duration;

use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use super::new_id;

/// The version of the API that events are written in.
pub const API_VERSION: &str = "2025-08-27.basil";
/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";
/// How often an event is sent before it is given up.
const MAX_ATTEMPTS: u32 = 16;

/// An event, as it is sent to the webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    /// The event's id.
    pub id: String,
    /// The event's type, such as `payment_intent.succeeded`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The order that it is about, from the intent's metadata.
    pub order_id: String,
    /// The intent that it is about.
    pub intent: String,
    /// What is signed and sent.
    pub body: String,
    /// Whether it was taken.
    pub is_delivered: bool,
    /// When it is sent next.
    due: Timestamp,
    pub(super) attempts: u32,
    #[serde(skip)]
    is_under_way: bool,
}

impl Webhook {
    pub(super) fn new(kind: &str, object: &Value, order_id: &str, intent: &str, due: Timestamp) -> Self {
        let id = new_id("evt");
        let body = json!({
            "id": id,
            "object": "event",
            "api_version": API_VERSION,
            "created": telemetry::now().as_seconds(),
            "data": {"object": object},
            "livemode": false,
            "pending_webhooks": 1,
            "request": {"id": null, "idempotency_key": null},
            "type": kind,
        });
        let (kind, order_id, intent) = (kind.to_owned(), order_id.to_owned(), intent.to_owned());
        let (is_delivered, attempts, is_under_way) = (false, 0, false);
        Self { id, kind, order_id, intent, body: body.to_string(), is_delivered, due, attempts, is_under_way }
    }

    /// Records the outcome of an attempt to deliver it, and when to try again.
    pub(super) fn attempted(&mut self, is_delivered: bool, pause: Duration) {
        self.attempts += 1;
        self.is_delivered |= is_delivered;
        self.is_under_way = false;
        self.due = later(telemetry::now(), pause);
    }

    /// Gives it to be sent, if its time has come.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Self> {
        let waits = !self.is_delivered && !self.is_under_way && self.attempts < MAX_ATTEMPTS;
        self.is_under_way |= waits && self.due <= now;
        (waits && self.is_under_way).then(|| self.clone())
    }
}

/// The value of the signature's header, for a body that is sent at a moment. Several secrets give several signatures, as
/// while one takes the place of another.
pub fn sign(secrets: &[&str], at: Timestamp, body: &str) -> String {
    let seconds = at.as_seconds();
    let tag = |secret: &&str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!(",v1={hex}")
    };
    format!("t={seconds}{}", secrets.iter().map(tag).collect::<String>())
}

/// A moment and so much after it.
pub(super) fn later(moment: Timestamp, pause: Duration) -> Timestamp {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.as_millis().saturating_add(pause))
}
