//! The catalogue's entries.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, Update, builders::UpdateBuilder},
};

use super::{
    Item,
    idempotency::{Outcome, Record},
    inventory::{self, StockItem},
    key, number, text,
    transaction::Transaction,
    with_key,
};
use crate::{
    auth::Staff,
    aws,
    domain::{
        id::Id,
        inventory::{Availability, Movement, Stock},
        product::{Details, Editable, NewProduct, Product, Status},
        time::Timestamp,
    },
    error::Error,
    telemetry,
};

/// The catalogue.
#[derive(Clone)]
pub struct Products {
    pub(super) client: Client,
    pub(super) table: String,
}

/// An entry together with its stock, of one moment.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What everybody may see, its availability fresh from the stock.
    pub product: Product,
    /// Counts the changes of the entry, from 1.
    pub version: i64,
    stock: Stock,
}

impl Entry {
    /// What its ETag names.
    pub fn etag(&self) -> String {
        self.product.etag(self.version)
    }

    /// What a PATCH of it starts from.
    pub fn editable(&self) -> Editable {
        Editable {
            details: self.product.details.clone(),
            low_stock_threshold: self.stock.low_stock_threshold,
        }
    }
}

impl Products {
    /// Opens the connection before the first request is there, by a read of nothing.
    pub async fn connected(self) -> Self {
        if let Err(error) = self.read("NOTHING", false).await {
            telemetry::event(
                telemetry::Level::Warn,
                "the store did not answer at start",
                &crate::error::chain(&error),
            );
        }
        self
    }

    /// Asks the store for a sign of life.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn ping(&self) -> Result<(), Error> {
        let call = self.client.get_item().table_name(&self.table).set_key(Some(key("HEALTH", "HEALTH")));
        call.send().await.map(drop).map_err(aws::judge)
    }

    /// The product of that id. `consistent` sees every write that was answered before; it costs the double.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, id: Id<Product>, consistent: bool) -> Result<Entry, Error> {
        let mut items = self.read(&partition(id), consistent).await?.into_iter();
        let (Some(entry), Some(stock)) = (items.next(), items.next()) else {
            return Err(Error::NotFound);
        };
        let version = super::version(&entry)?;
        let product: Product = serde_dynamo::from_item(entry).map_err(Error::internal)?;
        let stock: Stock = serde_dynamo::from_item(stock).map_err(Error::internal)?;
        Ok(Entry { product: Product { availability: stock.availability(), ..product }, version, stock })
    }

    /// Entry and stock, in this order.
    async fn read(&self, partition: &str, consistent: bool) -> Result<Vec<Item>, Error> {
        let query = self.client.query().table_name(&self.table).consistent_read(consistent);
        let query = query
            .key_condition_expression("pk = :pk AND begins_with(sk, :entry)")
            .expression_attribute_values(":pk", text(partition))
            .expression_attribute_values(":entry", text("ENTRY"));
        Ok(query.send().await.map_err(aws::judge)?.items.unwrap_or_default())
    }

    /// Puts a new product into the catalogue: entry, stock, opening movement and SKU, once.
    ///
    /// # Errors
    /// [`Error::SkuTaken`], [`Error::IdempotencyKeyReused`].
    pub async fn create(
        &self,
        by: &Staff,
        product: &Product,
        new: &NewProduct,
        movement: Id<Movement>,
        record: &Record,
    ) -> Result<Outcome, Error> {
        let stock = Stock::opening(product, new);
        let sku = Item::from([("product_id".to_owned(), text(product.id))]);
        let mut transaction = Transaction::new(&self.client, &self.table)
            .create(with_key(sku, key(format!("SKU#{}", product.sku.as_str()), "SKU")), |_| Error::SkuTaken)?
            .create(entry_item(product)?, |_| Error::internal("a product of this id exists"))?
            .create(StockItem::opening(&stock, product).item()?, |_| {
                Error::internal("a stock of this id exists")
            })?;
        if let Some(movement) = Movement::opening(movement, &stock, by.id()) {
            transaction =
                transaction.create(inventory::movement_item(&movement)?, inventory::movement_exists)?;
        }
        transaction.once(record)?.commit().await
    }

    /// Changes what an entry says, from the version that was read.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn update(
        &self,
        _by: &Staff,
        entry: Entry,
        to: Editable,
        now: Timestamp,
    ) -> Result<Entry, Error> {
        let Editable { details, low_stock_threshold } = to;
        let with_stock = (details.price, low_stock_threshold)
            != (entry.product.details.price, entry.stock.low_stock_threshold);
        let stock = Stock { low_stock_threshold, ..entry.stock };
        let product =
            Product { details, availability: stock.availability(), updated_at: now, ..entry.product };
        let changed = Entry { product, version: entry.version + 1, stock };
        self.replace(&changed, with_stock).await?;
        Ok(changed)
    }

    /// Takes a product from the catalogue. Nothing is destroyed: old orders stay readable.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn archive(&self, _by: &Staff, entry: Entry, now: Timestamp) -> Result<(), Error> {
        let product = Product { status: Status::Archived, updated_at: now, ..entry.product };
        self.replace(&Entry { product, version: entry.version + 1, ..entry }, true).await
    }

    /// Writes an entry over the version before it, and the copies that its stock holds, where they have changed.
    async fn replace(&self, entry: &Entry, with_stock: bool) -> Result<(), Error> {
        let transaction = Transaction::new(&self.client, &self.table)
            .update(replace_entry(&entry.product, entry.version)?, |_| Error::StaleVersion)?;
        let transaction = if with_stock {
            transaction.update(inventory::copy(&entry.product, entry.stock.low_stock_threshold)?, |_| {
                Error::NotFound
            })?
        } else {
            transaction
        };
        transaction.commit().await.map(drop)
    }

    /// Keeps the availability that lists show, unless it is of an older stock than what they show already.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn show_availability(
        &self,
        id: Id<Product>,
        availability: Availability,
        stock_version: i64,
    ) -> Result<(), Error> {
        let update =
            self.client.update_item().table_name(&self.table).set_key(Some(key(partition(id), "ENTRY")));
        let update = update
            .update_expression("SET availability = :availability, stock_version = :version")
            .condition_expression("stock_version < :version")
            .expression_attribute_values(":availability", text(availability.as_str()))
            .expression_attribute_values(":version", number(stock_version));
        super::unless_refused(update.send().await).map(drop)
    }
}

