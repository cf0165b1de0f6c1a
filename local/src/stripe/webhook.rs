//! Webhooks: events, signed and sent until they are taken. <https://docs.stripe.com/webhooks>.

use std::{sync::Arc, time::Duration};

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use super::{desk::Desk, new_id};

/// The version of the API that events are written in.
pub const API_VERSION: &str = "2025-08-27.basil";
/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";
/// The longest pause before an event is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How often an event is sent before it is given up.
const MAX_ATTEMPTS: u32 = 16;
/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(30);

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
    attempts: u32,
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

/// Sends an event once.
pub(super) async fn deliver(desk: Arc<Desk>, url: String, webhook: Webhook) {
    let signature = desk.sign(&webhook.body);
    let call = desk.http.post(url).timeout(TIMEOUT);
    let call = call.header(CONTENT_TYPE, "application/json; charset=utf-8").header(USER_AGENT, "Stripe/1.0");
    let answer = call.header(SIGNATURE_HEADER, signature).body(webhook.body).send().await;
    let is_taken = answer.is_ok_and(|answer| answer.status().is_success());
    let pause = LONGEST_PAUSE.min(desk.settings.delay * 2_u32.saturating_pow(webhook.attempts + 1));
    desk.change(|books| {
        if let Some(kept) = books.webhooks.iter_mut().find(|kept| kept.id == webhook.id) {
            kept.attempts += 1;
            kept.is_delivered |= is_taken;
            kept.is_under_way = false;
            kept.due = later(telemetry::now(), pause);
        }
    });
}

/// A moment and so much after it.
pub(super) fn later(moment: Timestamp, pause: Duration) -> Timestamp {
    let pause = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.as_millis().saturating_add(pause))
}
