//! What a table's stream tells that others may want to hear of.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Change, inventory::StockItem, orders::Kept, users::Account};
use crate::{
    auth::hash,
    domain::{
        id::{Entity, Id},
        inventory::Availability,
        order::{Entry, Kind, Order},
        product::{Product, Status},
        time::Timestamp,
    },
    error::Error,
};

/// The version of what events look like. What is added does not change it.
const VERSION: u8 = 1;

/// Something that has happened, as it goes to the bus. The same change gives the same event, id included, however often
/// the stream brings it.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Its identifier.
    pub id: Id<Event>,
    /// What has happened.
    pub r#type: String,
    /// The version of its schema.
    pub version: u8,
    /// To what.
    pub aggregate: Aggregate,
    /// The place among the events of that aggregate: the bus keeps no order.
    pub sequence: i64,
    /// When.
    pub occurred_at: Timestamp,
    /// In which request, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// In which trace, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// What else there is to say, without personal data.
    pub data: Value,
}

impl Entity for Event {
    const PREFIX: &'static str = "evt";
}

/// The thing that an event is about.
#[derive(Clone, Debug, Serialize)]
pub struct Aggregate {
    r#type: &'static str,
    id: String,
}

/// An entry of the catalogue with its version.
#[derive(Deserialize)]
struct EntryItem {
    #[serde(flatten)]
    product: Product,
    version: i64,
}

impl Event {
    /// What a change has to say: mostly one thing, often nothing.
    ///
    /// # Errors
    /// [`Error::Internal`] where the change can't be read.
    pub fn of(change: Change) -> Result<Vec<Self>, Error> {
        let (pk, sk) = change.key()?;
        let kind = pk.split_once('#').map_or("", |(kind, _)| kind);
        match (kind, &*sk) {
            ("PRODUCT", "ENTRY") => {
                let (old, new) = change.images()?;
                Ok(new.map(|new| Self::of_product(old, new)).into_iter().flatten().collect())
            }
            ("PRODUCT", "ENTRY#STOCK") => {
                let (old, new) = change.images()?;
                Ok(new.map(|new| Self::of_stock(old, &new)).into_iter().collect())
            }
            ("USER", "PROFILE") => {
                let at = change.at();
                let (old, new) = change.images()?;
                Ok(Self::of_user(old, new, at).into_iter().collect())
            }
            ("USER", sk) if sk.starts_with("ORDER#") => {
                let (old, new) = change.images::<Kept>()?;
                let known = old.map_or(0, |old| old.order.timeline.len());
                Ok(new.map(|new| Self::of_order(&new.order, known)).unwrap_or_default())
            }
            _ => Ok(Vec::new()),
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
            request_id: None,
            trace_id: None,
            data,
        }
    }

    fn of_product(old: Option<EntryItem>, new: EntryItem) -> Option<Self> {
        let EntryItem { product, version } = new;
        let r#type = match old {
            None => "product.created",
            // Its availability is kept without a new version.
            Some(old) if old.version == version => return None,
            Some(_) if product.status == Status::Archived => "product.archived",
            Some(_) => "product.updated",
        };
        let aggregate = Aggregate { r#type: "product", id: product.id.to_string() };
        let data = json!({"sku": product.sku, "status": product.status, "price": product.details.price});
        Some(Self::new(r#type, aggregate, version, product.updated_at, data))
    }

    fn of_stock(old: Option<StockItem>, new: &StockItem) -> Self {
        let (stock, band) = (&new.stock, new.stock.availability());
        let before = old.map(|old| old.stock.availability());
        let r#type = match (before, band) {
            (Some(before), band) if before == band => "inventory.changed",
            (None, _) => "inventory.changed",
            (Some(_), Availability::LowStock) => "product.low_stock",
            (Some(_), Availability::OutOfStock) => "product.out_of_stock",
            (Some(_), Availability::InStock) => "product.back_in_stock",
        };
        let aggregate = Aggregate { r#type: "inventory", id: stock.product_id.to_string() };
        let data = json!({
            "on_hand": stock.on_hand,
            "reserved": stock.reserved,
            "available": stock.available,
            "availability": band,
        });
        let event = Self::new(r#type, aggregate, new.version, stock.updated_at, data);
        Self { request_id: new.request_id.clone(), ..event }
    }

    fn of_user(old: Option<Account>, new: Option<Account>, at: Timestamp) -> Option<Self> {
        let (r#type, account, sequence, at) = match (old, new) {
            (None, Some(new)) => ("user.registered", new.clone(), new.version, new.user.created_at),
            (Some(old), Some(new)) if old.version != new.version => {
                ("user.updated", new.clone(), new.version, new.user.updated_at)
            }
            (Some(old), None) => ("user.deleted", old.clone(), old.version + 1, at),
            _ => return None,
        };
        let aggregate = Aggregate { r#type: "user", id: account.user.id.to_string() };
        let data = json!({"role": account.user.role, "status": account.user.status});
        Some(Self::new(r#type, aggregate, sequence, at, data))
    }

    /// What has been added to an order's timeline since it had so many entries.
    fn of_order(order: &Order, known: usize) -> Vec<Self> {
        let event = |(place, entry): (usize, &Entry)| {
            let sequence = i64::try_from(place + 1).unwrap_or(i64::MAX);
            let aggregate = Aggregate { r#type: "order", id: order.id.to_string() };
            let mut data = json!({
                "customer_id": order.customer_id,
                "status": order.status,
                "payment_status": order.payment_status,
                "fulfilment_status": order.fulfilment_status,
                "total": order.total,
            });
            let of = |name: &str, value: Value| (name.to_owned(), value);
            let shipped =
                order.fulfilments.iter().find(|fulfilment| Some(fulfilment.id) == entry.fulfilment_id);
            let lines = match (entry.r#type, shipped) {
                (Kind::Created, _) => {
                    let line = |line: &crate::domain::order::Line| json!({"product_id": line.product_id, "quantity": line.quantity});
                    Some(of("lines", order.lines.iter().map(line).collect()))
                }
                (_, Some(fulfilment)) => Some(of("lines", json!(fulfilment.lines))),
                _ => None,
            };
            let more = [
                entry.amount.map(|amount| of("amount", json!(amount))),
                entry.payment_id.map(|id| of("payment_id", json!(id))),
                entry.refund_id.map(|id| of("refund_id", json!(id))),
                entry.fulfilment_id.map(|id| of("fulfilment_id", json!(id))),
                lines,
            ];
            if let Value::Object(data) = &mut data {
                data.extend(more.into_iter().flatten());
            }
            let r#type = format!("order.{}", entry.r#type.as_str());
            let (request_id, trace_id) = (Some(entry.request_id.clone()), entry.trace_id.clone());
            Self { request_id, trace_id, ..Self::new(&r#type, aggregate, sequence, entry.at, data) }
        };
        order.timeline.iter().enumerate().skip(known).map(event).collect()
    }
}
