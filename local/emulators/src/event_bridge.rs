//! EventBridge: accepts events as `PutEvents` does, and keeps them.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use std::{
    future,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::{body::Bytes, http::request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use crate::{
    aws::{self, AwsError, TARGET_HEADER},
    error::EmulatorError,
    inbox::Inbox,
    server::{self, Answer, HangUp, Server},
};

const TARGET: &str = "AWSEvents.PutEvents";
const MAX_ENTRIES: usize = 10;
const MAX_BYTES: usize = 256 * 1024;

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The `EventId` of the response, not the id in the detail.
    pub id: String,
    pub arrived_at: Timestamp,
    pub bus: String,
    pub source: String,
    pub detail_type: String,
    pub detail: Value,
}

/// A fault to inject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Refuses the whole request: 400 `ThrottlingException`.
    Throttled,
    /// Refuses the whole request: 500 `InternalException`.
    Broken,
    /// Throttles this event of the request, which counts in `FailedEntryCount`.
    EntryThrottled,
    /// Fails this event of the request, which counts in `FailedEntryCount`.
    EntryFailed,
    /// Accepts the request and closes the connection.
    AnswerLost,
    /// Never answers.
    Unanswered,
}

/// An EventBridge that runs until it is dropped.
pub struct EventBridge {
    pub url: String,
    inbox: Arc<Inbox<Event, Fault>>,
    _server: Server,
}

impl EventBridge {
    /// Starts one that keeps events in memory.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn in_memory() -> Result<Self, EmulatorError> {
        Self::start(None).await
    }

    /// Starts one that also appends each event to a file.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn on_file(path: &Path) -> Result<Self, EmulatorError> {
        Self::start(Some(path.to_owned())).await
    }

    async fn start(file: Option<PathBuf>) -> Result<Self, EmulatorError> {
        let inbox = Arc::new(Inbox::new(file, Event::is_about));
        let receiving = Arc::clone(&inbox);
        let server = Server::start(0, move |parts, body| {
            let inbox = Arc::clone(&receiving);
            async move { answer(&inbox, &parts, &body).await }
        });
        let server = server.await.map_err(|error| EmulatorError::Listen("EventBridge", error))?;
        Ok(Self { url: server.url.clone(), inbox, _server: server })
    }

    /// Returns the events since the start, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.inbox.all()
    }

    /// Returns the events about an aggregate, by its id, oldest first.
    pub fn events_of(&self, aggregate: &str) -> Vec<Event> {
        self.inbox.about(aggregate)
    }

    /// Injects faults into the next events about an aggregate, one each. A fault of a whole request also hits the other
    /// events in it.
    pub fn fail(&self, aggregate: &str, faults: impl IntoIterator<Item = Fault>) {
        self.inbox.fail(aggregate, faults);
    }
}

impl Event {
    pub fn is_about(&self, aggregate: &str) -> bool {
        self.detail["aggregate"]["id"] == aggregate
    }

    /// Formats the event for a person.
    pub fn readable(&self) -> String {
        let Self { arrived_at, detail_type, detail, .. } = self;
        // 12:34:56.789 of 2026-01-31T12:34:56.789Z
        let time = arrived_at.to_string().get(11..23).unwrap_or_default().to_owned();
        let (id, sequence) = (detail["aggregate"]["id"].as_str().unwrap_or_default(), &detail["sequence"]);
        format!("{time}  {detail_type:<26}  {id} #{sequence}\n    {}", detail["data"])
    }
}

async fn answer(inbox: &Inbox<Event, Fault>, parts: &Parts, body: &Bytes) -> Result<Answer, HangUp> {
    let result = if parts.headers.get(TARGET_HEADER).is_some_and(|target| target == TARGET) {
        put(inbox, body).await?
    } else {
        let message = "the EventBridge emulator knows no operation but PutEvents";
        Err(AwsError::bad_request("UnknownOperationException", message))
    };
    Ok(aws::json_1_1(result))
}

async fn put(inbox: &Inbox<Event, Fault>, body: &[u8]) -> Result<Result<Value, AwsError>, HangUp> {
    let invalid = |message: String| Ok(Err(AwsError::bad_request("ValidationException", message)));
    let entries = match serde_json::from_slice(body) {
        Ok(PutEvents { entries }) => entries,
        Err(error) => return invalid(error.to_string()),
    };
    if !(1..=MAX_ENTRIES).contains(&entries.len()) {
        return invalid(format!("Member must have length between 1 and {MAX_ENTRIES}: entries"));
    }
    if entries.iter().map(Entry::bytes).sum::<usize>() > MAX_BYTES {
        return invalid("Total size of the entries in the request is over the limit.".to_owned());
    }
    let events: Vec<_> = entries.into_iter().map(Entry::event).collect();
    let fault = |event: &Result<Event, _>| event.as_ref().ok().and_then(|event| inbox.fault(event));
    let faults: Vec<_> = events.iter().map(fault).collect();
    for fault in faults.iter().flatten() {
        match fault {
            Fault::Throttled => {
                return Ok(Err(AwsError::bad_request("ThrottlingException", "Rate exceeded")));
            }
            Fault::Broken => return Ok(Err(AwsError::internal("InternalException", "Try again."))),
            Fault::Unanswered => future::pending().await,
            Fault::EntryThrottled | Fault::EntryFailed | Fault::AnswerLost => {}
        }
    }
    let results = events.into_iter().zip(&faults).map(|(event, fault)| match fault {
        Some(Fault::EntryThrottled) => Err(("ThrottlingException", "Rate exceeded".to_owned())),
        Some(Fault::EntryFailed) => Err(("InternalFailure", "Try again.".to_owned())),
        _ => event.and_then(|event| {
            let id = event.id.clone();
            inbox.accept(event).map(|()| id).map_err(|error| ("InternalFailure", error.to_string()))
        }),
    });
    let results: Vec<_> = results.collect();
    if faults.contains(&Some(Fault::AnswerLost)) {
        return Err(HangUp);
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    let results = results.into_iter().map(|result| match result {
        Ok(id) => json!({"EventId": id}),
        Err((code, message)) => json!({"ErrorCode": code, "ErrorMessage": message}),
    });
    Ok(Ok(json!({"FailedEntryCount": failed, "Entries": results.collect::<Vec<_>>()})))
}

/// The part of the request that the shop uses. Other fields are refused, not ignored.
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
    /// Ignored: an [`Event`] has the time of its arrival.
    time: Option<f64>,
    trace_header: Option<String>,
}

/// Code and message of a refused event.
type Invalid = (&'static str, String);

impl Entry {
    /// Returns the size that EventBridge counts.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::files;

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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let bus = EventBridge::on_file(&path).await.unwrap();
        let (status, answer) = put(&bus, &[entry("ord_1"), entry("ord_2")]).await.unwrap();
        assert_eq!((status, &answer["FailedEntryCount"]), (200, &json!(0)));
        let (events, _) = files::read::<Event>(&path, 0).unwrap();
        assert_eq!(events, bus.events());
        assert_eq!(answer["Entries"][1]["EventId"], events[1].id);
        assert_eq!(bus.events_of("ord_2"), events[1..]);
        let readable = events[0].readable();
        assert!(
            readable.ends_with("order.paid                  ord_1 #2\n    {\"status\":\"open\"}"),
            "{readable}"
        );
    }

    #[tokio::test]
    async fn requests_that_event_bridge_refuses_are_refused() {
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
    async fn faults_hit_the_next_events_about_their_aggregate() {
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
