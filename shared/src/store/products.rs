//! Catalogue entries.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Update, builders::UpdateBuilder},
};
use serde_json::json;

use super::{
    Item, Versioned, audit,
    idempotency::{Idempotent, IdempotentRequest},
    if_condition_holds,
    inventory::{self, StockItem},
    number, origin,
    schema::{self, Key},
    tables::CommonTables,
    text,
    transaction::Transaction,
};
use crate::{
    auth::Staff,
    aws,
    domain::{
        audit::AuditEvent,
        change::ChangeContext,
        id::Id,
        inventory::{Movement, Stock},
        product::{Availability, Details, Editable, NewProduct, Product, ProductStatus},
    },
    error::Error,
    telemetry,
};

/// Access to the catalogue.
#[derive(Clone)]
pub struct Products {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) common: CommonTables,
}

/// A catalogue entry with its stock, read together.
#[derive(Clone, Debug)]
pub struct CatalogueEntry {
    /// The product, with the availability that the stock has now.
    pub product: Product,
    /// Version of the entry.
    pub version: i64,
    stock: Stock,
}

impl CatalogueEntry {
    pub fn etag(&self) -> String {
        self.product.etag(self.version)
    }

    /// Returns the document that a PATCH applies to.
    pub fn editable(&self) -> Editable {
        Editable {
            details: self.product.details.clone(),
            low_stock_threshold: self.stock.low_stock_threshold,
        }
    }
}

impl Products {
    /// Opens the connection before the first request arrives, by reading a partition that does not exist.
    pub async fn connected(self) -> Self {
        if let Err(error) = self.read("NOTHING", false).await {
            telemetry::warn("DynamoDB did not answer during init", &crate::error::chain(&error));
        }
        self
    }

    /// Checks that DynamoDB answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(Key::Health.item()));
        call.send().await.map(drop).map_err(aws::classify)
    }

    /// Loads a product. A `consistent` read sees every completed write and costs twice as much.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, id: Id<Product>, consistent: bool) -> Result<CatalogueEntry, Error> {
        let mut items = self.read(&schema::product_partition(id), consistent).await?.into_iter();
        let (Some(entry), Some(stock)) = (items.next(), items.next()) else {
            return Err(Error::NotFound);
        };
        let Versioned { value: product, version }: Versioned<Product> =
            serde_dynamo::from_item(entry).map_err(Error::internal)?;
        let stock: Stock = serde_dynamo::from_item(stock).map_err(Error::internal)?;
        Ok(CatalogueEntry {
            product: Product { availability: stock.availability(), ..product },
            version,
            stock,
        })
    }

    /// Reads entry and stock, in this order.
    async fn read(&self, partition: &str, consistent: bool) -> Result<Vec<Item>, Error> {
        let query = self.client.query().table_name(&self.table).consistent_read(consistent);
        let query = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :entry)")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":entry", text(schema::ENTRY));
        Ok(query.send().await.map_err(aws::classify)?.items.into_iter().flatten().collect())
    }

    /// Creates a product: entry, stock, opening movement and SKU in one transaction.
    ///
    /// # Errors
    /// [`Error::SkuTaken`], [`Error::IdempotencyKeyReused`].
    pub async fn create(
        &self,
        by: &Staff,
        product: Product,
        new: &NewProduct,
        movement: Id<Movement>,
        request: &IdempotentRequest,
    ) -> Result<Idempotent<Product>, Error> {
        let record = request.completed(&product)?;
        let stock = Stock::opening(&product, new);
        let sku = Item::from([("product_id".to_owned(), text(product.id))]);
        let mut transaction = Transaction::new(&self.client, &self.table)
            .create(Key::Sku(product.sku.clone()).on(sku), |_| Error::SkuTaken)?
            .create(entry_item(&product, request.context())?, |_| {
                Error::internal("a product of this id exists")
            })?
            .create(StockItem::opening(&stock, &product).item(request.context())?, |_| {
                Error::internal("a stock of this id exists")
            })?;
        if let Some(movement) = Movement::opening(movement, &stock, by.id()) {
            transaction =
                transaction.create(inventory::movement_item(&movement)?, inventory::movement_exists)?;
        }
        let after = json!({"sku": product.sku, "price": product.details.price, "stock": stock.on_hand});
        let event = audit::event(request.context(), product.id)?.created(after);
        let transaction =
            transaction.authorized(by.authority(), &self.common)?.audited(&event, &self.common)?;
        transaction.once(&record)?.commit().await?.result(request, product)
    }

    /// Updates the entry that was read.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn update(
        &self,
        by: &Staff,
        entry: CatalogueEntry,
        to: Editable,
        context: &ChangeContext,
    ) -> Result<CatalogueEntry, Error> {
        let (before, after) = (json!(entry.editable()), json!(to));
        let event = audit::event(context, entry.product.id)?.changed(before, after);
        let Editable { details, low_stock_threshold } = to;
        let with_stock = (details.price, low_stock_threshold)
            != (entry.product.details.price, entry.stock.low_stock_threshold);
        let stock = Stock { low_stock_threshold, ..entry.stock };
        let product =
            Product { details, availability: stock.availability(), updated_at: context.at, ..entry.product };
        let changed = CatalogueEntry { product, version: entry.version + 1, stock };
        self.replace(self.change(by, &event)?, &changed, with_stock, context).await?;
        Ok(changed)
    }

    /// Archives the product that was read.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn archive(
        &self,
        by: &Staff,
        entry: CatalogueEntry,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let (before, after) =
            (json!({"status": entry.product.status}), json!({"status": ProductStatus::Archived}));
        let event = audit::event(context, entry.product.id)?.changed(before, after);
        let product = Product { status: ProductStatus::Archived, updated_at: context.at, ..entry.product };
        let archived = CatalogueEntry { product, version: entry.version + 1, ..entry };
        self.replace(self.change(by, &event)?, &archived, true, context).await
    }

    /// Begins a change by staff.
    fn change(&self, by: &Staff, event: &AuditEvent) -> Result<Transaction<'_>, Error> {
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(event, &self.common)
    }

    /// Replaces the previous version of an entry, and the copies in its stock if they have changed.
    async fn replace(
        &self,
        transaction: Transaction<'_>,
        entry: &CatalogueEntry,
        with_stock: bool,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let transaction = transaction
            .update(replace_entry(&entry.product, entry.version, context)?, |_| Error::StaleVersion)?;
        let transaction = if with_stock {
            transaction
                .update(inventory::copy(&entry.product, entry.stock.low_stock_threshold, context)?, |_| {
                    Error::NotFound
                })?
        } else {
            transaction
        };
        transaction.commit().await.map(drop)
    }

    /// Updates the availability that lists show, unless they already show that of a newer stock.
    pub async fn show_availability(
        &self,
        id: Id<Product>,
        availability: Availability,
        stock_version: i64,
    ) -> Result<(), Error> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(Key::Product(id).item()));
        let update = update
            .update_expression("SET availability = :availability, stock_version = :version")
            .condition_expression("stock_version < :version")
            .expression_attribute_values(":availability", text(availability.into_str()))
            .expression_attribute_values(":version", number(stock_version));
        if_condition_holds(update.send().await).map(drop)
    }
}

