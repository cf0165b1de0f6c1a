//! The log: one line of JSON per invocation, with its business metrics.
//!
//! API Gateway and Lambda already measure requests, errors and latency. Business metrics are in CloudWatch's embedded metric
//! format, so they need no API calls:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! Never in a line: bodies, tokens, headers, query strings, personal data.

use std::{
    collections::BTreeMap,
    io::Write,
    mem, panic,
    process::ExitCode,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use crate::{
    config,
    domain::{money::Money, time::Timestamp, user::Actor},
    error::{Error, chain},
};

/// The `service` of every line.
const SERVICE: &str = "lambda-shop";

static PROCESS: OnceLock<Process> = OnceLock::new();
static COLD: AtomicBool = AtomicBool::new(true);
/// Counters of the current invocation. A process handles one at a time.
static COUNTERS: Mutex<Counters> = Mutex::new(Counters::new());

/// Caller of the current invocation.
static ACTOR: Mutex<Option<Actor>> = Mutex::new(None);

/// Values of metrics, by currency if they have one.
type Counters = BTreeMap<Option<&'static str>, BTreeMap<Metric, i64>>;

struct Process {
    operation: &'static str,
    /// Namespace of the metrics: the name of the stack, which is the prefix of the function's name.
    namespace: String,
}

/// Sets the operation of this process, and logs panics as JSON.
pub fn start(operation: &'static str) {
    PROCESS.get_or_init(|| {
        let function = config::optional("AWS_LAMBDA_FUNCTION_NAME");
        let stack = function.as_deref().and_then(|name| name.strip_suffix(operation)?.strip_suffix('-'));
        Process { operation, namespace: stack.unwrap_or(SERVICE).to_owned() }
    });
    panic::set_hook(Box::new(|info| event(Level::Error, "panic", &info.to_string())));
}

pub fn now() -> Timestamp {
    // No clock of ours runs before 1970.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Info,
    /// The shop keeps working, but an operator should know.
    Warn,
    /// A failure of the shop or of a dependency.
    Error,
}

/// Business metrics. Each is part of the log line of its invocation, so a commit is counted at most once: if the process dies
/// before it writes the line, the count is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Metric {
    OrdersPlaced,
    /// Orders refused for lack of stock.
    StockOuts,
    PaymentsDeclined,
    /// Captured amounts in minor units, by currency.
    Revenue,
    /// Refunded amounts in minor units, by currency.
    Refunded,
    /// Responses repeated for the same idempotency key.
    Replays,
    /// Sessions ended because a token or code was used twice.
    TokensReused,
    /// Wrong passwords, also for unknown addresses and disabled accounts.
    LoginsRefused,
    /// Attempts refused because there were too many before.
    LoginsLocked,
    /// Requests with a token that lacks the scope.
    ScopesRefused,
    /// Accounts that became admins.
    AdminsMade,
    /// Machine clients registered.
    MachineClientsMade,
    /// Gauge: orders whose payment the provider has not resolved when asked.
    PaymentsInDoubt,
    /// Outcomes that neither a response nor a webhook had reported.
    ReconciliationMismatches,
    /// Gauge: age in seconds of the oldest order that should have expired.
    OldestUnpaid,
}

impl Metric {
    /// Returns its dimension, if it has one.
    pub fn dimension(self) -> Option<&'static str> {
        matches!(self, Self::Revenue | Self::Refunded).then_some(CURRENCY)
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Revenue | Self::Refunded => "None",
            Self::OldestUnpaid => "Seconds",
            _ => "Count",
        }
    }
}

const CURRENCY: &str = "currency";

pub fn count(metric: Metric) {
    *counters().entry(None).or_default().entry(metric).or_default() += 1;
}

/// Adds an amount of money to the counter of its currency.
pub fn add(metric: Metric, money: Money) {
    let mut counters = counters();
    let sum = counters.entry(Some(money.currency().code())).or_default().entry(metric).or_default();
    *sum = sum.saturating_add(money.amount());
}

/// Sets a gauge.
pub fn gauge(metric: Metric, value: i64) {
    counters().entry(None).or_default().insert(metric, value);
}

/// Sets the caller that the line of this invocation names.
pub fn set_actor(actor: Actor) {
    *ACTOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(actor);
}

fn counters() -> MutexGuard<'static, Counters> {
    // A panic can't leave the numbers inconsistent.
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A log line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    level: Level,
    service: &'static str,
    operation: Option<&'static str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(flatten)]
    invocation: Option<Outcome<'a>>,
    #[serde(flatten)]
    emf: Option<EmfLine>,
}

/// Outcome of an invocation.
#[derive(Serialize)]
struct Outcome<'a> {
    request_id: &'a str,
    trace_id: Option<&'a str>,
    /// Id of the user or client whose token was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor>,
    cold_start: bool,
    status: u16,
    duration_ms: f64,
}

