//! The state of Stripe, and all operations on it. The caller holds the lock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use super::{
    api_error::ApiError,
    card::Card,
    form::Form,
    ledger::{Entry, Kind, Ledger},
    objects::{CaptureMethod, Charge, Dispute, DisputeStatus, Intent, Refund, RefundStatus, Status},
    webhook::{Webhook, later, new_id},
};

/// Maximum length of an idempotency key.
const MAX_KEY: usize = 255;

#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub intents: BTreeMap<String, Intent>,
    pub charges: BTreeMap<String, Charge>,
    /// Oldest first.
    pub refunds: Vec<Refund>,
    pub ledger: Ledger,
    /// Oldest first.
    pub webhooks: Vec<Webhook>,
    /// Responses by idempotency key.
    pub answers: BTreeMap<String, StoredResponse>,
    /// Orders whose webhooks are held back.
    #[serde(skip)]
    pub held: BTreeSet<String>,
    /// Idempotency keys of requests in progress.
    #[serde(skip)]
    pub in_work: BTreeSet<String>,
    /// Delay of webhooks, late declines and disputes.
    #[serde(skip)]
    pub delay: Duration,
    /// URL of the emulator.
    #[serde(skip)]
    pub url: String,
}

/// A response that is repeated for the same idempotency key.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StoredResponse {
    /// Method, path and parameters.
    pub request: String,
    pub status: u16,
    pub body: String,
}

/// Fate of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sending {
    Now,
    /// Sent after a delay.
    Late,
    /// The connection is closed instead.
    Lost,
    /// Nothing was done, and no response comes.
    Never,
}

pub(super) type Done = Result<(Value, Sending), ApiError>;

