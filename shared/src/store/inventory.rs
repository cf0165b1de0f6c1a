//! Stocks and their ledgers.

use aws_sdk_dynamodb::{
    Client,
    types::{Update, builders::UpdateBuilder},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Item, Page, audit,
    idempotency::{Idempotent, IdempotentRequest},
    item, number, origin, pages,
    schema::{self, Key},
    tables::CommonTables,
    text,
    transaction::Transaction,
};
use crate::{
    auth::Staff,
    aws,
    domain::{
        change::ChangeContext,
        id::Id,
        inventory::{Movement, Stock},
        money::Money,
        product::{Product, ProductStatus},
    },
    error::Error,
};

/// Version of a new stock.
pub(super) const FIRST_VERSION: i64 = 1;

#[derive(Clone)]
pub struct Inventory {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) common: CommonTables,
}

/// A stock as the table holds it, with copies of the price and status that an order's reservation must check.
#[derive(Debug, Serialize, Deserialize)]
pub struct StockItem {
    #[serde(flatten)]
    pub stock: Stock,
    /// Counts the changes, from 1.
    pub version: i64,
    price: Money,
    status: ProductStatus,
}

impl StockItem {
    pub(super) fn opening(stock: &Stock, product: &Product) -> Self {
        let (price, status) = (product.details.price, product.status);
        Self { stock: stock.clone(), version: FIRST_VERSION, price, status }
    }

    /// Returns whether the product is on sale at this price.
    pub(super) fn is_sold_at(&self, price: Money) -> bool {
        self.status == ProductStatus::Active && self.price == price
    }

    pub(super) fn item(&self, context: &ChangeContext) -> Result<Item, Error> {
        let mut item: Item = serde_dynamo::to_item(self).map_err(Error::internal)?;
        item.insert("origin".to_owned(), origin(context)?);
        Ok(Key::Stock(self.stock.product_id).on(item))
    }
}

impl Inventory {
    /// Loads the stock of a product.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, _by: &Staff, id: Id<Product>) -> Result<StockItem, Error> {
        item::get(&self.client, &self.table, Key::Stock(id).item()).await?.ok_or(Error::NotFound)
    }

    /// Moves stock in or out: stock, ledger and idempotency record in one transaction.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InsufficientStock`], [`Error::IdempotencyKeyReused`].
    pub async fn adjust(
        &self,
        by: &Staff,
        movement: Movement,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Movement>, Error> {
        let record = request.completed(&movement)?;
        let update = Update::builder()
            .set_key(Some(Key::Stock(movement.product_id).item()))
            .update_expression(
                "SET on_hand = on_hand + :delta, available = available + :delta, updated_at = :now, origin = :origin \
                 ADD version :one",
            )
            // A missing stock fails the condition, too.
            .condition_expression("available >= :taken")
            .expression_attribute_values(":delta", number(movement.delta))
            .expression_attribute_values(":taken", number(-movement.delta))
            .expression_attribute_values(":now", text(movement.created_at))
            .expression_attribute_values(":origin", origin(request.context())?)
            .expression_attribute_values(":one", number(1));
        let after = json!({"delta": movement.delta, "reason": movement.reason, "movement_id": movement.id});
        let event = audit::event(request.context(), movement.product_id)?.created(after);
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .update(update, short_of_stock)?
            .create(movement_item(&movement)?, movement_exists)?
            .once(&record)?
            .commit()
            .await?
            .result(request, movement)
    }

    /// Lists a product's movements, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such product.
    pub async fn movements(
        &self,
        _by: &Staff,
        id: Id<Product>,
        limit: usize,
        after: Option<Id<Movement>>,
    ) -> Result<Page<Movement, Id<Movement>>, Error> {
        // Reads the partition backwards: movements first, then stock and entry, which tell a product without movements
        // from none.
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(schema::product_partition(id)))
            .scan_index_forward(false)
            .limit(pages::limit(limit))
            .set_exclusive_start_key(after.map(|last| Key::Movement(id, last).item()))
            .send()
            .await
            .map_err(aws::classify)?;
        let items: Vec<Item> = answer.items.into_iter().flatten().collect();
        if items.is_empty() && after.is_none() {
            return Err(Error::NotFound);
        }
        let movements = items.into_iter().take_while(schema::is_movement).map(serde_dynamo::from_item);
        let mut items: Vec<Movement> = movements.collect::<Result<_, _>>().map_err(Error::internal)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(Page { items, next })
    }
}

pub(super) fn movement_item(movement: &Movement) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(movement).map_err(Error::internal)?;
    Ok(Key::Movement(movement.product_id, movement.id).on(item))
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

/// Updates the copies that a stock holds of its product's entry.
pub(super) fn copy(
    product: &Product,
    low_stock_threshold: i64,
    context: &ChangeContext,
) -> Result<UpdateBuilder, Error> {
    let price = serde_dynamo::to_attribute_value(product.details.price).map_err(Error::internal)?;
    Ok(Update::builder()
        .set_key(Some(Key::Stock(product.id).item()))
        .update_expression(
            "SET price = :price, #status = :status, low_stock_threshold = :threshold, updated_at = :now, \
             origin = :origin ADD version :one",
        )
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_names("#status", "status")
        .expression_attribute_values(":price", price)
        .expression_attribute_values(":status", text(product.status.into_str()))
        .expression_attribute_values(":threshold", number(low_stock_threshold))
        .expression_attribute_values(":now", text(product.updated_at))
        .expression_attribute_values(":origin", origin(context)?)
        .expression_attribute_values(":one", number(1)))
}
