//! The log: one line of JSON per invocation, which carries its metrics too, and a line for what else must be known.
//!
//! Metrics are what the business wants to know; how often an operation is asked, fails and how long it takes is
//! measured by API Gateway and Lambda. They are in CloudWatch's embedded metric format, so they cost no call of their own:
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
    domain::{money::Money, time::Timestamp},
    error::chain,
};

/// The `service` of every line.
const SERVICE: &str = "lambda-shop";

static PROCESS: OnceLock<Process> = OnceLock::new();
static COLD: AtomicBool = AtomicBool::new(true);
/// What the invocation at work has counted so far; a process has one at a time.
static COUNTERS: Mutex<Counters> = Mutex::new(Counters::new());

/// The values of metrics, by their currency if they have one.
type Counters = BTreeMap<Option<&'static str>, BTreeMap<Metric, i64>>;

/// What this process is.
struct Process {
    operation: &'static str,
    /// That of the metrics: the name of the stack, which each function's name begins with.
    namespace: String,
}

/// Names the operation that this process is, once, and has panics written as log lines.
pub fn start(operation: &'static str) {
    PROCESS.get_or_init(|| {
        let function = config::optional("AWS_LAMBDA_FUNCTION_NAME");
        let stack = function.as_deref().and_then(|name| name.strip_suffix(operation)?.strip_suffix('-'));
        Process { operation, namespace: stack.unwrap_or(SERVICE).to_owned() }
    });
    panic::set_hook(Box::new(|info| event(Level::Error, "panic", &info.to_string())));
}

/// The time now.
pub fn now() -> Timestamp {
    // No clock of ours runs before 1970.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// How much a line matters.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As expected.
    Info,
    /// The shop can go on, but somebody should know.
    Warn,
    /// A fault of the shop's own or of what it depends on.
    Error,
}

/// What the shop wants to know of its business. Each is written with the line of the invocation that has counted it, and
/// only there: what is committed is counted at most once, and lost with the process that dies before its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Metric {
    /// Orders that were placed.
    OrdersPlaced,
    /// Orders that were refused because the stock was too small.
    StockOuts,
    /// Attempts to pay that failed.
    PaymentsDeclined,
    /// Minor units that were captured, by currency.
    Revenue,
    /// Minor units that the provider has agreed to give back, by currency.
    Refunded,
    /// Answers that had been given before, under the same idempotency key.
    Replays,
    /// Sessions that were ended because a token or code of theirs was used twice.
    TokensReused,
    /// Orders of which nobody knows what has become of the money, although the provider was asked. A gauge.
    PaymentsInDoubt,
    /// What the provider was found to have done, and neither an answer nor a webhook had told.
    ReconciliationMismatches,
    /// By how many seconds the oldest order that should have expired is late. A gauge.
    OldestUnpaid,
}

impl Metric {
    /// Its one dimension, if it has any.
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

/// Counts one more.
pub fn count(metric: Metric) {
    *counters().entry(None).or_default().entry(metric).or_default() += 1;
}

/// Adds up money, each currency by itself.
pub fn add(metric: Metric, money: Money) {
    let mut counters = counters();
    let sum = counters.entry(Some(money.currency().code())).or_default().entry(metric).or_default();
    *sum = sum.saturating_add(money.amount());
}

/// Says how something stands now.
pub fn gauge(metric: Metric, value: i64) {
    counters().entry(None).or_default().insert(metric, value);
}

fn counters() -> MutexGuard<'static, Counters> {
    // Whoever panicked in between has left numbers, nothing half done.
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line of the log. What it has nothing to say about is left out.
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

/// What a line tells of an invocation.
#[derive(Serialize)]
struct Outcome<'a> {
    request_id: &'a str,
    trace_id: Option<&'a str>,
    cold_start: bool,
    status: u16,
    duration_ms: f64,
}

/// What a line has counted, and which of its members CloudWatch is to take for metrics.
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

    /// Adds what was counted, in one currency or in none.
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

/// Something that happened outside of a request, or besides its outcome.
pub fn event(level: Level, message: &str, error: &str) {
    write(level, message, Some(error), None, None);
}

/// Says why the process must end.
pub fn fatal(message: &str, cause: &(dyn std::error::Error + 'static)) -> ExitCode {
    event(Level::Error, message, &chain(cause));
    ExitCode::FAILURE
}

/// One invocation of the function, from its begin to its one line in the log.
pub struct Invocation {
    request_id: String,
    trace_id: Option<String>,
    cold_start: bool,
    started: Instant,
}

impl Invocation {
    /// Begins it; the process's first is its cold start.
    pub fn begin(request_id: String, trace_id: Option<String>) -> Self {
        let cold_start = COLD.swap(false, Ordering::Relaxed);
        Self { request_id, trace_id, cold_start, started: Instant::now() }
    }

    /// Begins that of an event which is no HTTP.
    pub fn of(context: lambda_runtime::Context) -> Self {
        let trace = context.xray_trace_id.as_deref().and_then(xray_trace_id).map(str::to_owned);
        Self::begin(context.request_id, trace)
    }

    /// The id that correlates the answer, the log and the gateway's own log.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Writes its line: the status of the answer (of a batch: 200 or 500), and what went wrong inside, if it did.
    pub fn end(self, status: u16, error: Option<&str>) {
        let failed = status >= 500;
        let duration_ms = self.started.elapsed().as_micros() as f64 / 1_000.0;
        let outcome = Outcome {
            request_id: &self.request_id,
            trace_id: self.trace_id.as_deref(),
            cold_start: self.cold_start,
            status,
            duration_ms,
        };
        let mut lines: Vec<EmfLine> = Vec::new();
        for (currency, counted) in mem::take(&mut *counters()) {
            // A line says one currency. Only a schedule, which is about many orders, meets more.
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

/// The trace id of a W3C `traceparent` header (<https://www.w3.org/TR/trace-context/>), if it is a valid one.
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

/// The trace id of an X-Ray header: its `Root`.
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
    // One write a line, so that lines never mix; where the log itself fails, there is nowhere left to say so.
    if let Ok(mut line) = serde_json::to_vec(&line) {
        line.push(b'\n');
        drop(std::io::stdout().write_all(&line));
    }
}
