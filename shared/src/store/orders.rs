//! Orders, and the stock changes that are committed with them.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{Update, builders::UpdateBuilder},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Item, Page, Versioned, audit, batch,
    idempotency::{ExistingRecord, Idempotent, IdempotentRequest, RecordWrite, StoredRecord},
    inventory::{self, StockItem},
    item, number, origin, pages,
    schema::{self, Key},
    tables::CommonTables,
    text,
    transaction::{Committed, FailedCondition, Transaction},
};
use crate::{
    auth::{Customer, OrderAccess, Staff, random},
    domain::{
        change::ChangeContext,
        id::Id,
        inventory::{Movement, MovementReason, StockChange, StockChanges},
        order::{Line, NewOrder, Order, OrderStatus, TimelineEvent},
        order_id::OrderId,
        product::Product,
        user::User,
        validation::{self, Object},
    },
    error::{Error, ShortLine},
};

/// Partition of the list of all orders.
const LIST: &str = "ORDER";

/// Access to orders.
#[derive(Clone)]
pub struct Orders {
    pub(super) client: Client,
    pub(super) table: String,
    /// Table of the stocks, in functions that change them.
    pub(super) products: Option<String>,
    pub(super) common: CommonTables,
}

/// Result of saving a change.
#[derive(Debug)]
pub enum Saved<T> {
    Committed(T),
    /// An earlier request with the same idempotency key has completed.
    Replayed(StoredRecord),
    /// The item has changed since it was read.
    Conflict,
}

/// Result of placing an order.
pub enum Placement {
    Placed,
    /// An earlier request with the same idempotency key has placed its order.
    Replayed(Box<Idempotent<Order>>),
    /// These lines exceed the available stock; nothing was reserved.
    OutOfStock(Vec<ShortLine>),
    /// A price or status has changed since the catalogue was read.
    Conflict,
}

/// Filters of a list of orders. A cursor is bound to them.
#[derive(Debug, Serialize)]
pub struct OrderQuery {
    pub customer_id: Option<Id<User>>,
    pub status: Option<OrderStatus>,
}

impl OrderQuery {
    pub fn read(query: &mut Object) -> Option<Self> {
        let customer_id = query.field("customer_id").optional(|field| field.text(str::parse));
        let status = query.field("status").optional(|field| field.text(validation::one_of));
        Some(Self { customer_id: customer_id?, status: status? })
    }

    fn matches(&self, order: &Order) -> bool {
        self.status.is_none_or(|status| order.status == status)
            && self.customer_id.is_none_or(|customer| order.customer_id == customer)
    }
}

impl Orders {
    /// Loads an order that the caller may see.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for another customer's order.
    pub async fn get(&self, by: &OrderAccess, id: OrderId) -> Result<Versioned<Order>, Error> {
        if by.reaches(id.customer()) { self.load(id).await } else { Err(Error::NotFound) }
    }

