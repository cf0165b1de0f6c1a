//! Requests and webhooks.

use std::{
    convert::Infallible,
    future, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hyper::{
    Method, Response, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT, WWW_AUTHENTICATE},
    http::request::Parts,
};
use serde_json::json;
use shared::telemetry;
use tokio::{task::JoinSet, time::sleep};

use super::{
    api_error::ApiError,
    form::Form,
    page,
    settings::Settings,
    state::{Done, Sending, State, StoredResponse},
    webhook::{self, SIGNATURE_HEADER, Webhook, new_id},
};
use crate::{
    files,
    mutex::lock,
    server::{Answer, HangUp},
};

pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Header of a response that is repeated for the same key.
pub(super) const REPLAYED: &str = "idempotent-replayed";
/// Response time of `pm_slow`.
const SLOWNESS: Duration = Duration::from_secs(2);
/// Maximum pause between two attempts to deliver a webhook.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Maximum time of the receiver to respond.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of the checks for due webhooks.
pub(super) const INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Handler {
    pub settings: Settings,
    pub file: Option<PathBuf>,
    pub http: reqwest::Client,
    pub state: Mutex<State>,
    /// The address of webhooks. Without one, they wait.
    pub webhooks_url: Mutex<Option<String>>,
}

/// The idempotency key of a request in progress. Dropped with the response, or when the client hangs up.
struct InWork<'handler>(&'handler Handler, String);

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.state().in_work.remove(&self.1);
    }
}

impl Handler {
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state and saves it.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        if let Err(error) = self.keep(&state) {
            eprintln!("the state of the Stripe emulator cannot be saved: {error}");
        }
        changed
    }

    fn keep(&self, state: &State) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        files::write_private(file, &serde_json::to_string(state)?)
    }

    pub fn sign(&self, body: &str) -> String {
        webhook::sign(&[&self.settings.webhook_secret], telemetry::now(), body)
    }

    /// Sends webhooks and applies late declines, forever.
    pub async fn send_webhooks(self: Arc<Self>) -> Infallible {
        let mut under_way = JoinSet::new();
        loop {
            sleep(INTERVAL).await;
            while under_way.try_join_next().is_some() {}
            let now = telemetry::now();
            if self.state().settle_due(now) {
                self.change(|_| ());
            }
            let Some(url) = lock(&self.webhooks_url).clone() else { continue };
            for webhook in self.state().due_webhooks(now) {
                under_way.spawn(deliver(Arc::clone(&self), url.clone(), webhook));
            }
        }
    }

    pub async fn answer(&self, parts: &Parts, body: &Bytes) -> Result<Answer, HangUp> {
        match parts.uri.path().split('/').skip(1).collect::<Vec<_>>()[..] {
            ["_ledger"] => Ok(json_answer(200, json!(self.state().ledger).to_string())),
            ["authenticate", intent] => Ok(self.page(intent)),
            ["authenticate", intent, decision] if parts.method == Method::POST => {
                Ok(self.decide(intent, decision))
            }
            _ => self.serve_api(parts, body).await,
        }
    }

    fn page(&self, intent: &str) -> Answer {
        self.state().intents.get(intent).map_or_else(not_found, page::page)
    }

    fn decide(&self, intent: &str, decision: &str) -> Answer {
        // A late customer is sent back, too, and learns there what has happened.
        if let Err(refusal) = self.change(|state| state.settle(intent, decision == "approve"))
            && refusal.status == 404
        {
            return not_found();
        }
        self.state().intents.get(intent).map_or_else(not_found, page::way_back)
    }

    async fn serve_api(&self, parts: &Parts, body: &Bytes) -> Result<Answer, HangUp> {
        let key = parts.headers.get(IDEMPOTENCY_KEY).filter(|_| parts.method == Method::POST);
        let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
        let reply = |state: &mut State| {
            self.reply(state, parts, body, key.as_deref())
                .unwrap_or_else(|refusal| (json_answer(refusal.status, error(state, &refusal)), Sending::Now))
        };
        let (answer, sending) =
            if parts.method == Method::GET { reply(&mut self.state()) } else { self.change(reply) };
        let is_in_work = matches!(sending, Sending::Late | Sending::Never);
        let _in_work = key.filter(|_| is_in_work).map(|key| InWork(self, key));
        match sending {
            Sending::Now => {}
            Sending::Late => sleep(SLOWNESS).await,
            Sending::Lost => return Err(HangUp),
            Sending::Never => future::pending().await,
        }
        Ok(answer)
    }

    /// Performs a request once per idempotency key: <https://docs.stripe.com/api/idempotent_requests>.
    fn reply(
        &self,
        state: &mut State,
        parts: &Parts,
        body: &Bytes,
        key: Option<&str>,
    ) -> Result<(Answer, Sending), ApiError> {
        self.admit(parts)?;
        let (method, path) = (&parts.method, parts.uri.path());
        let query = parts.uri.query().unwrap_or_default();
        let form = Form::read(if method == Method::GET { query.as_bytes() } else { body });
        let Some(key) = key else {
            return operate(state, parts, form)
                .map(|(body, sending)| (json_answer(200, body.to_string()), sending));
        };
        let request = format!("{method} {path}?{}", form.canonical());
        if let Some(before) = state.answered(key, &request)? {
            let mut answer = json_answer(before.status, before.body.clone());
            answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok((answer, Sending::Now));
        }
        let (status, body, sending) = match operate(state, parts, form) {
            Ok((body, sending)) => (200, body.to_string(), sending),
            Err(refusal) if refusal.is_kept => (refusal.status, error(state, &refusal), Sending::Now),
            Err(refusal) => return Err(refusal),
        };
        if sending != Sending::Never {
            state.answers.insert(key.to_owned(), StoredResponse { request, status, body: body.clone() });
        }
        if matches!(sending, Sending::Late | Sending::Never) {
            state.in_work.insert(key.to_owned());
        }
        Ok((json_answer(status, body), sending))
    }

    /// Checks the API key and the content type.
    fn admit(&self, parts: &Parts) -> Result<(), ApiError> {
        let key =
            parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match key {
            None => Err(ApiError::unauthorized("You did not provide an API key.")),
            Some(key) if key != self.settings.api_key => {
                Err(ApiError::unauthorized("Invalid API Key provided."))
            }
            Some(_) => Ok(()),
        }?;
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| !kind.starts_with("application/x-www-form-urlencoded")) {
            let message =
                "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
            return Err(ApiError::invalid(message));
        }
        Ok(())
    }
}

