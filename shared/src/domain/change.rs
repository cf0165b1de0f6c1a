//! Context of a change: who made it, when, and in which request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{time::Timestamp, user::Actor, validation::Violation};

/// Initiator of a change to an order or a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// A user or OAuth client, through the API.
    Actor(Actor),
    /// The payment provider, through a webhook.
    Provider,
    /// A scheduled function of the shop.
    Schedule,
}

impl From<Actor> for Initiator {
    fn from(actor: Actor) -> Self {
        Self::Actor(actor)
    }
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(actor) => actor.fmt(f),
            Self::Provider => f.write_str("provider"),
            Self::Schedule => f.write_str("schedule"),
        }
    }
}

impl FromStr for Initiator {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        match text {
            "provider" => Ok(Self::Provider),
            "schedule" => Ok(Self::Schedule),
            _ => text.parse().map(Self::Actor),
        }
    }
}

impl Serialize for Initiator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Initiator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Origin of an item's last change, which its event reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeOrigin {
    pub actor: Initiator,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl From<&ChangeContext> for ChangeOrigin {
    fn from(context: &ChangeContext) -> Self {
        Self {
            actor: context.initiator,
            request_id: context.request_id.clone(),
            trace_id: context.trace_id.clone(),
        }
    }
}

/// Initiator, time and request of a change.
#[derive(Clone, Debug)]
pub struct ChangeContext {
    pub initiator: Initiator,
    /// OAuth client through which an actor made the request.
    pub client_id: Option<String>,
    /// Operation that makes the change.
    pub operation: &'static str,
    pub at: Timestamp,
    /// Id of the request, as in its response and its log line.
    pub request_id: String,
    pub trace_id: Option<String>,
}