    /// Loads an order for the shop's own processes.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn load(&self, id: OrderId) -> Result<Versioned<Order>, Error> {
        item::get(&self.client, &self.table, Key::Order(id).item()).await?.ok_or(Error::NotFound)
    }

    /// Loads an order, and the idempotency record of the request if it exists, in one read.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for another customer's order; [`Error::IdempotencyKeyReused`].
    pub async fn load_for<T: DeserializeOwned>(
        &self,
        by: &OrderAccess,
        id: OrderId,
        request: &IdempotentRequest,
    ) -> Result<(Versioned<Order>, Option<ExistingRecord<T>>), Error> {
        if !by.reaches(id.customer()) {
            return Err(Error::NotFound);
        }
        let keys = HashMap::from([(self.table.clone(), vec![Key::Order(id).item(), request.key().item()])]);
        let (mut order, mut existing) = (None, None);
        for item in batch::get(&self.client, keys).await? {
            if schema::is_idempotency_record(&item) {
                existing = Some(request.existing(item)?);
            } else {
                order = Some(serde_dynamo::from_item(item).map_err(Error::internal)?);
            }
        }
        Ok((order.ok_or(Error::NotFound)?, existing))
    }

    /// Loads the catalogue entries of a new order, and the idempotency record of the request if it exists, in one read.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`].
    pub async fn load_catalogue(
        &self,
        new: &NewOrder,
        request: &IdempotentRequest,
    ) -> Result<(Vec<Product>, Option<ExistingRecord<Order>>), Error> {
        let entries = new.products().into_iter().map(|id| Key::Product(id).item()).collect();
        let keys = HashMap::from([
            (self.products()?.to_owned(), entries),
            (self.table.clone(), vec![request.key().item()]),
        ]);
        let (mut catalogue, mut existing) = (Vec::new(), None);
        for item in batch::get(&self.client, keys).await? {
            if schema::is_idempotency_record(&item) {
                existing = Some(request.existing(item)?);
            } else {
                catalogue.push(serde_dynamo::from_item(item).map_err(Error::internal)?);
            }
        }
        Ok((catalogue, existing))
    }

    /// Creates an order and reserves its stock, if price, status and quantity of every line still allow it.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], [`Error::IdempotencyKeyReused`].
    pub async fn create(
        &self,
        by: &Customer,
        order: &Order,
        stocks: &StockChanges,
        request: &IdempotentRequest,
    ) -> Result<Placement, Error> {
        let record = request.completed(order)?;
        let mut transaction = Transaction::new(&self.client, &self.table)
            .create(item(order, 1)?, |_| Error::internal("an order of this id exists"))?
            .in_table(self.products()?);
        for line in &order.lines {
            let reservation = reserve(line, stocks, request.context())?;
            transaction = transaction.update(reservation, |_| Error::StaleVersion)?;
        }
        let transaction = transaction.authorized(by.authority(), &self.common)?;
        let authority = order.lines.len() + 1;
        match transaction.in_table(&self.table).once(&record)?.try_commit().await? {
            Ok(Committed::Now) => Ok(Placement::Placed),
            Ok(Committed::Before(earlier)) => Ok(Placement::Replayed(Box::new(earlier.replay()?))),
            Err(failed) if failed.iter().any(|condition| condition.index == authority) => {
                Err(Error::InvalidToken)
            }
            Err(failed) => Ok(match short_lines(&order.lines, failed)? {
                Some(short) => Placement::OutOfStock(short),
                None => Placement::Conflict,
            }),
        }
    }

    /// Replaces the version of an order that was read, in one transaction with its stock changes and the idempotency
    /// record.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`].
    pub async fn save(
        &self,
        before: &Versioned<Order>,
        order: Order,
        stocks: &StockChanges,
        record: RecordWrite<'_>,
        context: &ChangeContext,
    ) -> Result<Saved<Versioned<Order>>, Error> {
        let version = before.version + 1;
        let mut transaction = Transaction::new(&self.client, &self.table).replace(
            item(&order, version)?,
            before.version,
            |_| Error::StaleVersion,
        )?;
        if !stocks.is_empty() {
            transaction = transaction.in_table(self.products()?);
        }
        for change in stocks.iter() {
            transaction = transaction.update(change_stock(change, context)?, |_| {
                Error::internal("a stock holds less than orders have reserved")
            })?;
            if let Some(movement) = movement(change, order.id, context)? {
                transaction =
                    transaction.create(inventory::movement_item(&movement)?, inventory::movement_exists)?;
            }
        }
        let transaction = transaction.in_table(&self.table);
        let transaction = match record {
            RecordWrite::None => transaction,
            RecordWrite::Insert(record, by) => {
                let transaction = transaction.authorized(by.authority(), &self.common)?;
                let transaction = match by {
                    OrderAccess::Own(_) => transaction,
                    OrderAccess::Any(_) => {
                        let events = order.events_since(&before.value).iter();
                        let events: Vec<Value> = events.map(TimelineEvent::audited).collect();
                        let event = audit::event(context, order.id)?.created(json!({"events": events}));
                        transaction.audited(&event, &self.common)?
                    }
                };
                transaction.once(record)?
            }
            RecordWrite::Complete(record) => transaction.completing(record)?,
        };
        match transaction.commit().await {
            Ok(Committed::Now) => Ok(Saved::Committed(Versioned { value: order, version })),
            Ok(Committed::Before(earlier)) => Ok(Saved::Replayed(earlier)),
            Err(Error::StaleVersion) => Ok(Saved::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Lists a customer's orders, newest first. Filters may leave a page shorter than `limit` although more follow.
    pub async fn list_of(
        &self,
        customer: Id<User>,
        query: &OrderQuery,
        limit: usize,
        after: Option<OrderId>,
    ) -> Result<Page<Order, OrderId>, Error> {
        let pages = pages::of_partition(
            &self.client,
            &self.table,
            &schema::user_partition(customer),
            schema::ORDER_PREFIX,
            limit,
            after.map(|id| Key::Order(id).item()),
        );
        let matches = |order: &Versioned<Order>| query.matches(&order.value);
        let page = pages.read(matches, |order| order.value.id).await?;
        Ok(Page { items: page.items.into_iter().map(|order| order.value).collect(), next: page.next })
    }

    /// Lists all orders, newest first. The index holds only their keys and status, so that other changes of an order do
    /// not write to it; the orders themselves take a second read.
    pub async fn list(
        &self,
        _by: &Staff,
        query: &OrderQuery,
        limit: usize,
        after: Option<OrderId>,
    ) -> Result<Page<Order, OrderId>, Error> {
        #[derive(Deserialize)]
        struct Summary {
            id: OrderId,
            status: OrderStatus,
        }
        let position = |id| {
            let key = Key::Order(id);
            key.on(pages::position(LIST, id))
        };
        let pages = pages::newest(&self.client, &self.table, LIST, limit, after.map(position));
        let matches = |summary: &Summary| query.status.is_none_or(|status| summary.status == status);
        let page = pages.read(matches, |summary| summary.id).await?;
        let ids: Vec<OrderId> = page.items.iter().map(|summary| summary.id).collect();
        if ids.is_empty() {
            return Ok(Page { items: Vec::new(), next: page.next });
        }
        let keys = ids.iter().map(|id| Key::Order(*id).item()).collect();
        let items = batch::get(&self.client, HashMap::from([(self.table.clone(), keys)])).await?;
        let orders: Vec<Versioned<Order>> = serde_dynamo::from_items(items).map_err(Error::internal)?;
        let find = |id: &OrderId| orders.iter().map(|order| &order.value).find(|order| order.id == *id);
        let items = ids.iter().filter_map(find).filter(|order| query.matches(order)).cloned().collect();
        Ok(Page { items, next: page.next })
    }

    /// Loads all orders of a customer, and the keys of their idempotency records.
    pub(crate) async fn all_of(
        &self,
        customer: Id<User>,
    ) -> Result<(Vec<Versioned<Order>>, IdempotencyRecordKeys), Error> {
        let partition = schema::user_partition(customer);
        let items = batch::of_partition(&self.client, &self.table, &partition, None).await?;
        let (records, orders): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(schema::is_idempotency_record);
        let is_key = |(name, _): &(String, _)| name == "pk" || name == "sk";
        let keys = records.into_iter().map(|record| record.into_iter().filter(is_key).collect()).collect();
        let orders = serde_dynamo::from_items(orders).map_err(Error::internal)?;
        Ok((orders, IdempotencyRecordKeys(keys)))
    }

    /// Deletes idempotency records, whose results hold personal data.
    pub(crate) async fn delete_records(&self, records: IdempotencyRecordKeys) -> Result<(), Error> {
        batch::delete(&self.client, &self.table, records.0).await
    }

    fn products(&self) -> Result<&str, Error> {
        self.products.as_deref().ok_or_else(|| Error::internal("this function may not change stocks"))
    }
}

/// Keys of a customer's idempotency records.
pub(crate) struct IdempotencyRecordKeys(Vec<Item>);

/// Serializes an order with its key and index attributes.
fn item(order: &Order, version: i64) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(Versioned { value: order, version }).map_err(Error::internal)?;
    let mut item = Key::Order(order.id).on(item);
    item.insert("list".to_owned(), text(LIST));
    if let Some((queue, at)) = order.due() {
        item.insert("due".to_owned(), text(schema::due_partition(queue, order.id.shard(schema::SHARDS))));
        item.insert("due_at".to_owned(), text(at));
    }
    Ok(item)
}

/// Reserves a line's pieces, if enough are available at the order's price and the product is on sale.
fn reserve(line: &Line, stocks: &StockChanges, context: &ChangeContext) -> Result<UpdateBuilder, Error> {
    let change = stocks.iter().find(|change| change.product_id == line.product_id);
    let change = change.ok_or_else(|| Error::internal("a line of the order reserves no stock"))?;
    let price = serde_dynamo::to_attribute_value(line.unit_price).map_err(Error::internal)?;
    Ok(change_stock(change, context)?
        .condition_expression("available >= :less_available AND price = :price AND #status = :active")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":price", price)
        .expression_attribute_values(":active", text("active")))
}