impl State {
    /// `POST /v1/payment_intents`.
    pub fn create(&mut self, mut form: Form) -> Done {
        let amount = form.amount("amount")?.ok_or_else(|| ApiError::missing_parameter("amount"))?;
        let currency = form.required("currency")?.to_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_lowercase()) {
            let message = format!("Invalid currency: {currency}.");
            return Err(ApiError::parameter("parameter_invalid_string_empty", "currency", message));
        }
        let capture_method = CaptureMethod::take(&mut form).ok_or_else(|| {
            let message = "Invalid capture_method: must be one of automatic or manual";
            ApiError::parameter("parameter_unknown", "capture_method", message)
        })?;
        if form.map("payment_method_types").into_values().any(|kind| kind != "card") {
            let message = "The payment method type provided is invalid: cargo shop knows cards.";
            return Err(ApiError::parameter(
                "payment_intent_invalid_parameter",
                "payment_method_types",
                message,
            ));
        }
        let metadata = form.map("metadata");
        form.end()?;
        let intent = Intent {
            id: new_id("pi"),
            amount,
            currency,
            capture_method,
            status: Status::RequiresPaymentMethod,
            metadata,
            created: telemetry::now(),
            payment_method: None,
            return_url: None,
            canceled_at: None,
            cancellation_reason: None,
            last_payment_error: None,
            latest_charge: None,
            was_rate_limited: false,
        };
        let id = intent.id.clone();
        self.intents.insert(id.clone(), intent);
        self.tell("payment_intent.created", &id);
        self.shown(&id)
    }

    /// `GET /v1/payment_intents/{id}`.
    pub fn read(&self, id: &str, form: Form) -> Done {
        form.end()?;
        self.intent(id)?;
        self.shown(id)
    }

    /// `POST /v1/payment_intents/{id}/confirm`.
    pub fn confirm(&mut self, id: &str, mut form: Form) -> Done {
        let (payment_method, return_url) = (form.text("payment_method"), form.text("return_url"));
        form.end()?;
        let intent = self.intent_mut(id)?;
        let status = intent.status;
        if !matches!(
            status,
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction
        ) {
            let message = format!(
                "You cannot confirm this PaymentIntent because it has a status of {}.",
                status.name()
            );
            return Err(ApiError::unexpected_state(id, message));
        }
        let Some(payment_method) = payment_method.or_else(|| intent.payment_method.clone()) else {
            let message =
                "You cannot confirm this PaymentIntent because it's missing a payment method.".into();
            return Err(ApiError::unexpected_state(id, message));
        };
        let card =
            Card::of(&payment_method).ok_or_else(|| ApiError::unknown_payment_method(&payment_method))?;
        if card == Card::RateLimited && !intent.was_rate_limited {
            intent.was_rate_limited = true;
            return Err(ApiError::rate_limited());
        }
        intent.payment_method = Some(payment_method);
        intent.return_url = return_url.or(intent.return_url.take());
        intent.last_payment_error = None;
        intent.status = Status::RequiresConfirmation;
        match card {
            Card::Error => return Err(ApiError::broken()),
            Card::NeverAnswers => return Ok((Value::Null, Sending::Never)),
            Card::Declined(decline_code) => {
                let message = match decline_code {
                    "insufficient_funds" => "Your card has insufficient funds.",
                    _ => "Your card was declined.",
                };
                let declined = ApiError::declined(decline_code, message, id);
                self.fail(id, declined.error.clone());
                return Err(declined);
            }
            Card::AuthenticationRequired => self.wait(id, Status::RequiresAction),
            Card::Processing => self.wait(id, Status::Processing),
            _ => self.charge(id),
        }
        let sending = match card {
            Card::AnswerLost => Sending::Lost,
            Card::Slow => Sending::Late,
            _ => Sending::Now,
        };
        self.shown(id).map(|(intent, _)| (intent, sending))
    }

    /// `POST /v1/payment_intents/{id}/capture`.
    pub fn capture(&mut self, id: &str, mut form: Form) -> Done {
        let wanted = form.amount("amount_to_capture")?;
        form.end()?;
        let intent = self.intent_mut(id)?;
        if intent.status != Status::RequiresCapture {
            let status = intent.status.name();
            let message = format!(
                "This PaymentIntent could not be captured because it has a status of {status}. Only a PaymentIntent \
                 with one of the following statuses may be captured: requires_capture."
            );
            return Err(ApiError::unexpected_state(id, message));
        }
        let amount = wanted.unwrap_or(intent.amount);
        if amount > intent.amount {
            let message = format!(
                "The provided amount_to_capture ({amount}) is greater than the amount_capturable ({}).",
                intent.amount
            );
            let refusal = ApiError::invalid(message).code("amount_too_large");
            return Err(refusal.about("amount_to_capture").with(id));
        }
        let rest = intent.amount - amount;
        intent.status = Status::Succeeded;
        if let Some(charge) = self.charge_of_mut(id) {
            charge.captured = amount;
        }
        self.book(Kind::Captured, amount, id, None);
        if rest > 0 {
            self.book(Kind::Voided, rest, id, None);
        }
        self.tell("payment_intent.succeeded", id);
        self.shown(id)
    }

    /// `POST /v1/payment_intents/{id}/cancel`.
    pub fn cancel(&mut self, id: &str, mut form: Form) -> Done {
        let reason = form.text("cancellation_reason");
        form.end()?;
        let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
        if reason.as_deref().is_some_and(|reason| !reasons.contains(&reason)) {
            let message = format!("Invalid cancellation_reason: must be one of {}", reasons.join(", "));
            return Err(ApiError::parameter("parameter_unknown", "cancellation_reason", message));
        }
        let status = self.intent(id)?.status;
        if matches!(status, Status::Succeeded | Status::Canceled) {
            let message = format!(
                "You cannot cancel this PaymentIntent because it has a status of {}. Only a PaymentIntent with one of \
                 the following statuses may be canceled: requires_payment_method, requires_capture, \
                 requires_confirmation, requires_action, processing.",
                status.name()
            );
            return Err(ApiError::unexpected_state(id, message));
        }
        self.end(id, reason);
        self.shown(id)
    }

    /// `POST /v1/refunds`.
    pub fn refund(&mut self, mut form: Form) -> Done {
        let id = form.required("payment_intent")?;
        let (wanted, reason) = (form.amount("amount")?, form.text("reason"));
        let metadata = form.map("metadata");
        form.end()?;
        let intent = self.intent(&id)?;
        let card = intent.payment_method.as_deref().and_then(Card::of);
        let charge = self.charge_of(&id).filter(|charge| charge.captured > 0).ok_or_else(|| {
            let message = format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
            ApiError::invalid(message).code("payment_intent_unexpected_state")
        })?;
        let Charge { id: charge_id, currency, .. } = charge;
        if charge.is_disputed() {
            let message = format!("Charge {charge_id} has been charged back; cannot issue a refund.");
            return Err(ApiError::invalid(message).code("charge_disputed"));
        }
        let left = charge.captured - charge.refunded;
        if left == 0 {
            let message = format!("Charge {charge_id} has already been refunded.");
            return Err(ApiError::invalid(message).code("charge_already_refunded"));
        }
        let amount = wanted.unwrap_or(left);
        if amount > left {
            let message =
                format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})");
            return Err(ApiError::invalid(message).about("amount"));
        }
        let now = telemetry::now();
        let settles_at = later(now, self.delay);
        let (status, settles) = match card {
            Some(Card::RefundPends) => (RefundStatus::Pending, Some(RefundStatus::Succeeded)),
            Some(Card::RefundFails) => (RefundStatus::Succeeded, Some(RefundStatus::Failed)),
            _ => (RefundStatus::Succeeded, None),
        };
        let refund = Refund {
            id: new_id("re"),
            charge: charge_id.clone(),
            intent: id.clone(),
            amount,
            currency: currency.clone(),
            reason,
            metadata,
            created: now,
            status,
            settles: settles.map(|status| (settles_at, status)),
        };
        if let Some(charge) = self.charge_of_mut(&id) {
            charge.refunded += amount;
        }
        let shown = refund.json();
        self.book(Kind::Refunded, amount, &id, Some(&refund.id));
        self.refunds.push(refund);
        self.tell_of("refund.created", &id, shown.clone());
        self.tell_of_charge("charge.refunded", &id);
        Ok((shown, Sending::Now))
    }

    /// `GET /v1/refunds`.
    pub fn list_refunds(&self, mut form: Form) -> Done {
        let (id, limit) = (form.text("payment_intent"), form.text("limit"));
        form.end()?;
        let limit = limit.map_or(Some(10), |limit| limit.parse().ok());
        let limit = limit.filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
            ApiError::parameter("parameter_invalid_integer", "limit", "limit must be 1 to 100")
        })?;
        let wanted = |refund: &&Refund| id.as_ref().is_none_or(|id| refund.intent == *id);
        let mut refunds = self.refunds.iter().rev().filter(wanted).map(Refund::json);
        let page: Vec<_> = refunds.by_ref().take(limit).collect();
        let has_more = refunds.next().is_some();
        Ok((
            json!({"object": "list", "url": "/v1/refunds", "has_more": has_more, "data": page}),
            Sending::Now,
        ))
    }

    /// Completes 3-D Secure, or a payment that is `processing` or was never answered.
    pub fn settle(&mut self, id: &str, succeeds: bool) -> Result<(), ApiError> {
        let intent = self.intent(id)?;
        if !matches!(
            intent.status,
            Status::RequiresAction | Status::Processing | Status::RequiresConfirmation
        ) {
            let message = format!(
                "This PaymentIntent does not wait for the customer: it has a status of {}.",
                intent.status.name()
            );
            return Err(ApiError::unexpected_state(id, message));
        }
        if succeeds {
            self.charge(id);
        } else {
            self.fail(id, ApiError::not_authenticated().error);
        }
        Ok(())
    }

    /// Expires an authorization.
    pub fn lapse(&mut self, id: &str) -> Result<(), ApiError> {
        let status = self.intent(id)?.status;
        if status != Status::RequiresCapture {
            let message =
                format!("There is no authorization to lapse: it has a status of {}.", status.name());
            return Err(ApiError::unexpected_state(id, message));
        }
        self.end(id, Some("automatic".to_owned()));
        Ok(())
    }

    /// Closes a dispute.
    pub fn close_dispute(&mut self, id: &str, is_won: bool) -> Result<(), ApiError> {
        self.intent(id)?;
        let charge = self.charge_of_mut(id);
        let disputed = charge.and_then(|charge| Some((charge.captured, charge.dispute.as_mut()?)));
        let Some((amount, dispute)) =
            disputed.filter(|(_, dispute)| dispute.status == DisputeStatus::NeedsResponse)
        else {
            return Err(ApiError::unexpected_state(id, "There is no dispute to close.".to_owned()));
        };
        dispute.status = if is_won { DisputeStatus::Won } else { DisputeStatus::Lost };
        if is_won {
            self.book(Kind::DisputeWon, amount, id, None);
        }
        self.tell_of_dispute("charge.dispute.closed", id);
        Ok(())
    }

    /// Applies late declines, refunds and disputes. Returns whether anything changed.
    pub fn settle_due(&mut self, now: Timestamp) -> bool {
        let is_due = |moment: &Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
        let disputed = self.charges.values().filter(|charge| is_due(&charge.disputed_at));
        let disputed: Vec<_> = disputed.map(|charge| charge.intent.clone()).collect();
        disputed.iter().for_each(|intent| self.dispute(intent));
        let settles = |refund: &Refund| is_due(&refund.settles.map(|(moment, _)| moment));
        let settled: Vec<_> = self
            .refunds
            .iter()
            .enumerate()
            .filter(|(_, refund)| settles(refund))
            .map(|(index, _)| index)
            .collect();
        settled.iter().for_each(|index| self.settle_refund(*index));
        !disputed.is_empty() || !settled.is_empty()
    }

    /// Starts an attempt for each due webhook.
    pub fn due_webhooks(&mut self, now: Timestamp) -> Vec<Webhook> {
        let Self { webhooks, held, .. } = self;
        let free = webhooks.iter_mut().filter(|webhook| !held.contains(&webhook.order_id));
        free.filter_map(|webhook| webhook.take(now)).collect()
    }

    /// Returns the response to the first request with this key.
    pub fn answered(&self, key: &str, request: &str) -> Result<Option<&StoredResponse>, ApiError> {
        if key.is_empty() || key.len() > MAX_KEY {
            let message = format!("The Idempotency-Key must have 1 to {MAX_KEY} characters.");
            return Err(ApiError::parameter("parameter_invalid", "Idempotency-Key", message));
        }
        if self.in_work.contains(key) {
            return Err(ApiError::key_in_use(key));
        }
        let before = self.answers.get(key);
        let is_same = before.is_none_or(|before| before.request == request);
        if is_same { Ok(before) } else { Err(ApiError::key_reused(key)) }
    }

    /// Returns an intent in Stripe's JSON.
    pub fn shown_intent(&self, id: &str) -> Option<Value> {
        Some(self.intents.get(id)?.json(&self.url, self.charge_of(id)))
    }

    fn shown(&self, id: &str) -> Done {
        Ok((self.shown_intent(id).unwrap_or_default(), Sending::Now))
    }

    fn intent(&self, id: &str) -> Result<&Intent, ApiError> {
        self.intents.get(id).ok_or_else(|| ApiError::missing("payment_intent", id, "intent"))
    }

    fn intent_mut(&mut self, id: &str) -> Result<&mut Intent, ApiError> {
        self.intents.get_mut(id).ok_or_else(|| ApiError::missing("payment_intent", id, "intent"))
    }

    /// Returns the charge of a succeeded intent.
    fn charge_of(&self, intent: &str) -> Option<&Charge> {
        self.charges.get(intent)
    }

    fn charge_of_mut(&mut self, intent: &str) -> Option<&mut Charge> {
        self.charges.get_mut(intent)
    }

    /// Charges the card, or authorizes the amount.
    fn charge(&mut self, id: &str) {
        let Some(intent) = self.intents.get_mut(id) else { return };
        let (now, charge_id) = (telemetry::now(), new_id("ch"));
        let is_taken = intent.capture_method == CaptureMethod::Automatic;
        let is_disputed = intent.payment_method.as_deref().and_then(Card::of) == Some(Card::Disputed);
        let charge = Charge {
            id: charge_id.clone(),
            intent: id.to_owned(),
            amount: intent.amount,
            captured: if is_taken { intent.amount } else { 0 },
            refunded: 0,
            currency: intent.currency.clone(),
            created: now,
            disputed_at: is_disputed.then(|| later(now, self.delay)),
            dispute: None,
        };
        intent.latest_charge = Some(charge_id);
        intent.last_payment_error = None;
        let (amount, kind, status, event) = if is_taken {
            (intent.amount, Kind::Charged, Status::Succeeded, "payment_intent.succeeded")
        } else {
            let event = "payment_intent.amount_capturable_updated";
            (intent.amount, Kind::Authorized, Status::RequiresCapture, event)
        };
        intent.status = status;
        self.charges.insert(id.to_owned(), charge);
        self.book(kind, amount, id, None);
        self.tell(event, id);
    }

    /// Declines the card. The intent accepts another payment method.
    fn fail(&mut self, id: &str, error: Value) {
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = Status::RequiresPaymentMethod;
            intent.payment_method = None;
            intent.last_payment_error = Some(error);
            intent.latest_charge = Some(new_id("ch"));
        }
        self.tell("payment_intent.payment_failed", id);
    }

    /// Waits for 3-D Secure or for the bank.
    fn wait(&mut self, id: &str, status: Status) {
        if let Some(intent) = self.intents.get_mut(id) {
            intent.status = status;
        }
        self.tell(&format!("payment_intent.{}", status.name()), id);
    }

    /// Cancels the intent and releases its authorization.
    fn end(&mut self, id: &str, reason: Option<String>) {
        let Some(intent) = self.intents.get_mut(id) else { return };
        let held = (intent.status == Status::RequiresCapture).then_some(intent.amount);
        intent.status = Status::Canceled;
        intent.canceled_at = Some(telemetry::now());
        intent.cancellation_reason = reason;
        if let Some(amount) = held {
            self.book(Kind::Voided, amount, id, None);
        }
        self.tell("payment_intent.canceled", id);
    }

    fn dispute(&mut self, id: &str) {
        let Some(charge) = self.charge_of_mut(id) else { return };
        let (created, status) = (telemetry::now(), DisputeStatus::NeedsResponse);
        charge.disputed_at = None;
        // An authorization cannot be disputed.
        if charge.captured == 0 {
            return;
        }
        charge.dispute = Some(Dispute { id: new_id("dp"), created, status });
        let amount = charge.captured;
        self.book(Kind::Disputed, amount, id, None);
        self.tell_of_dispute("charge.dispute.created", id);
    }

    fn settle_refund(&mut self, index: usize) {
        let Some(refund) = self.refunds.get_mut(index) else { return };
        let Some((_, status)) = refund.settles.take() else { return };
        refund.status = status;
        let (id, intent, amount, shown) =
            (refund.id.clone(), refund.intent.clone(), refund.amount, refund.json());
        if status == RefundStatus::Failed {
            if let Some(charge) = self.charge_of_mut(&intent) {
                charge.refunded -= amount;
            }
            self.book(Kind::RefundFailed, amount, &intent, Some(&id));
            self.tell_of("refund.failed", &intent, shown.clone());
        }
        self.tell_of("refund.updated", &intent, shown.clone());
        self.tell_of("charge.refund.updated", &intent, shown);
    }

    /// Adds a ledger entry. `refund` is the id of the refund that it is about.
    fn book(&mut self, kind: Kind, amount: i64, intent: &str, refund: Option<&str>) {
        let (Some(of), Some(charge)) = (self.intents.get(intent), self.charges.get(intent)) else { return };
        let (currency, order_id, id) =
            (of.currency.clone(), of.order_id().to_owned(), refund.unwrap_or(&charge.id).to_owned());
        let (at, intent) = (telemetry::now(), intent.to_owned());
        self.ledger.0.push(Entry { at, kind, amount, currency, order_id, intent, id });
    }

    /// Adds a webhook about an intent.
    fn tell(&mut self, event: &str, intent: &str) {
        let object = self.shown_intent(intent).unwrap_or_default();
        self.tell_of(event, intent, object);
    }

    fn tell_of_charge(&mut self, event: &str, intent: &str) {
        let (Some(charge), Some(of)) = (self.charge_of(intent), self.intents.get(intent)) else { return };
        let object = charge.json(of);
        self.tell_of(event, intent, object);
    }

    fn tell_of_dispute(&mut self, event: &str, intent: &str) {
        let Some(charge) = self.charge_of(intent) else { return };
        let object = charge.dispute_json();
        self.tell_of(event, intent, object);
    }

    fn tell_of(&mut self, event: &str, intent: &str, object: Value) {
        let order_id = self.intents.get(intent).map_or("", Intent::order_id).to_owned();
        let due = later(telemetry::now(), self.delay);
        self.webhooks.push(Webhook::new(event, &object, &order_id, intent, due));
    }
}
