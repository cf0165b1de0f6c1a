//! Stock and its ledger.

use aws_sdk_dynamodb::{
    Client,
    types::{Update, builders::UpdateBuilder},
};
use serde::{Deserialize, Serialize};

use super::{
    Change, Item, Page,
    idempotency::{Outcome, Record},
    key, number,
    products::partition,
    text,
    transaction::Transaction,
    with_key,
};
use crate::{
    auth::Staff,
    aws,
    domain::{
        id::Id,
        inventory::{Movement, Stock},
        money::Money,
        product::{Product, Status},
    },
    error::Error,
};

/// The version of a stock that was never changed.
pub(super) const FIRST_VERSION: i64 = 1;

/// The stock of what is in the catalogue.
#[derive(Clone)]
pub struct Inventory {
    pub(super) client: Client,
    pub(super) table: String,
}

/// A stock as it lies in the table. It holds copies of what an order's own update of it must check.
#[derive(Debug, Serialize, Deserialize)]
pub struct StockItem {
    /// What there is.
    #[serde(flatten)]
    pub stock: Stock,
    /// Counts the changes, from 1.
    pub version: i64,
    /// The request that has changed it last, where an order was the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    price: Money,
    status: Status,
}

impl StockItem {
    pub(super) fn opening(stock: &Stock, product: &Product) -> Self {
        let (price, status) = (product.details.price, product.status);
        Self { stock: stock.clone(), version: FIRST_VERSION, request_id: None, price, status }
    }

    /// Whether the product can be bought at that price.
    pub(super) fn is_sold_at(&self, price: Money) -> bool {
        self.status == Status::Active && self.price == price
    }

    pub(super) fn item(&self) -> Result<Item, Error> {
        let item = serde_dynamo::to_item(self).map_err(Error::internal)?;
        Ok(with_key(item, stock_key(self.stock.product_id)))
    }
}

impl Inventory {
    /// The stock of a product.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, _by: &Staff, id: Id<Product>) -> Result<StockItem, Error> {
        let call = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = call.set_key(Some(stock_key(id))).send().await.map_err(aws::judge)?;
        serde_dynamo::from_item(answer.item.ok_or(Error::NotFound)?).map_err(Error::internal)
    }

    /// Moves stock in or out, once: the stock, its ledger and the record together.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InsufficientStock`], [`Error::IdempotencyKeyReused`].
    pub async fn adjust(&self, _by: &Staff, movement: &Movement, record: &Record) -> Result<Outcome, Error> {
        let update = Update::builder()
            .set_key(Some(stock_key(movement.product_id)))
            .update_expression(
                "SET on_hand = on_hand + :delta, available = available + :delta, updated_at = :now ADD version :one",
            )
            // Conditions have no arithmetic. A stock that is not there fails it, too.
            .condition_expression("available >= :taken")
            .expression_attribute_values(":delta", number(movement.delta))
            .expression_attribute_values(":taken", number(-movement.delta))
            .expression_attribute_values(":now", text(movement.created_at))
            .expression_attribute_values(":one", number(1));
        Transaction::new(&self.client, &self.table)
            .update(update, short_of_stock)?
            .create(movement_item(movement)?, movement_exists)?
            .once(record)?
            .commit()
            .await
    }

    /// One page of a product's ledger, the newest movement first.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is no such product.
    pub async fn movements(
        &self,
        _by: &Staff,
        id: Id<Product>,
        limit: usize,
        after: Option<Id<Movement>>,
    ) -> Result<Page<Movement, Id<Movement>>, Error> {
        // Backwards through all that is the product's: its movements come first, then its stock and its entry, by
        // which a product without movements is told from none. One more than asked for tells of a next page.
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition(id)))
            .scan_index_forward(false)
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX))
            .set_exclusive_start_key(after.map(|last| movement_key(id, last)))
            .send()
            .await
            .map_err(aws::judge)?;
        let items = answer.items.unwrap_or_default();
        if items.is_empty() && after.is_none() {
            return Err(Error::NotFound);
        }
        let movements = items.into_iter().take_while(is_movement).map(serde_dynamo::from_item);
        let mut items: Vec<Movement> = movements.collect::<Result<_, _>>().map_err(Error::internal)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(Page { items, next })
    }
}

/// The stock before and after a change; none where the change is of something else, or its first appearance.
///
/// # Errors
/// [`Error::Internal`] where an image is damaged.
pub fn stock_change(change: Change) -> Result<Option<(StockItem, StockItem)>, Error> {
    if change.key()?.1 == "ENTRY#STOCK" { change.both() } else { Ok(None) }
}

pub(super) fn stock_key(id: Id<Product>) -> Item {
    key(partition(id), "ENTRY#STOCK")
}

fn movement_key(product: Id<Product>, id: Id<Movement>) -> Item {
    key(partition(product), format!("MOVE#{id}"))
}

fn is_movement(item: &Item) -> bool {
    item.get("sk").and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk.starts_with("MOVE#"))
}

pub(super) fn movement_item(movement: &Movement) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(movement).map_err(Error::internal)?;
    Ok(with_key(item, movement_key(movement.product_id, movement.id)))
}

pub(super) fn movement_exists(_: Option<&Item>) -> Error {
    Error::internal("a movement of this id exists")
}

fn short_of_stock(stock: Option<&Item>) -> Error {
    let stock = stock.map(|item| serde_dynamo::from_item::<_, StockItem>(item.clone()));
    match stock {
        None => Error::NotFound,
        Some(Ok(item)) => Error::InsufficientStock { available: item.stock.available },
        Some(Err(damaged)) => Error::internal(damaged),
    }
}

/// Renews the copies that a stock holds of its product's entry.
pub(super) fn copy(product: &Product, low_stock_threshold: i64) -> Result<UpdateBuilder, Error> {
    let price = serde_dynamo::to_attribute_value(product.details.price).map_err(Error::internal)?;
    Ok(Update::builder()
        .set_key(Some(stock_key(product.id)))
        .update_expression(
            "SET price = :price, #status = :status, low_stock_threshold = :threshold, updated_at = :now ADD version :one",
        )
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":price", price)
        .expression_attribute_values(":status", text(product.status.as_str()))
        .expression_attribute_values(":threshold", number(low_stock_threshold))
        .expression_attribute_values(":now", text(product.updated_at))
        .expression_attribute_values(":one", number(1)))
}