fn change_stock(change: &StockChange, context: &ChangeContext) -> Result<UpdateBuilder, Error> {
    let update = Update::builder()
        .set_key(Some(Key::Stock(change.product_id).item()))
        .update_expression(
            "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, \
             updated_at = :now, origin = :origin ADD version :one",
        )
        .expression_attribute_values(":on_hand", number(change.on_hand))
        .expression_attribute_values(":reserved", number(change.reserved))
        .expression_attribute_values(":available", number(change.available))
        .expression_attribute_values(":less_available", number(-change.available))
        .expression_attribute_values(":now", text(context.at))
        .expression_attribute_values(":origin", origin(context)?)
        .expression_attribute_values(":one", number(1));
    if change.reserved > 0 {
        return Ok(update);
    }
    Ok(update
        .condition_expression("reserved >= :less_reserved AND available >= :less_available")
        .expression_attribute_values(":less_reserved", number(-change.reserved)))
}

/// Makes the ledger entry of a change that moves pieces in or out of the warehouse.
fn movement(
    change: &StockChange,
    order: OrderId,
    context: &ChangeContext,
) -> Result<Option<Movement>, Error> {
    if change.on_hand == 0 {
        return Ok(None);
    }
    Ok(Some(Movement {
        id: Id::new(context.at, u128::from_ne_bytes(random()?)),
        product_id: change.product_id,
        delta: change.on_hand,
        reason: if change.on_hand < 0 { MovementReason::Shipped } else { MovementReason::Returned },
        note: None,
        actor: context.initiator,
        order_id: Some(order),
        created_at: context.at,
    }))
}

/// Returns the lines that exceed the available stock, if that is the only reason for which the transaction failed.
fn short_lines(lines: &[Line], failed: Vec<FailedCondition>) -> Result<Option<Vec<ShortLine>>, Error> {
    let mut short = Vec::new();
    for FailedCondition { index, item } in failed {
        // The order is the first write, its lines follow.
        let (Some(line), Some(item)) = (index.checked_sub(1).and_then(|index| lines.get(index)), item) else {
            return Ok(None);
        };
        let stock: StockItem = serde_dynamo::from_item(item).map_err(Error::internal)?;
        if stock.stock.available >= line.quantity || !stock.is_sold_at(line.unit_price) {
            return Ok(None);
        }
        let (product_id, availability) = (line.product_id, stock.stock.availability());
        short.push(ShortLine { product_id, requested: line.quantity, availability });
    }
    Ok(Some(short))
}
