//! Orders, and the stocks that change with them.

use std::{collections::HashMap, future::ready};

use aws_sdk_dynamodb::{
    Client,
    types::{Update, builders::UpdateBuilder},
};
use serde::{Deserialize, Serialize};

use super::{
    Item, Page, batch,
    idempotency::{Answered, Attempt, Earlier, Outcome, Record, Recorded},
    inventory::{self, StockItem},
    key, list, number, products, text,
    transaction::{Attempted, Transaction},
    users, with_key,
};
use crate::{
    auth::{Customer, OrderAccess, Staff, random},
    aws,
    domain::{
        cause::Cause,
        id::Id,
        input::Object,
        inventory::{Movement, Reason},
        order::{Line, Misfit, NewOrder, Order, OrderId, OrderStatus, Queue, StockChange, StockChanges},
        product::Product,
        time::Timestamp,
        user::User,
    },
    error::{Error, ShortLine},
};

/// The list of all orders.
const LIST: &str = "ORDER";
/// Over so many partitions each queue of orders is spread: one takes a thousand writes a second.
pub const GROUPS: u8 = 4;
/// How often an order is read again because it has changed under the hands of who would change it.
pub(crate) const TRIES: u32 = 5;

/// The orders.
#[derive(Clone)]
pub struct Orders {
    pub(super) client: Client,
    pub(super) table: String,
    /// The table of the stocks, for those who change them.
    pub(super) products: Option<String>,
}

/// An order as it lies in the table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// As its customer may see it.
    #[serde(flatten)]
    pub order: Order,
    /// Counts the changes, from 1.
    pub version: i64,
}

/// How the change of an order came out.
#[derive(Debug)]
pub enum Saved {
    /// It is so now.
    Done(Box<Kept>),
    /// The attempt had been answered before.
    Replayed(Recorded),
    /// It has changed since it was read: read it again.
    Overtaken,
}

/// How far an attempt at a change has come.
pub enum Begun {
    /// It is answered.
    Answered(Answered),
    /// It has begun what has this name, and goes on from there.
    UnderWay(Box<Kept>, String),
}

