//! EventBridge on one machine: it takes events as `PutEvents` does, and keeps them to be read.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    future, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    jsonl::{self, JsonlError},
    server::{self, Answer, HangUp},
};

const TARGET_HEADER: &str = "x-amz-target";
const TARGET: &str = "AWSEvents.PutEvents";
/// How many events one request may have, and how many bytes.
const MAX_ENTRIES: usize = 10;
const MAX_BYTES: usize = 256 * 1024;

/// An event that has arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What its sender was told; not the id in its detail.
    pub id: String,
    /// When it arrived.
    pub arrived_at: Timestamp,
    /// The bus.
    pub bus: String,
    /// Who sent it.
    pub source: String,
    /// What has happened.
    pub detail_type: String,
    /// The event itself.
    pub detail: Value,
}

/// What happens to an event that does not simply arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The whole request is one too many: 400 `ThrottlingException`.
    Throttled,
    /// EventBridge is in trouble: 500 `InternalException`.
    Broken,
    /// The request succeeds, but this event is throttled in it: `FailedEntryCount`.
    EntryThrottled,
    /// The request succeeds, but this event fails in it: `FailedEntryCount`.
    EntryFailed,
    /// It arrives, but its sender is not told.
    AnswerLost,
    /// Nothing arrives, and nothing is ever answered.
    Unanswered,
}

/// Why events can't be received. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EventBridgeError {
    /// There is no port to listen on.
    #[error("EventBridge finds no port to listen on: {0}")]
    Listen(#[from] io::Error),
}

/// An EventBridge that runs until this is dropped.
pub struct EventBridge {
    /// Where it answers.
    pub url: String,
    handler: Arc<Handler>,
    _tasks: JoinSet<Infallible>,
}

impl EventBridge {
    /// Starts one that forgets.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn in_memory() -> Result<Self, EventBridgeError> {
        Self::start(None).await
    }

    /// Starts one that keeps the events in a file too, a line of JSON for each.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn on_file(path: &Path) -> Result<Self, EventBridgeError> {
        Self::start(Some(path.to_owned())).await
    }

    async fn start(file: Option<PathBuf>) -> Result<Self, EventBridgeError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let handler = Arc::new(Handler { file, arrived: Mutex::default(), faults: Mutex::default() });
        let answering = Arc::clone(&handler);
        let answer = move |_, request| {
            let handler = Arc::clone(&answering);
            async move { handler.answer(request).await }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(listener, answer));
        Ok(Self { url, handler, _tasks: tasks })
    }

    /// The events that have arrived since the start, the newest last.
    pub fn events(&self) -> Vec<Event> {
        lock(&self.handler.arrived).clone()
    }

    /// Those about one thing, by its id, in the order in which they arrived.
    pub fn events_of(&self, aggregate: &str) -> Vec<Event> {
        lock(&self.handler.arrived).iter().filter(|event| event.is_about(aggregate)).cloned().collect()
    }

    /// Lets this happen to the next events about a thing, one after the other; those after them arrive. What befalls a
    /// whole request befalls the other events in it, too.
    pub fn fail(&self, aggregate: &str, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.handler.faults).entry(aggregate.to_owned()).or_default().extend(faults);
    }
}

impl Event {
    /// Whether it is about the thing with that id.
    pub fn is_about(&self, aggregate: &str) -> bool {
        self.detail["aggregate"]["id"] == aggregate
    }

    /// As a person reads it.
    pub fn readable(&self) -> String {
        let Self { arrived_at, detail_type, detail, .. } = self;
        // 12:34:56.789 of 2026-01-31T12:34:56.789Z
        let time = arrived_at.to_string().get(11..23).unwrap_or_default().to_owned();
        let (id, sequence) = (detail["aggregate"]["id"].as_str().unwrap_or_default(), &detail["sequence"]);
        format!("{time}  {detail_type:<26}  {id} #{sequence}\n    {}", detail["data"])
    }
}

/// What is behind the address.
struct Handler {
    file: Option<PathBuf>,
    arrived: Mutex<Vec<Event>>,
    /// What is to happen to the next events about a thing.
    faults: Mutex<BTreeMap<String, VecDeque<Fault>>>,
}