/// Counters of a line, and the directives that make CloudWatch read them as metrics.
#[derive(Serialize)]
struct EmfLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    #[serde(flatten)]
    values: BTreeMap<&'static str, i64>,
    #[serde(rename = "_aws")]
    aws: EmfMetadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EmfMetadata {
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [Vec<&'static str>; 1],
    metrics: Vec<Named>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: &'static str,
    unit: &'static str,
}

impl EmfLine {
    fn of(currency: Option<&'static str>, counted: BTreeMap<Metric, i64>) -> Self {
        let aws = EmfMetadata { timestamp: now().as_millis(), cloud_watch_metrics: Vec::new() };
        let mut emf = Self { currency: None, values: BTreeMap::new(), aws };
        emf.add(currency, counted);
        emf
    }

    /// Adds counters of one currency, or those without a currency.
    fn add(&mut self, currency: Option<&'static str>, counted: BTreeMap<Metric, i64>) {
        self.currency = self.currency.or(currency);
        let named = counted.keys().map(|metric| Named { name: metric.into_str(), unit: metric.unit() });
        self.aws.cloud_watch_metrics.push(Directive {
            namespace: PROCESS.get().map_or(SERVICE, |process| &process.namespace),
            dimensions: [currency.map(|_| CURRENCY).into_iter().collect()],
            metrics: named.collect(),
        });
        self.values.extend(counted.into_iter().map(|(metric, value)| (metric.into_str(), value)));
    }
}

/// Logs what an operator should know although the shop keeps working.
pub fn warn(message: &str, cause: &str) {
    event(Level::Warn, message, cause);
}

/// Logs an event beside the line of its invocation.
fn event(level: Level, message: &str, error: &str) {
    write(level, message, Some(error), None, None);
}

/// Logs why the process must end.
pub fn fatal(message: &str, cause: &(dyn std::error::Error + 'static)) -> ExitCode {
    event(Level::Error, message, &chain(cause));
    ExitCode::FAILURE
}

/// An invocation, from its start to its log line.
pub struct Invocation {
    request_id: String,
    trace_id: Option<String>,
    cold_start: bool,
    started: Instant,
}

impl Invocation {
    /// Starts an invocation. The first one of a process is its cold start.
    pub fn begin(request_id: String, trace_id: Option<String>) -> Self {
        let cold_start = COLD.swap(false, Ordering::Relaxed);
        Self { request_id, trace_id, cold_start, started: Instant::now() }
    }

    /// Starts an invocation that is not an HTTP request.
    pub fn of(context: lambda_runtime::Context) -> Self {
        let trace = context.xray_trace_id.as_deref().and_then(xray_trace_id).map(str::to_owned);
        Self::begin(context.request_id, trace)
    }

    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Writes the log line of an event from a stream, schedule or rotation.
    pub fn end_event(self, failure: Option<&Error>) {
        let cause = failure.map(|error| chain(error));
        self.end(if cause.is_some() { 500 } else { 200 }, cause.as_deref());
    }

    /// Writes the log line: the status of the response and the cause of a failure.
    pub fn end(self, status: u16, error: Option<&str>) {
        let failed = status >= 500;
        let duration_ms = self.started.elapsed().as_micros() as f64 / 1_000.0;
        let outcome = Outcome {
            request_id: &self.request_id,
            trace_id: self.trace_id.as_deref(),
            actor: ACTOR.lock().unwrap_or_else(PoisonError::into_inner).take(),
            cold_start: self.cold_start,
            status,
            duration_ms,
        };
        let mut lines: Vec<EmfLine> = Vec::new();
        for (currency, counted) in mem::take(&mut *counters()) {
            // A line has one currency. Only scheduled functions, which process many orders, need several lines.
            match lines.last_mut().filter(|line| line.currency.is_none()) {
                Some(line) => line.add(currency, counted),
                None => lines.push(EmfLine::of(currency, counted)),
            }
        }
        let mut lines = lines.into_iter();
        let level = if failed { Level::Error } else { Level::Info };
        write(level, "request", error, Some(outcome), lines.next());
        for emf in lines {
            write(Level::Info, "a further currency", None, None, Some(emf));
        }
    }
}

/// Returns the trace id of a valid W3C `traceparent` header: <https://www.w3.org/TR/trace-context/>.
pub fn w3c_trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let alive = |part: &str| part.bytes().any(|b| b != b'0');
    let lengths = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (lengths && version != "ff" && alive(trace) && alive(parent)).then_some(trace)
}

/// Returns the `Root` of an X-Ray header:
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub fn xray_trace_id(header: &str) -> Option<&str> {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root="))
}

fn write(
    level: Level,
    message: &str,
    error: Option<&str>,
    invocation: Option<Outcome>,
    emf: Option<EmfLine>,
) {
    let (timestamp, operation) = (now(), PROCESS.get().map(|process| process.operation));
    let line = Line { timestamp, level, service: SERVICE, operation, message, error, invocation, emf };
    // One write per line, so that lines never mix. A failure of the log itself can't be logged.
    if let Ok(mut line) = serde_json::to_vec(&line) {
        line.push(b'\n');
        drop(std::io::stdout().write_all(&line));
    }
}