/// What is noted of the attempt that a change belongs to.
pub enum Note<'a> {
    /// It belongs to none.
    None,
    /// The first that is noted of it.
    First(&'a Record),
    /// The answer, after it was begun before.
    Answer(&'a Record),
}

/// Which orders somebody wants to see. Two equal ones are the same query, so a cursor is bound to it.
#[derive(Debug, Serialize)]
pub struct OrderQuery {
    /// Only those of this customer.
    pub customer_id: Option<Id<User>>,
    /// Only those of this status.
    pub status: Option<OrderStatus>,
}

impl OrderQuery {
    /// Reads it from the query.
    pub fn read(query: &mut Object) -> Option<Self> {
        let customer_id = query.field("customer_id").optional(|field| field.text(str::parse));
        let status = query.field("status").optional(|field| field.text(OrderStatus::parse));
        Some(Self { customer_id: customer_id?, status: status? })
    }

    fn fits(&self, order: &Order) -> bool {
        self.status.is_none_or(|status| order.status == status)
            && self.customer_id.is_none_or(|customer| order.customer_id == customer)
    }
}

impl Orders {
    /// The order of that id.
    ///
    /// # Errors
    /// [`Error::NotFound`], also where it is another customer's.
    pub async fn get(&self, by: &OrderAccess, id: OrderId) -> Result<Kept, Error> {
        let found = if by.reaches(id.customer()) { self.find(id).await? } else { None };
        found.ok_or(Error::NotFound)
    }

    /// The order of that id, for the shop itself.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn find(&self, id: OrderId) -> Result<Option<Kept>, Error> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let item = get.set_key(Some(order_key(id))).send().await.map_err(aws::judge)?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    /// Begins to change an order, once: read, decide, write. `begin` decides; it gives the order as it is to be, a name for
    /// what has begun, and the stocks that change. `answer` gives the answer, where there is one by then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IdempotencyKeyReused`], and those of `begin`.
    pub async fn begin<F>(
        &self,
        by: &OrderAccess,
        id: OrderId,
        attempt: &Attempt,
        begin: impl Fn(Order) -> F,
        answer: impl Fn(&Order, &str) -> Result<Option<Recorded>, Error>,
    ) -> Result<Begun, Error>
    where
        F: Future<Output = Result<(Order, String, StockChanges), Error>>,
    {
        let cause = attempt.cause();
        let answered = |answer, replayed| Ok(Begun::Answered(Answered { answer, replayed }));
        for tried in 0..TRIES {
            let (kept, earlier) = self.with_record(by, id, attempt).await?;
            match earlier {
                Some(Earlier::Answered(answer)) => return answered(answer, true),
                Some(Earlier::Begun(what)) => return Ok(Begun::UnderWay(Box::new(kept), what)),
                None => {}
            }
            let (order, what, stocks) = match begin(kept.order.clone()).await {
                Ok(begun) => begun,
                // Order and record may have been read on either side of a twin's commit: look again.
                Err(Error::Order(_) | Error::Invalid(_)) if tried == 0 => continue,
                Err(refusal) => return Err(refusal),
            };
            let answer = answer(&order, &what)?;
            let record = match &answer {
                Some(answer) => attempt.answered(answer.clone()),
                None => attempt.begun(&what),
            };
            match (self.save(&kept, order, &stocks, Note::First(&record), cause).await?, answer) {
                (Saved::Done(_), Some(answer)) => return answered(answer, false),
                (Saved::Done(kept), None) => return Ok(Begun::UnderWay(kept, what)),
                (Saved::Replayed(answer), _) => return answered(answer, true),
                (Saved::Overtaken, _) => {}
            }
        }
        Err(contended())
    }

    /// The order of that id, and what an earlier attempt under the same key has left: both in one read.
    async fn with_record(
        &self,
        by: &OrderAccess,
        id: OrderId,
        attempt: &Attempt,
    ) -> Result<(Kept, Option<Earlier>), Error> {
        if !by.reaches(id.customer()) {
            return Err(Error::NotFound);
        }
        let keys = HashMap::from([(self.table.clone(), vec![order_key(id), attempt.key()])]);
        let (mut order, mut earlier) = (None, None);
        for item in batch::get(&self.client, keys).await? {
            if is_record(&item) {
                earlier = Some(attempt.against(item)?);
            } else {
                order = Some(serde_dynamo::from_item(item).map_err(Error::internal)?);
            }
        }
        Ok((order.ok_or(Error::NotFound)?, earlier))
    }

    /// Places an order, once: it is written together with what it takes from the stocks, or not at all.
    ///
    /// # Errors
    /// [`Error::OutOfStock`], [`Error::PriceChanged`], [`Error::Invalid`], [`Error::IdempotencyKeyReused`].
    pub async fn place(
        &self,
        by: &Customer,
        new: &NewOrder,
        id: Id<Order>,
        attempt: &Attempt,
        answer: impl Fn(&Order) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        for _ in 0..TRIES {
            let (catalogue, earlier) = self.catalogue(new, attempt).await?;
            if let Some(answer) = earlier {
                return Ok(Answered { answer, replayed: true });
            }
            let placed = new.clone().place(OrderId::new(id, by.id()), &catalogue, cause);
            let (order, stocks) = placed.map_err(|misfit| match misfit {
                Misfit::Invalid(faults) => Error::Invalid(faults),
                Misfit::Price(total) => Error::PriceChanged(total),
            })?;
            let (answer, kept) = (answer(&order)?, Kept { order, version: 1 });
            let record = attempt.answered(answer.clone());
            let mut transaction = Transaction::new(&self.client, &self.table)
                .create(kept.item()?, |_| Error::internal("an order of this id exists"))?
                .in_table(self.products()?);
            for line in &kept.order.lines {
                transaction = transaction.update(reserve(line, &stocks, cause)?, |_| Error::StaleVersion)?;
            }
            match transaction.in_table(&self.table).once(&record)?.try_commit().await {
                Ok(Attempted::Done(Outcome::Done)) => return Ok(Answered { answer, replayed: false }),
                Ok(Attempted::Done(Outcome::Replayed(answer))) => {
                    return Ok(Answered { answer, replayed: true });
                }
                Ok(Attempted::Refused(refused)) => {
                    if let Some(short) = short_lines(&kept.order.lines, refused)? {
                        return Err(Error::OutOfStock(short));
                    }
                }
                Err(error) => return Err(error),
            }
            // A price has changed, or a product has gone, since the catalogue was read.
        }
        Err(contended())
    }

    /// The entries of what is to be bought, and the answer of an earlier attempt: both in one read.
    async fn catalogue(
        &self,
        new: &NewOrder,
        attempt: &Attempt,
    ) -> Result<(Vec<Product>, Option<Recorded>), Error> {
        let entry = |id: Id<Product>| key(products::partition(id), "ENTRY");
        let keys = HashMap::from([
            (self.products()?.to_owned(), new.products().into_iter().map(entry).collect()),
            (self.table.clone(), vec![attempt.key()]),
        ]);
        let mut catalogue = Vec::new();
        for item in batch::get(&self.client, keys).await? {
            if !is_record(&item) {
                catalogue.push(serde_dynamo::from_item(item).map_err(Error::internal)?);
            } else if let Earlier::Answered(answer) = attempt.against(item)? {
                return Ok((Vec::new(), Some(answer)));
            }
        }
        Ok((catalogue, None))
    }

    /// Writes an order over the version that was read, together with the stocks that change and what is noted of the
    /// attempt: all of it or nothing.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyReused`].
    pub async fn save(
        &self,
        before: &Kept,
        order: Order,
        stocks: &StockChanges,
        note: Note<'_>,
        cause: &Cause,
    ) -> Result<Saved, Error> {
        let kept = Kept { order, version: before.version + 1 };
        let mut transaction =
            Transaction::new(&self.client, &self.table)
                .replace(kept.item()?, before.version, |_| Error::StaleVersion)?;
        if !stocks.is_empty() {
            transaction = transaction.in_table(self.products()?);
        }
        for change in stocks.iter() {
            transaction = transaction.update(change_stock(change, cause), |_| {
                Error::internal("a stock does not have what orders hold")
            })?;
            if let Some(movement) = movement(change, kept.order.id, cause)? {
                transaction =
                    transaction.create(inventory::movement_item(&movement)?, inventory::movement_exists)?;
            }
        }
        let transaction = transaction.in_table(&self.table);
        let transaction = match &note {
            Note::None => transaction,
            Note::First(record) => transaction.once(record)?,
            Note::Answer(record) => transaction.completing(record)?,
        };
        match transaction.commit().await {
            Ok(Outcome::Done) => Ok(Saved::Done(Box::new(kept))),
            Ok(Outcome::Replayed(answer)) => Ok(Saved::Replayed(answer)),
            Err(Error::StaleVersion) => Ok(Saved::Overtaken),
            Err(error) => Err(error),
        }
    }

    /// Changes an order in one step, once.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IdempotencyKeyReused`], and those of `change`.
    pub async fn change(
        &self,
        by: &OrderAccess,
        id: OrderId,
        attempt: &Attempt,
        change: impl Fn(&mut Order) -> Result<StockChanges, Error>,
        answer: impl Fn(&Order) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let begin = |mut order: Order| ready(change(&mut order).map(|stocks| (order, String::new(), stocks)));
        match self.begin(by, id, attempt, begin, |order, _| answer(order).map(Some)).await? {
            Begun::Answered(answered) => Ok(answered),
            Begun::UnderWay(..) => Err(Error::internal("what takes one step has taken several")),
        }
    }

    /// One page of a customer's orders, the newest first. Filters may leave a page shorter than `limit` although more
    /// follow.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn list_of(
        &self,
        customer: Id<User>,
        query: &OrderQuery,
        limit: usize,
        after: Option<OrderId>,
    ) -> Result<Page<Order, OrderId>, Error> {
        let pages = list::partition(
            &self.client,
            &self.table,
            &users::partition(customer),
            "ORDER#",
            limit,
            after.map(order_key),
        );
        let page = pages.read(|kept: &Kept| query.fits(&kept.order), |kept| kept.order.id).await?;
        Ok(Page { items: page.items.into_iter().map(|kept| kept.order).collect(), next: page.next })
    }

    /// One page of all orders, the newest first: their keys from the index, which changes only with their status, then
    /// the orders themselves.
    ///
    /// # Errors
    /// Only those of the store.
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
        let start = after.map(|id| with_key(order_key(id), list::position(LIST, id)));
        let pages = list::newest(&self.client, &self.table, LIST, limit, start);
        let fits = |summary: &Summary| query.status.is_none_or(|status| summary.status == status);
        let page = pages.read(fits, |summary| summary.id).await?;
        let ids: Vec<OrderId> = page.items.iter().map(|summary| summary.id).collect();
        if ids.is_empty() {
            return Ok(Page { items: Vec::new(), next: page.next });
        }
        let keys = HashMap::from([(self.table.clone(), ids.iter().copied().map(order_key).collect())]);
        let items: Vec<Kept> =
            serde_dynamo::from_items(batch::get(&self.client, keys).await?).map_err(Error::internal)?;
        let find = |id: &OrderId| items.iter().map(|kept| &kept.order).find(|order| order.id == *id);
        let items = ids.iter().filter_map(find).filter(|order| query.fits(order)).cloned().collect();
        Ok(Page { items, next: page.next })
    }

    /// Orders that somebody has to look at by now: those of a group, a page after the other.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn due(
        &self,
        queue: Queue,
        group: u8,
        now: Timestamp,
        after: Option<Cursor>,
    ) -> Result<(Vec<OrderId>, Option<Cursor>), Error> {
        #[derive(Deserialize)]
        struct Key {
            pk: String,
            sk: String,
        }
        let query = self.client.query().table_name(&self.table).index_name("due").limit(25);
        let query = query
            .key_condition_expression("due = :due AND due_at <= :now")
            .expression_attribute_values(":due", text(due_key(queue, group)))
            .expression_attribute_values(":now", text(now))
            .set_exclusive_start_key(after.map(|cursor| cursor.0));
        let answer = query.send().await.map_err(aws::judge)?;
        let keys: Vec<Key> =
            serde_dynamo::from_items(answer.items.unwrap_or_default()).map_err(Error::internal)?;
        let id = |key: &Key| {
            let (customer, order) = (key.pk.strip_prefix("USER#usr_")?, key.sk.strip_prefix("ORDER#")?);
            format!("ord_{order}{customer}").parse().ok()
        };
        Ok((keys.iter().filter_map(id).collect(), answer.last_evaluated_key.map(Cursor)))
    }

    /// Has an order looked at again only then, unless it has changed.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn postpone(&self, kept: &Kept, until: Timestamp) -> Result<(), Error> {
        let update = Update::builder()
            .set_key(Some(order_key(kept.order.id)))
            .update_expression("SET due_at = :until")
            .condition_expression("version = :version AND attribute_exists(due)")
            .expression_attribute_values(":until", text(until))
            .expression_attribute_values(":version", number(kept.version));
        let update = Transaction::new(&self.client, &self.table).update(update, |_| Error::StaleVersion)?;
        match update.commit().await {
            Ok(_) | Err(Error::StaleVersion) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets where a customer's orders were sent to, and what was answered to them; the books stay.
    ///
    /// # Errors
    /// [`Error::OrderOpen`].
    pub async fn erase(&self, by: &Customer, cause: &Cause) -> Result<(), Error> {
        let partition = users::partition(by.id());
        let items = batch::of_partition(&self.client, &self.table, &partition, None).await?;
        let (records, orders): (Vec<Item>, Vec<Item>) = items.into_iter().partition(is_record);
        let orders: Vec<Kept> = serde_dynamo::from_items(orders).map_err(Error::internal)?;
        if orders.iter().any(|kept| kept.order.status == OrderStatus::Open) {
            return Err(Error::OrderOpen);
        }
        for kept in orders {
            let mut order = kept.order.clone();
            if order.shipping_address == order.shipping_address.erased() {
                continue;
            }
            order.erase(cause);
            // Overtaken by a refund, say: the caller tries again.
            if !matches!(
                self.save(&kept, order, &StockChanges::default(), Note::None, cause).await?,
                Saved::Done(_)
            ) {
                return Err(contended());
            }
        }
        let is_key = |(name, _): &(String, _)| name == "pk" || name == "sk";
        let keys = records.into_iter().map(|record| record.into_iter().filter(is_key).collect()).collect();
        batch::delete(&self.client, &self.table, keys).await
    }

    fn products(&self) -> Result<&str, Error> {
        self.products.as_deref().ok_or_else(|| Error::internal("this function may not change stocks"))
    }
}

