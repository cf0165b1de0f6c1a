//! The audit trail: privileged changes and who made them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    change::{ChangeContext, Initiator},
    id::{Entity, Id},
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A privileged change: by staff, a machine client or the shop itself. Contains ids, but neither secrets nor other personal
/// data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Events sort by their ids in the order in which they happened.
    pub id: Id<AuditEvent>,
    pub at: Timestamp,
    pub actor: Initiator,
    /// OAuth client through which the actor made the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The operation that made the change, such as `users-update`.
    pub action: String,
    /// Id of what was changed.
    pub object: String,
    /// The changed fields before the change. Absent for something new.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub before: Map<String, Value>,
    /// The changed fields after the change. Absent for something deleted.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub after: Map<String, Value>,
    pub request_id: String,
}

impl Entity for AuditEvent {
    const PREFIX: &'static str = "aud";
}

impl AuditEvent {
    /// Makes the event of a change to `object`. `entropy` makes its id unique.
    pub fn new(context: &ChangeContext, entropy: u128, object: impl ToString) -> Self {
        Self {
            id: Id::new(context.at, entropy),
            at: context.at,
            actor: context.initiator,
            client_id: context.client_id.clone(),
            action: context.operation.to_owned(),
            object: object.to_string(),
            before: Map::new(),
            after: Map::new(),
            request_id: context.request_id.clone(),
        }
    }

    /// Adds the fields that differ between two versions of the object, which must serialize as JSON objects.
    pub fn changed(mut self, before: Value, after: Value) -> Self {
        let fields = |value: Value| match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let (before, after) = (fields(before), fields(after));
        let differing = |one: &Map<String, Value>, other: &Map<String, Value>| {
            one.iter()
                .filter(|(name, value)| other.get(*name) != Some(value))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        self.before = differing(&before, &after);
        self.after = differing(&after, &before);
        self
    }

    /// Adds the fields of something new.
    pub fn created(self, after: Value) -> Self {
        self.changed(Value::Null, after)
    }
}

/// Filters of a list of audit events. A cursor is bound to them.
#[derive(Debug, Serialize)]
pub struct AuditQuery {
    pub object: Option<String>,
    pub actor: Option<Initiator>,
    pub action: Option<String>,
    /// Earliest moment.
    pub from: Option<Timestamp>,
    /// Latest moment.
    pub to: Option<Timestamp>,
}

impl AuditQuery {
    pub fn read(query: &mut Object) -> Option<Self> {
        let name = |text: &str| validation::line(text, 1, 100);
        let object = query.field("object").optional(|field| field.text(name));
        let actor = query.field("actor").optional(|field| field.text(str::parse));
        let action = query.field("action").optional(|field| field.text(name));
        let time = |text: &str| {
            text.parse().map_err(|_| Violation::Format("a time of RFC 3339, such as 2026-01-31T09:30:00Z"))
        };
        let from = query.field("from").optional(|field| field.text(time));
        let to = query.field("to").optional(|field| field.text(time));
        Some(Self { object: object?, actor: actor?, action: action?, from: from?, to: to? })
    }

    /// Returns whether the filters select an event that the keys of the query do not already select.
    pub fn matches(&self, event: &AuditEvent) -> bool {
        self.object.as_ref().is_none_or(|object| event.object == *object)
            && self.actor.is_none_or(|actor| event.actor == actor)
            && self.action.as_ref().is_none_or(|action| event.action == *action)
    }

    /// Returns the first and last id that an event in the period can have.
    pub fn ids(&self) -> (Id<AuditEvent>, Id<AuditEvent>) {
        let from = self.from.unwrap_or(Timestamp::from_millis(0));
        // The last moment of an id.
        let to = self.to.unwrap_or(Timestamp::from_millis(i64::MAX));
        (Id::new(from, 0), Id::new(to, u128::MAX))
    }
}