fn operate(state: &mut State, parts: &Parts, form: Form) -> Done {
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let parts: Vec<_> = path.split('/').skip(1).collect();
    match (method, &parts[..]) {
        ("POST", ["v1", "payment_intents"]) => state.create(form),
        ("GET", ["v1", "payment_intents", id]) => state.read(id, form),
        ("POST", ["v1", "payment_intents", id, "confirm"]) => state.confirm(id, form),
        ("POST", ["v1", "payment_intents", id, "capture"]) => state.capture(id, form),
        ("POST", ["v1", "payment_intents", id, "cancel"]) => state.cancel(id, form),
        ("POST", ["v1", "refunds"]) => state.refund(form),
        ("GET", ["v1", "refunds"]) => state.list_refunds(form),
        _ => Err(ApiError::unknown_url(method, path)),
    }
}

fn error(state: &State, refusal: &ApiError) -> String {
    let mut error = refusal.error.clone();
    if let Some(intent) = refusal.intent.as_ref().and_then(|intent| state.shown_intent(intent)) {
        error["payment_intent"] = intent;
    }
    json!({"error": error}).to_string()
}

fn json_answer(status: u16, body: String) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::try_from(new_id("req")) {
        headers.insert("request-id", id);
    }
    if status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"Stripe\""));
    }
    answer
}

fn not_found() -> Answer {
    let mut answer = Answer::new("There is no such payment.\n".into());
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

/// Makes one attempt to deliver a webhook.
async fn deliver(handler: Arc<Handler>, url: String, webhook: Webhook) {
    let signature = handler.sign(&webhook.body);
    let call = handler.http.post(url).timeout(DELIVERY_TIMEOUT);
    let call = call.header(CONTENT_TYPE, "application/json; charset=utf-8").header(USER_AGENT, "Stripe/1.0");
    let answer = call.header(SIGNATURE_HEADER, signature).body(webhook.body).send().await;
    let is_taken = answer.is_ok_and(|answer| answer.status().is_success());
    let pause = MAX_PAUSE.min(handler.settings.delay * 2_u32.saturating_pow(webhook.attempts + 1));
    handler.change(|state| {
        if let Some(kept) = state.webhooks.iter_mut().find(|kept| kept.id == webhook.id) {
            kept.attempted(is_taken, pause);
        }
    });
}
