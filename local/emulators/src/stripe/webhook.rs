//! Webhooks: signed events, sent until the receiver acknowledges them. <https://docs.stripe.com/webhooks>.

use std::time::Duration;

use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use crate::server;

/// The API version of events.
pub const API_VERSION: &str = "2025-08-27.basil";
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";
const MAX_ATTEMPTS: u32 = 16;

/// An event to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: String,
    /// The event's type, such as `payment_intent.succeeded`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Order id in the intent's metadata.
    pub order_id: String,
    pub intent: String,
    pub body: String,
    pub is_delivered: bool,
    /// Time of the next attempt.
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

    /// Records an attempt and schedules the next.
    pub(super) fn attempted(&mut self, is_delivered: bool, pause: Duration) {
        self.attempts += 1;
        self.is_delivered |= is_delivered;
        self.is_under_way = false;
        self.due = later(telemetry::now(), pause);
    }

    /// Starts an attempt if one is due.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Self> {
        let waits = !self.is_delivered && !self.is_under_way && self.attempts < MAX_ATTEMPTS;
        self.is_under_way |= waits && self.due <= now;
        (waits && self.is_under_way).then(|| self.clone())
    }
}

/// Returns the value of the signature header: a signature per secret, as during a secret's replacement.
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

/// Returns a new id in Stripe's form.
pub(super) fn new_id(kind: &str) -> String {
    format!("{kind}_{}", &server::uuid().replace('-', "")[..24])
}

/// Adds a pause to a time.
pub(super) fn later(moment: Timestamp, pause: Duration) -> Timestamp {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.as_millis().saturating_add(pause))
}
