//! Why something changed: who did it, when, and in which request.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{input::Fault, time::Timestamp, user::Actor};

/// Whoever changes an order or a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A person or a program, by the API.
    Actor(Actor),
    /// The payment provider, by its word.
    Provider,
    /// The shop itself, at the time set for it.
    Schedule,
}

impl From<Actor> for By {
    fn from(actor: Actor) -> Self {
        Self::Actor(actor)
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor(actor) => actor.fmt(f),
            Self::Provider => f.write_str("provider"),
            Self::Schedule => f.write_str("schedule"),
        }
    }
}

impl FromStr for By {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "provider" => Ok(Self::Provider),
            "schedule" => Ok(Self::Schedule),
            _ => text.parse().map(Self::Actor),
        }
    }
}

impl Serialize for By {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The cause of a change.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Who.
    pub by: By,
    /// When.
    pub at: Timestamp,
    /// The request, by the id that its answer and the log have.
    pub request_id: String,
    /// The trace that the request belongs to, if it is known.
    pub trace_id: Option<String>,
}
