//! The audit trail. It is append-only: functions may add events, but neither change nor delete them.

use aws_sdk_dynamodb::Client;

use super::{
    Page, pages,
    schema::{self, Key},
    tables::CommonTables,
    text,
    transaction::Transaction,
};
use crate::{
    auth::{Staff, random},
    domain::{
        audit::{AuditEvent, AuditQuery},
        change::ChangeContext,
        id::Id,
    },
    error::Error,
};

/// Partition of the list of all events.
const LIST: &str = "AUDIT";

/// Access to the audit trail.
pub struct AuditTrail {
    pub(super) client: Client,
    pub(super) table: String,
}

impl AuditTrail {
    /// Lists events, newest first. Filters may leave a page shorter than `limit` although more follow.
    pub async fn list(
        &self,
        _by: &Staff,
        query: &AuditQuery,
        limit: usize,
        after: Option<Id<AuditEvent>>,
    ) -> Result<Page<AuditEvent, Id<AuditEvent>>, Error> {
        let (from, to) = query.ids();
        let ids = (from, after.map_or(to, Id::predecessor));
        let of =
            |index, name, value| pages::within(&self.client, &self.table, index, (name, value), ids, limit);
        let pages = match (&query.object, query.actor) {
            (Some(object), _) => of(None, "pk", schema::audit_partition(object)),
            (None, Some(actor)) => of(Some("actor-newest"), "actor", actor.to_string()),
            (None, None) => of(Some("list-newest"), "list", LIST.to_owned()),
        };
        pages.read(|event| query.matches(event), |event: &AuditEvent| event.id).await
    }
}

impl<'a> Transaction<'a> {
    /// Adds an event to the audit trail.
    pub(super) fn audited(self, event: &AuditEvent, common: &'a CommonTables) -> Result<Self, Error> {
        let item = serde_dynamo::to_item(event).map_err(Error::internal)?;
        let mut item = Key::Audit { object: event.object.clone(), id: event.id }.on(item);
        item.insert("list".to_owned(), text(LIST));
        self.elsewhere(common.audit()?, |transaction| {
            transaction.create(item, |_| Error::internal("an audit event of this id exists"))
        })
    }
}

/// Makes the audit event of a change to `object`.
pub(super) fn event(context: &ChangeContext, object: impl ToString) -> Result<AuditEvent, Error> {
    Ok(AuditEvent::new(context, u128::from_ne_bytes(random()?), object))
}