/// A refusal: its status, EventBridge's name for it, and what is said.
type AwsError = (StatusCode, &'static str, String);

impl Handler {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
        let put = if parts.headers.get(TARGET_HEADER).is_some_and(|target| target == TARGET) {
            self.put(&body).await?
        } else {
            let message = "cargo shop knows PutEvents of EventBridge, and no other operation".to_owned();
            Err((StatusCode::BAD_REQUEST, "UnknownOperationException", message))
        };
        let (status, body) = match put {
            Ok(body) => (StatusCode::OK, body),
            Err((status, kind, message)) => (status, json!({"__type": kind, "message": message})),
        };
        let mut answer = Response::new(body.to_string().into());
        *answer.status_mut() = status;
        let json = HeaderValue::from_static("application/x-amz-json-1.1");
        answer.headers_mut().insert(CONTENT_TYPE, json);
        Ok(answer)
    }

    async fn put(&self, body: &[u8]) -> Result<Result<Value, AwsError>, HangUp> {
        let invalid = |message: String| Ok(Err((StatusCode::BAD_REQUEST, "ValidationException", message)));
        let entries = match serde_json::from_slice(body) {
            Ok(PutEvents { entries }) => entries,
            Err(error) => return invalid(error.to_string()),
        };
        if !(1..=MAX_ENTRIES).contains(&entries.len()) {
            let message = format!("Member must have length between 1 and {MAX_ENTRIES}: entries");
            return invalid(message);
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > MAX_BYTES {
            return invalid("Total size of the entries in the request is over the limit.".to_owned());
        }
        let events: Vec<_> = entries.into_iter().map(Entry::event).collect();
        let fault = |event: &Result<Event, _>| event.as_ref().ok().and_then(|event| self.fault(event));
        let faults: Vec<_> = events.iter().map(fault).collect();
        for fault in faults.iter().flatten() {
            match fault {
                Fault::Throttled => {
                    let message = "Rate exceeded".to_owned();
                    return Ok(Err((StatusCode::BAD_REQUEST, "ThrottlingException", message)));
                }
                Fault::Broken => {
                    let message = "Try again.".to_owned();
                    return Ok(Err((StatusCode::INTERNAL_SERVER_ERROR, "InternalException", message)));
                }
                Fault::Unanswered => future::pending().await,
                Fault::EntryThrottled | Fault::EntryFailed | Fault::AnswerLost => {}
            }
        }
        let taken = events.into_iter().zip(&faults).map(|(event, fault)| match fault {
            Some(Fault::EntryThrottled) => Err(("ThrottlingException", "Rate exceeded".to_owned())),
            Some(Fault::EntryFailed) => Err(("InternalFailure", "Try again.".to_owned())),
            _ => event.and_then(|event| self.keep(event)),
        });
        let taken: Vec<_> = taken.collect();
        if faults.contains(&Some(Fault::AnswerLost)) {
            return Err(HangUp);
        }
        let failed = taken.iter().filter(|taken| taken.is_err()).count();
        let told = taken.into_iter().map(|taken| match taken {
            Ok(id) => json!({"EventId": id}),
            Err((code, message)) => json!({"ErrorCode": code, "ErrorMessage": message}),
        });
        Ok(Ok(json!({"FailedEntryCount": failed, "Entries": told.collect::<Vec<_>>()})))
    }

    fn fault(&self, event: &Event) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let mut due = faults.iter_mut().filter(|(aggregate, _)| event.is_about(aggregate));
        due.find_map(|(_, faults)| faults.pop_front())
    }

    fn keep(&self, event: Event) -> Result<String, Invalid> {
        let mut arrived = lock(&self.arrived);
        if let Some(path) = &self.file {
            let failed = |error: JsonlError| ("InternalFailure", error.to_string());
            jsonl::append(path, &event).map_err(failed)?;
        }
        let id = event.id.clone();
        arrived.push(event);
        Ok(id)
    }
}

/// The request of `PutEvents`, as far as the shop uses it; what is unknown here is refused rather than ignored.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
    event_bus_name: Option<String>,
    /// The time that the event itself claims; the bus keeps the one of its arrival.
    time: Option<f64>,
    trace_header: Option<String>,
}

