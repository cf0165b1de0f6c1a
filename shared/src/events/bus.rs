//! The EventBridge client.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use super::event::Event;
use crate::{
    aws,
    config::{self, ConfigError},
    error::Error,
};

const SOURCE: &str = "lambda-shop";
/// Maximum entries of one `PutEvents` call.
const MAX_ENTRIES: usize = 10;

pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// A variable is missing or unusable.
    pub fn connect() -> Result<Self, ConfigError> {
        let name = config::required("EVENT_BUS")?;
        Ok(Self { client: Client::new(&aws::configuration("EVENTBRIDGE")?), name })
    }

    /// Publishes events, each at least once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] unless EventBridge has accepted all of them.
    pub async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        for events in events.chunks(MAX_ENTRIES) {
            let mut entries = Vec::new();
            for event in events {
                let detail = serde_json::to_string(event).map_err(Error::internal)?;
                let entry = PutEventsRequestEntry::builder()
                    .event_bus_name(&self.name)
                    .source(SOURCE)
                    .detail_type(&event.r#type)
                    .detail(detail)
                    .build();
                entries.push(entry);
            }
            let call = self.client.put_events().set_entries(Some(entries));
            let answer = call.send().await.map_err(aws::classify)?;
            if answer.failed_entry_count != 0 {
                let codes = answer.entries.into_iter().flatten().filter_map(|entry| entry.error_code);
                let codes = codes.collect::<Vec<_>>().join(", ");
                return Err(Error::Unavailable(format!("EventBridge refused events: {codes}").into()));
            }
        }
        Ok(())
    }
}