/// The partition of all that belongs to a product.
pub(super) fn partition(id: Id<Product>) -> String {
    format!("PRODUCT#{id}")
}

/// The partition of an index by category.
pub(super) fn status_category(status: Status, category: &str) -> String {
    format!("{}#{category}", status.as_str())
}

/// What lists by name are sorted by.
pub(super) fn name_key(details: &Details) -> String {
    details.name.to_lowercase()
}

/// The attributes of an entry that only the indexes and the search read.
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

fn entry_item(product: &Product) -> Result<Item, Error> {
    let item = serde_dynamo::to_item(product).map_err(Error::internal)?;
    let mut item = with_key(item, key(partition(product.id), "ENTRY"));
    item.extend(derived(product).map(|(name, value)| (name.to_owned(), value)));
    item.insert("version".to_owned(), number(1));
    // The availability that it begins with is that of the stock's first version.
    item.insert("stock_version".to_owned(), number(inventory::FIRST_VERSION));
    Ok(item)
}

/// Writes all that a product's entry says, but for the availability, which is kept by itself.
fn replace_entry(product: &Product, version: i64) -> Result<UpdateBuilder, Error> {
    let mut attributes: Item = serde_dynamo::to_item(&product.details).map_err(Error::internal)?;
    attributes.extend(derived(product).map(|(name, value)| (name.to_owned(), value)));
    attributes.insert("status".to_owned(), text(product.status.as_str()));
    attributes.insert("updated_at".to_owned(), text(product.updated_at));
    attributes.insert("version".to_owned(), number(version));

    let assignments: Vec<String> = attributes.keys().map(|name| format!("#{name} = :{name}")).collect();
    let names = attributes.keys().map(|name| (format!("#{name}"), name.clone())).collect();
    let values = attributes.iter().map(|(name, value)| (format!(":{name}"), value.clone()));
    let values: HashMap<String, AttributeValue> =
        values.chain([(":before".to_owned(), number(version - 1))]).collect();
    Ok(Update::builder()
        .set_key(Some(key(partition(product.id), "ENTRY")))
        .update_expression(format!("SET {}", assignments.join(", ")))
        .condition_expression("#version = :before")
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values)))
}
