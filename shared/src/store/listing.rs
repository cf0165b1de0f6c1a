//! Lists of products: Queries on the six list indexes, never a Scan.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use serde::{Deserialize, Serialize};

use super::{
    Item, Page, number, pages,
    products::{Products, name_key, status_category},
    schema::Key,
    text,
};
use crate::{
    aws,
    domain::{
        id::Id,
        listing::{Listing, Sort},
        product::{Availability, Product},
    },
    error::Error,
};

/// Position in a list of products: the last product seen, and its sort attribute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Position {
    id: Id<Product>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Products {
    /// Lists product summaries, without descriptions. Filters on non-key attributes may leave a page shorter than `limit`
    /// although more follow.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] if `after` is not a position in this list.
    pub async fn list(
        &self,
        listing: &Listing,
        limit: usize,
        after: Option<Position>,
    ) -> Result<Page<Product, Position>, Error> {
        let index = Index::of(listing);
        let mut start = after.map(|position| index.key_at(&position)).transpose()?;

        let query = self.client.query().table_name(&self.table);
        let (query, filtered) = index.query(query, listing);
        let query = if filtered { query } else { query.limit(pages::limit(limit)) };

        let mut items: Vec<Product> = Vec::new();
        for _ in 0..pages::MAX_PAGES {
            let page = query.clone().set_exclusive_start_key(start).send().await.map_err(aws::classify)?;
            let found = serde_dynamo::from_items(page.items.into_iter().flatten().collect::<Vec<_>>())
                .map_err(Error::internal)?;
            items.extend::<Vec<Product>>(found);
            start = page.last_evaluated_key;
            if start.is_none() || items.len() > limit {
                break;
            }
        }
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(|last| index.position_of(last))
        } else {
            start.map(last_position).transpose()?
        };
        Ok(Page { items, next })
    }
}

/// The index that sorts a list as requested, and the list's partition of it.
struct Index {
    name: String,
    /// Name and value of the partition key.
    partition: (&'static str, String),
    /// Name of the sort key.
    sorted_by: &'static str,
    descending: bool,
    /// Prices in the list, in minor units.
    amounts: (i64, i64),
}

impl Index {
    fn of(listing: &Listing) -> Self {
        let (by, partition) = match &listing.category {
            Some(category) => {
                ("category", ("status_category", status_category(listing.status, category.as_str())))
            }
            None => ("status", ("status", listing.status.into_str().to_owned())),
        };
        let (order, sorted_by, descending) = match listing.sort {
            // Ids sort by creation time.
            Sort::Newest => ("newest", "id", true),
            Sort::PriceAscending => ("price", "amount", false),
            Sort::PriceDescending => ("price", "amount", true),
            Sort::Name => ("name", "name_key", false),
        };
        let amounts = (listing.min_price.unwrap_or(0), listing.max_price.unwrap_or(i64::MAX));
        Self { name: format!("{by}-{order}"), partition, sorted_by, descending, amounts }
    }

    /// Adds conditions and filters. Returns whether there are filters, which read more items than they return.
    fn query(&self, query: QueryFluentBuilder, listing: &Listing) -> (QueryFluentBuilder, bool) {
        let mut query = query
            .index_name(&self.name)
            .scan_index_forward(!self.descending)
            .expression_attribute_names("#partition", self.partition.0)
            .expression_attribute_values(":partition", text(&self.partition.1));
        let mut keys = vec!["#partition = :partition".to_owned()];
        let mut filters = Vec::new();
        if listing.min_price.is_some() || listing.max_price.is_some() {
            let (min, max) = self.amounts;
            query = query.expression_attribute_values(":min", number(min));
            query = query.expression_attribute_values(":max", number(max));
            let conditions = if self.sorted_by == "amount" { &mut keys } else { &mut filters };
            conditions.push("amount BETWEEN :min AND :max".to_owned());
        }
        if let Some(in_stock) = listing.in_stock {
            let operator = if in_stock { "<>" } else { "=" };
            query = query.expression_attribute_values(":none", text(Availability::OutOfStock.into_str()));
            filters.push(format!("availability {operator} :none"));
        }
        for (index, word) in listing.words.iter().enumerate() {
            // The attribute has a space before each word, so this matches prefixes of words.
            query = query.expression_attribute_values(format!(":word{index}"), text(format!(" {word}")));
            filters.push(format!("contains(words, :word{index})"));
        }
        let filter = (!filters.is_empty()).then(|| filters.join(" AND "));
        let query = query.key_condition_expression(keys.join(" AND ")).set_filter_expression(filter);
        (query, !filters.is_empty())
    }

    fn position_of(&self, product: &Product) -> Position {
        Position {
            id: product.id,
            amount: (self.sorted_by == "amount").then(|| product.details.price.amount()),
            name: (self.sorted_by == "name_key").then(|| name_key(&product.details)),
        }
    }

    /// Returns the start key of the next page. Only the position comes from the cursor, the rest from the query, so a
    /// forged cursor reaches nothing that the query could not.
    fn key_at(&self, position: &Position) -> Result<Item, Error> {
        let (min, max) = self.amounts;
        let sorted_by = match (self.sorted_by, position.amount, &position.name) {
            ("id", None, None) => text(position.id),
            ("amount", Some(amount), None) if (min..=max).contains(&amount) => number(amount),
            ("name_key", None, Some(name)) if (1..=1024).contains(&name.len()) => text(name),
            _ => return Err(Error::InvalidCursor),
        };
        let mut start = Key::Product(position.id).item();
        start.insert(self.partition.0.to_owned(), text(&self.partition.1));
        start.insert(self.sorted_by.to_owned(), sorted_by);
        Ok(start)
    }
}

/// Converts the key at which DynamoDB stopped.
fn last_position(key: Item) -> Result<Position, Error> {
    #[derive(Deserialize)]
    struct LastKey {
        pk: String,
        sk: String,
        amount: Option<i64>,
        name_key: Option<String>,
    }
    let last: LastKey = serde_dynamo::from_item(key).map_err(Error::internal)?;
    let Some(Key::Product(id)) = Key::parse(&last.pk, &last.sk) else {
        return Err(Error::internal("a list index of products holds something else"));
    };
    Ok(Position { id, amount: last.amount, name: last.name_key })
}