/// Where a walk through a queue goes on.
pub struct Cursor(Item);

impl Kept {
    /// What lies in the table: the order, and the keys of the indexes.
    fn item(&self) -> Result<Item, Error> {
        let item = serde_dynamo::to_item(self).map_err(Error::internal)?;
        let mut item = with_key(item, order_key(self.order.id));
        item.insert("list".to_owned(), text(LIST));
        if let Some((queue, at)) = self.order.due() {
            item.insert("due".to_owned(), text(due_key(queue, self.order.id.group(GROUPS))));
            item.insert("due_at".to_owned(), text(at));
        }
        Ok(item)
    }
}

/// Something that others are at, too, for longer than anybody should wait.
pub(crate) fn contended() -> Error {
    Error::Unavailable("the order kept changing while it was to be changed".into())
}

fn order_key(id: OrderId) -> Item {
    key(users::partition(id.customer()), format!("ORDER#{}", id.own_part()))
}

fn due_key(queue: Queue, group: u8) -> String {
    match queue {
        Queue::Expiry => format!("EXPIRY#{group}"),
        Queue::Doubt => format!("DOUBT#{group}"),
    }
}

fn is_record(item: &Item) -> bool {
    item.get("sk").and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk.starts_with("IDEM#"))
}

/// Takes a line's pieces from the stock, if there are as many, at the price and the status that the order goes by.
fn reserve(line: &Line, stocks: &StockChanges, cause: &Cause) -> Result<UpdateBuilder, Error> {
    let change = stocks.iter().find(|change| change.product_id == line.product_id);
    let change = change.ok_or_else(|| Error::internal("an order's line takes nothing from the stock"))?;
    let price = serde_dynamo::to_attribute_value(line.unit_price).map_err(Error::internal)?;
    Ok(change_stock(change, cause)
        .condition_expression("available >= :less_available AND price = :price AND #status = :active")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":price", price)
        .expression_attribute_values(":active", text("active")))
}

