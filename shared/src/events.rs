//! EventBridge, which carries what has happened to whoever wants to hear of it.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};

use crate::{
    aws,
    config::{self, ConfigError},
    error::Error,
    store::events::Event,
};

/// Who speaks.
const SOURCE: &str = "lambda-shop";

/// The bus.
pub struct Bus {
    client: Client,
    name: String,
}

impl Bus {
    /// Prepares the connection; the first call opens it.
    ///
    /// # Errors
    /// Where `EVENT_BUS` or a variable of AWS's is missing.
    pub fn connect() -> Result<Self, ConfigError> {
        let name = config::required("EVENT_BUS")?;
        Ok(Self { client: Client::new(&aws::configuration("EVENTBRIDGE")?), name })
    }

    /// Publishes events, each at least once.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the bus has not taken all of them.
    pub async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        // So many entries a call takes.
        for events in events.chunks(10) {
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
            let answer = call.send().await.map_err(aws::judge)?;
            if answer.failed_entry_count != 0 {
                let codes =
                    answer.entries.unwrap_or_default().into_iter().filter_map(|entry| entry.error_code);
                let codes = codes.collect::<Vec<_>>().join(", ");
                return Err(Error::Unavailable(format!("the bus has refused events: {codes}").into()));
            }
        }
        Ok(())
    }
}
