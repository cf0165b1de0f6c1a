//! Requests with retries, and their tally.

use fastrand::Rng;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use emulators::server;
use futures_util::future::join_all;
use reqwest::Method;
use runtime::keys;
use serde_json::Value;
use shared::{
    auth::{Role, SigningKey},
    domain::{id::Id, user::User},
};
use tokio::time::sleep;

use super::TortureError;

/// Maximum attempts without a response or with a 503.
const TRIES: u32 = 40;
/// First pause before a retry, which doubles, and the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Exceeds the shop's maximum response time.
const TIMEOUT: Duration = Duration::from_secs(90);

pub(super) struct Client {
    pub url: String,
    http: reqwest::Client,
    key: SigningKey,
    tally: Mutex<Tally>,
}

#[derive(Clone)]
pub(super) struct Call {
    pub operation: &'static str,
    pub method: Method,
    /// Path below the version.
    pub path: String,
    pub body: Option<Value>,
    pub token: String,
    /// `Idempotency-Key` of a request with an effect.
    pub key: Option<String>,
    /// Allowed statuses.
    pub expected: &'static [u16],
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// True if a repeated request must get the same response.
    fn is_final(&self) -> bool {
        matches!(self.status, 200 | 201)
    }
}

impl Call {
    pub fn get(operation: &'static str, path: String, token: &str, expected: &'static [u16]) -> Self {
        let token = token.to_owned();
        Self { operation, method: Method::GET, path, body: None, token, key: None, expected }
    }

    /// Makes a request with an effect, with a new idempotency key.
    pub fn post(
        operation: &'static str,
        path: String,
        body: Value,
        token: &str,
        expected: &'static [u16],
    ) -> Self {
        let (body, key) = (Some(body), Some(server::uuid()));
        Self { body, key, method: Method::POST, ..Self::get(operation, path, token, expected) }
    }
}

impl Client {
    pub fn new(url: &str, key: SigningKey) -> Result<Self, TortureError> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { url: url.to_owned(), http, key, tally: Mutex::default() })
    }

    pub fn token(&self, user: Id<User>, role: Role) -> Result<String, TortureError> {
        Ok(keys::token_of(&self.key, &format!("{}/v1", self.url), user, role)?)
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, sometimes several times at once and once more afterwards: one key must get one response.
    pub async fn ask_oddly(&self, call: &Call, rng: &mut Rng) -> Option<Answer> {
        let twins = if rng.usize(..100) < 15 { 2 + rng.usize(..3) } else { 1 };
        let answers: Vec<_> =
            join_all((0..twins).map(|_| self.ask(call))).await.into_iter().flatten().collect();
        let last_word = answers.iter().find(|answer| answer.is_final()).or(answers.first())?.clone();
        // A twin may have been refused before the other could begin.
        let mut others: Vec<_> = answers.into_iter().filter(Answer::is_final).skip(1).collect();
        if last_word.is_final() && rng.usize(..100) < 25 {
            others.extend(self.ask(call).await);
        }
        self.tally().repeats += others.len();
        if let Some(other) = others.iter().find(|other| **other != last_word) {
            let what = format!("{} {} by one key: {last_word:?} and {other:?}", call.operation, call.path);
            self.tally().violation(what);
        }
        Some(last_word)
    }

    /// Sends a request until it gets a response.
    pub async fn ask(&self, call: &Call) -> Option<Answer> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..TRIES {
            let answer = self.try_once(call).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            self.tally().count(call.operation, status);
            if !matches!(status, 0 | 429 | 503) {
                if !call.expected.contains(&status) {
                    let body = answer.as_ref().map(|answer| answer.body.to_string()).unwrap_or_default();
                    self.tally().violation(format!("{} {}: {status} {body}", call.operation, call.path));
                }
                return answer;
            }
            self.tally().retries += 1;
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        self.tally().violation(format!("{} {} was never answered", call.operation, call.path));
        None
    }

    async fn try_once(&self, call: &Call) -> Option<Answer> {
        let url = format!("{}/v1{}", self.url, call.path);
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(&call.token);
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let (status, text) = (answer.status().as_u16(), answer.text().await.ok()?);
        Some(Answer { status, body: serde_json::from_str(&text).unwrap_or_default() })
    }
}

/// Tally of all requests.
#[derive(Default)]
pub(super) struct Tally {
    /// Responses by operation and status, 0 for none.
    answers: BTreeMap<(&'static str, u16), usize>,
    pub orders: usize,
    pub customers: Vec<Id<User>>,
    /// Orders that a customer was told of.
    pub acknowledged: Vec<String>,
    pub repeats: usize,
    pub retries: usize,
    pub kills: usize,
    pub glances: usize,
    pub violations: Vec<String>,
}

impl Tally {
    fn count(&mut self, operation: &'static str, status: u16) {
        *self.answers.entry((operation, status)).or_default() += 1;
    }

    /// Records a broken promise.
    pub fn violation(&mut self, what: String) {
        eprintln!("VIOLATION  {what}");
        self.violations.push(what);
    }

    pub fn summary(&self) -> String {
        let Self { orders, retries, kills, violations, .. } = self;
        let requests: usize = self.answers.values().sum();
        let violations = violations.len();
        format!(
            "{requests} requests, {orders} orders, {retries} retries, {kills} kills, {violations} violations"
        )
    }

    pub fn report(&self, seed: u64, took: Duration, checks: usize) -> String {
        let mut report = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| writeln!(report, "{text}").unwrap_or_default();
        line(format_args!("seed {seed}, {} seconds\n{}\n", took.as_secs(), self.summary()));
        line(format_args!("{:<22}  status  answers", "operation"));
        for ((operation, status), count) in &self.answers {
            let status = if *status == 0 { "none".to_owned() } else { status.to_string() };
            line(format_args!("{operation:<22}  {status:>6}  {count:>7}"));
        }
        let Self { repeats, glances, violations, .. } = self;
        line(format_args!("\n{repeats} answers compared with another by the same key"));
        line(format_args!("{glances} looks at a stock meanwhile, {checks} checks of the books at rest"));
        line(format_args!("{} violations", violations.len()));
        violations.iter().for_each(|violation| line(format_args!("  {violation}")));
        report
    }
}