fn change_stock(change: &StockChange, cause: &Cause) -> UpdateBuilder {
    let update = Update::builder()
        .set_key(Some(inventory::stock_key(change.product_id)))
        .update_expression(
            "SET on_hand = on_hand + :on_hand, reserved = reserved + :reserved, available = available + :available, \
             updated_at = :now, request_id = :request ADD version :one",
        )
        .expression_attribute_values(":on_hand", number(change.on_hand))
        .expression_attribute_values(":reserved", number(change.reserved))
        .expression_attribute_values(":available", number(change.available))
        .expression_attribute_values(":less_available", number(-change.available))
        .expression_attribute_values(":now", text(cause.at))
        .expression_attribute_values(":request", text(&cause.request_id))
        .expression_attribute_values(":one", number(1));
    if change.reserved > 0 {
        return update;
    }
    update
        .condition_expression("reserved >= :less_reserved AND available >= :less_available")
        .expression_attribute_values(":less_reserved", number(-change.reserved))
}

/// The line of the ledger of what is on hand, if that changes.
fn movement(change: &StockChange, order: OrderId, cause: &Cause) -> Result<Option<Movement>, Error> {
    if change.on_hand == 0 {
        return Ok(None);
    }
    Ok(Some(Movement {
        id: Id::new(cause.at, u128::from_ne_bytes(random()?)),
        product_id: change.product_id,
        delta: change.on_hand,
        reason: if change.on_hand < 0 { Reason::Shipped } else { Reason::Returned },
        note: None,
        actor: cause.by,
        order_id: Some(order),
        created_at: cause.at,
    }))
}

/// The lines that a transaction was refused for because of too small a stock; none where it was refused for another
/// reason, too, or where a new look may help.
fn short_lines(lines: &[Line], refused: Vec<(usize, Option<Item>)>) -> Result<Option<Vec<ShortLine>>, Error> {
    let mut short = Vec::new();
    for (place, item) in refused {
        // The order comes first, then its lines.
        let (Some(line), Some(item)) = (place.checked_sub(1).and_then(|place| lines.get(place)), item) else {
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