/// Why an event is refused: EventBridge's code, and what is said.
type Invalid = (&'static str, String);

impl Entry {
    /// How much it counts.
    fn bytes(&self) -> usize {
        let time = if self.time.is_some() { 14 } else { 0 };
        let trace = self.trace_header.as_ref().map_or(0, String::len);
        time + trace + self.source.len() + self.detail_type.len() + self.detail.len()
    }

    fn event(self) -> Result<Event, Invalid> {
        let Self { source, detail_type, detail, event_bus_name, .. } = self;
        for (name, value) in [("Source", &source), ("DetailType", &detail_type), ("Detail", &detail)] {
            if value.is_empty() {
                let message =
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument.");
                return Err(("InvalidArgument", message));
            }
        }
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSource", format!("Not authorized for the source {source}.")));
        }
        let detail = serde_json::from_str(&detail).ok().filter(Value::is_object);
        let detail = detail.ok_or_else(|| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
        let bus = event_bus_name.unwrap_or_else(|| "default".to_owned());
        Ok(Event { id: server::uuid(), arrived_at: telemetry::now(), bus, source, detail_type, detail })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn entry(aggregate: &str) -> Value {
        let detail = json!({"id": "evt_1", "type": "order.paid", "sequence": 2, "data": {"status": "open"},
            "aggregate": {"type": "order", "id": aggregate}});
        json!({"Source": "lambda-shop", "DetailType": "order.paid", "Detail": detail.to_string(),
            "EventBusName": "EventBus"})
    }

    async fn put(bus: &EventBridge, entries: &[Value]) -> reqwest::Result<(u16, Value)> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_millis(500)).build()?;
        let call = client.post(&bus.url).header(TARGET_HEADER, TARGET);
        let answer = call.body(json!({"Entries": entries}).to_string()).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    #[tokio::test]
    async fn events_arrive_and_can_be_read() {
        let folder = crate::process::target_folder().join("tmp").join(format!("bus-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("events.jsonl");
        let bus = EventBridge::on_file(&path).await.unwrap();
        let (status, answer) = put(&bus, &[entry("ord_1"), entry("ord_2")]).await.unwrap();
        assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(0)));
        let (events, _) = jsonl::read::<Event>(&path, 0).unwrap();
        assert_eq!(events, bus.events());
        assert_eq!(answer["Entries"][1]["EventId"], events[1].id);
        assert_eq!(bus.events_of("ord_2"), events[1..]);
        let readable = events[0].readable();
        assert!(
            readable.ends_with("order.paid                  ord_1 #2\n    {\"status\":\"open\"}"),
            "{readable}"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn what_eventbridge_would_not_take_is_refused() {
        let bus = EventBridge::in_memory().await.unwrap();
        for (field, value, code) in [
            ("Source", json!(""), "InvalidArgument"),
            ("Source", json!("aws.s3"), "NotAuthorizedForSource"),
            ("DetailType", json!(""), "InvalidArgument"),
            ("Detail", json!("[]"), "MalformedDetail"),
            ("Detail", json!("{"), "MalformedDetail"),
        ] {
            let mut wrong = entry("ord_1");
            wrong[field] = value.clone();
            let (status, answer) = put(&bus, &[wrong, entry("ord_2")]).await.unwrap();
            assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(1)), "{field} {value}");
            assert_eq!(answer["Entries"][0]["ErrorCode"], code);
        }
        let mut large = entry("ord_1");
        large["Detail"] = json!(json!({"text": "x".repeat(MAX_BYTES)}).to_string());
        let mut unknown = entry("ord_1");
        unknown["Colour"] = json!("red");
        for entries in [vec![], vec![entry("ord_1"); MAX_ENTRIES + 1], vec![large], vec![unknown]] {
            let (status, answer) = put(&bus, &entries).await.unwrap();
            assert_eq!((status, &answer["__type"]), (400, &json!("ValidationException")));
        }
        assert_eq!((bus.events_of("ord_1").len(), bus.events_of("ord_2").len()), (0, 5));
    }

    #[tokio::test]
    async fn events_fail_as_they_are_told_to() {
        let bus = EventBridge::in_memory().await.unwrap();
        let (throttled, broken) = (Fault::Throttled, Fault::Broken);
        let in_part = [Fault::EntryThrottled, Fault::EntryFailed];
        bus.fail("ord_1", [throttled, broken].into_iter().chain(in_part));
        bus.fail("ord_1", [Fault::Unanswered, Fault::AnswerLost]);
        let entries = [entry("ord_1"), entry("ord_2")];
        for (status, kind) in [(400, "ThrottlingException"), (500, "InternalException")] {
            let (answered, answer) = put(&bus, &entries).await.unwrap();
            assert_eq!((answered, &answer["__type"]), (status, &json!(kind)));
        }
        for code in ["ThrottlingException", "InternalFailure"] {
            let (status, answer) = put(&bus, &entries).await.unwrap();
            assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(1)));
            assert_eq!(answer["Entries"][0]["ErrorCode"], code);
        }
        assert_eq!((bus.events_of("ord_1").len(), bus.events_of("ord_2").len()), (0, 2));
        put(&bus, &entries).await.unwrap_err();
        assert_eq!(bus.events_of("ord_2").len(), 2);
        put(&bus, &entries).await.unwrap_err();
        assert_eq!((bus.events_of("ord_1").len(), bus.events_of("ord_2").len()), (1, 3));
        assert_eq!(put(&bus, &entries).await.unwrap().1["FailedEntryCount"], 0);
    }
}
