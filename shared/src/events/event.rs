//! Events: committed changes, as other systems learn of them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    auth::hash,
    domain::{
        change::{ChangeOrigin, Initiator},
        id::{Entity, Id},
        order::{Line, Order, TimelineEvent, TimelineEventType},
        product::{Availability, Product, ProductStatus},
        time::Timestamp,
        user::Actor,
    },
    store::{Changed, Images, StreamRecord, Versioned, inventory::StockItem, users::Account},
};

/// Version of the event schemas. Additions do not change it.
const VERSION: u8 = 1;

/// An event as EventBridge delivers it. A repeated stream record makes the same event, with the same id.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    pub id: Id<Event>,
    pub r#type: String,
    pub version: u8,
    pub aggregate: Aggregate,
    /// Position among the events of the aggregate: EventBridge does not keep the order.
    pub sequence: i64,
    pub occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Initiator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Contains no personal data.
    pub data: Value,
}

impl Entity for Event {
    const PREFIX: &'static str = "evt";
}

/// The aggregate whose change an event reports.
#[derive(Clone, Debug, Serialize)]
pub struct Aggregate {
    r#type: &'static str,
    id: String,
}

impl Event {
    /// Makes the events of a change: usually one, often none.
    pub fn of(record: StreamRecord) -> Vec<Self> {
        match record {
            StreamRecord::Product(images) => Self::of_product(images).into_iter().collect(),
            StreamRecord::Stock(images) => Self::of_stock(images).into_iter().collect(),
            StreamRecord::Profile(images, at) => Self::of_user(images, at).into_iter().collect(),
            StreamRecord::Order(images) => Self::of_order(*images),
            _ => Vec::new(),
        }
    }

    fn new(r#type: &str, aggregate: Aggregate, sequence: i64, occurred_at: Timestamp, data: Value) -> Self {
        let digest = hash(format!("{}#{}#{sequence}", aggregate.r#type, aggregate.id).as_bytes());
        let mut entropy = [0; 16];
        for (to, from) in entropy.iter_mut().zip(digest.bytes()) {
            *to = from;
        }
        Self {
            id: Id::new(occurred_at, u128::from_le_bytes(entropy)),
            r#type: r#type.to_owned(),
            version: VERSION,
            aggregate,
            sequence,
            occurred_at,
            actor: None,
            request_id: None,
            trace_id: None,
            data,
        }
    }

    /// Adds actor and request of the change.
    fn by(self, origin: Option<ChangeOrigin>) -> Self {
        let Some(ChangeOrigin { actor, request_id, trace_id }) = origin else { return self };
        Self { actor: Some(actor), request_id: Some(request_id), trace_id, ..self }
    }

    fn of_product(Images { old, new }: Images<Changed<Versioned<Product>>>) -> Option<Self> {
        let Changed { value: Versioned { value: product, version }, origin } = new?;
        let r#type = match old {
            None => "product.created",
            // A change of availability alone does not change the version.
            Some(old) if old.value.version == version => return None,
            Some(_) if product.status == ProductStatus::Archived => "product.archived",
            Some(_) => "product.updated",
        };
        let aggregate = Aggregate { r#type: "product", id: product.id.to_string() };
        let data = json!({"sku": product.sku, "status": product.status, "price": product.details.price});
        Some(Self::new(r#type, aggregate, version, product.updated_at, data).by(origin))
    }

    fn of_stock(Images { old, new }: Images<Changed<StockItem>>) -> Option<Self> {
        let Changed { value: StockItem { stock, version, .. }, origin } = new?;
        let availability = stock.availability();
        let before = old.map_or(availability, |old| old.value.stock.availability());
        let r#type = match availability {
            _ if before == availability => "inventory.changed",
            Availability::LowStock => "product.low_stock",
            Availability::OutOfStock => "product.out_of_stock",
            Availability::InStock => "product.back_in_stock",
        };
        let aggregate = Aggregate { r#type: "inventory", id: stock.product_id.to_string() };
        let data = json!({
            "on_hand": stock.on_hand,
            "reserved": stock.reserved,
            "available": stock.available,
            "availability": availability,
        });
        Some(Self::new(r#type, aggregate, version, stock.updated_at, data).by(origin))
    }

    fn of_user(Images { old, new }: Images<Changed<Account>>, at: Timestamp) -> Option<Self> {
        let (r#type, sequence, at, Changed { value: account, origin }) = match (old, new) {
            (None, Some(new)) => ("user.registered", new.value.version, new.value.user.created_at, new),
            (Some(old), Some(new)) if old.value.version != new.value.version => {
                ("user.updated", new.value.version, new.value.user.updated_at, new)
            }
            // The last change before is none of the deletion.
            (Some(old), None) => ("user.deleted", old.value.version + 1, at, Changed { origin: None, ..old }),
            _ => return None,
        };
        let aggregate = Aggregate { r#type: "user", id: account.user.id.to_string() };
        let data = json!({"role": account.user.role, "status": account.user.status});
        let event = Self::new(r#type, aggregate, sequence, at, data);
        // Only users themselves register and delete their accounts.
        let user = Initiator::Actor(Actor::User(account.user.id));
        Some(if origin.is_some() { event.by(origin) } else { Self { actor: Some(user), ..event } })
    }

    /// Makes an event of each timeline event that the change has added.
    fn of_order(Images { old, new }: Images<Versioned<Order>>) -> Vec<Self> {
        let Some(Versioned { value: order, .. }) = new else { return Vec::new() };
        let known = old.map_or(0, |old| old.value.timeline.len());
        let added = order.timeline.iter().enumerate().skip(known);
        added.map(|(index, event)| Self::of_timeline(&order, index, event)).collect()
    }

    fn of_timeline(order: &Order, index: usize, event: &TimelineEvent) -> Self {
        let sequence = i64::try_from(index + 1).unwrap_or(i64::MAX);
        let aggregate = Aggregate { r#type: "order", id: order.id.to_string() };
        let shipment = order.fulfilments.iter().find(|fulfilment| Some(fulfilment.id) == event.fulfilment_id);
        let mut data = Map::from_iter([
            ("customer_id".to_owned(), json!(order.customer_id)),
            ("status".to_owned(), json!(order.status)),
            ("payment_status".to_owned(), json!(order.payment_status)),
            ("fulfilment_status".to_owned(), json!(order.fulfilment_status)),
            ("total".to_owned(), json!(order.total)),
        ]);
        let mut add = |name: &str, value: Option<Value>| {
            data.extend(value.map(|value| (name.to_owned(), value)));
        };
        add("amount", event.amount.map(|amount| json!(amount)));
        add("payment_id", event.payment_id.map(|id| json!(id)));
        add("refund_id", event.refund_id.map(|id| json!(id)));
        add("fulfilment_id", event.fulfilment_id.map(|id| json!(id)));
        add(
            "lines",
            match (event.r#type, shipment) {
                (TimelineEventType::Created, _) => {
                    let line =
                        |line: &Line| json!({"product_id": line.product_id, "quantity": line.quantity});
                    Some(order.lines.iter().map(line).collect())
                }
                (_, Some(shipment)) => Some(json!(shipment.lines)),
                _ => None,
            },
        );
        let r#type = format!("order.{}", event.r#type.into_str());
        let (request_id, trace_id) = (Some(event.request_id.clone()), event.trace_id.clone());
        Self {
            actor: Some(event.actor),
            request_id,
            trace_id,
            ..Self::new(&r#type, aggregate, sequence, event.at, Value::Object(data))
        }
    }
}
