//! The log: one line of JSON per invocation, which carries its metrics too, and a line for what else must be known.
//!
//! The metrics are in CloudWatch's embedded metric format, so they cost no call of their own:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//! Never in a line: bodies, tokens, headers, query strings, personal data.

use std::{
    io::Write,
    panic,
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use crate::{domain::time::Timestamp, error::chain};

/// The `service` of every line, and the namespace of the metrics.
const SERVICE: &str = "lambda-shop";

static OPERATION: OnceLock<&'static str> = OnceLock::new();
static COLD: AtomicBool = AtomicBool::new(true);

/// Names the operation that this process is, once, and has panics written as log lines.
pub fn start(operation: &'static str) {
    OPERATION.get_or_init(|| operation);
    panic::set_hook(Box::new(|info| event(Level::Error, "panic", &info.to_string())));
}

/// The time now.
pub fn now() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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
}

/// What a line tells of an invocation, its metrics among it.
#[derive(Serialize)]
struct Outcome<'a> {
    request_id: &'a str,
    trace_id: Option<&'a str>,
    cold_start: bool,
    status: u16,
    duration_ms: f64,
    requests: u8,
    errors: u8,
    latency: f64,
    #[serde(rename = "_aws")]
    aws: Metrics,
}

/// Tells CloudWatch which members of the line are metrics.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    timestamp: i64,
    cloud_watch_metrics: [Metric; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: [Named; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    name: &'static str,
    unit: &'static str,
}

/// Something that happened outside of a request, or besides its outcome.
pub fn event(level: Level, message: &str, error: &str) {
    write(level, message, Some(error), None);
}

/// Says why the process must end.
pub fn failed(message: &str, cause: &(dyn std::error::Error + 'static)) -> ExitCode {
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
        let metrics = [("requests", "Count"), ("errors", "Count"), ("latency", "Milliseconds")];
        let metrics = metrics.map(|(name, unit)| Named { name, unit });
        let outcome = Outcome {
            request_id: &self.request_id,
            trace_id: self.trace_id.as_deref(),
            cold_start: self.cold_start,
            status,
            duration_ms,
            requests: 1,
            errors: u8::from(failed),
            latency: duration_ms,
            aws: Metrics {
                timestamp: now().as_millis(),
                cloud_watch_metrics: [Metric { namespace: SERVICE, dimensions: [["operation"]], metrics }],
            },
        };
        write(if failed { Level::Error } else { Level::Info }, "request", error, Some(outcome));
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

fn write(level: Level, message: &str, error: Option<&str>, invocation: Option<Outcome>) {
    let (timestamp, operation) = (now(), OPERATION.get().copied());
    let line = Line { timestamp, level, service: SERVICE, operation, message, error, invocation };
    // One write a line, so that lines never mix; where the log itself fails, there is nowhere left to say so.
    if let Ok(mut line) = serde_json::to_vec(&line) {
        line.push(b'\n');
        std::io::stdout().write_all(&line).unwrap_or_default();
    }
}