/// Partition of the list indexes by category.
pub(super) fn status_category(status: ProductStatus, category: &str) -> String {
    format!("{}#{category}", status.into_str())
}

/// Sort key of the list by name.
pub(super) fn name_key(details: &Details) -> String {
    details.name.to_lowercase()
}

/// Attributes that only indexes and search read.
fn derived(product: &Product) -> [(&'static str, AttributeValue); 4] {
    let details = &product.details;
    let words: String = details.words().iter().map(|word| format!(" {word}")).collect();
    [
        ("amount", number(details.price.amount())),
        ("name_key", text(name_key(details))),
        ("status_category", text(status_category(product.status, details.category.as_str()))),
        ("words", text(words)),
    ]
}

fn entry_item(product: &Product, context: &ChangeContext) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(product).map_err(Error::internal)?;
    let mut item = Key::Product(product.id).on(item);
    item.extend(derived(product).map(|(name, value)| (name.to_owned(), value)));
    item.insert("version".to_owned(), number(1));
    item.insert("origin".to_owned(), origin(context)?);
    item.insert("stock_version".to_owned(), number(inventory::FIRST_VERSION));
    Ok(item)
}

/// Updates everything of an entry but the availability, which products-availability maintains.
fn replace_entry(product: &Product, version: i64, context: &ChangeContext) -> Result<UpdateBuilder, Error> {
    let mut attributes: Item = serde_dynamo::to_item(&product.details).map_err(Error::internal)?;
    attributes.extend(derived(product).map(|(name, value)| (name.to_owned(), value)));
    attributes.insert("status".to_owned(), text(product.status.into_str()));
    attributes.insert("updated_at".to_owned(), text(product.updated_at));
    attributes.insert("version".to_owned(), number(version));
    attributes.insert("origin".to_owned(), origin(context)?);

    let assignments: Vec<String> = attributes.keys().map(|name| format!("#{name} = :{name}")).collect();
    let names = attributes.keys().map(|name| (format!("#{name}"), name.clone())).collect();
    let values = attributes.iter().map(|(name, value)| (format!(":{name}"), value.clone()));
    let values: HashMap<String, AttributeValue> =
        values.chain([(":before".to_owned(), number(version - 1))]).collect();
    Ok(Update::builder()
        .set_key(Some(Key::Product(product.id).item()))
        .update_expression(format!("SET {}", assignments.join(", ")))
        .condition_expression("#version = :before")
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values)))
}
