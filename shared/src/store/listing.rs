//! Lists of products: Queries on the six indexes of the catalogue's entries, never a Scan.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use serde::{Deserialize, Serialize};

use super::{
    Item, Page, key, number,
    products::{Products, name_key, partition, status_category},
    text,
};
use crate::{
    aws,
    domain::{
        id::Id,
        inventory::Availability,
        listing::{Listing, Sort},
        product::Product,
    },
    error::Error,
};

/// How many pages of an index one request may go through for filters that are no keys.
const PAGES: usize = 4;

/// A place in a list of products: the last product that was seen, and what the list is sorted by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Position {
    id: Id<Product>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Products {
    /// One page of a list, from summaries without a description. Where filters that are no keys leave little, a page
    /// may be shorter than `limit` although more follow.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`] where `after` is no place in this list.
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
        // One more than asked for tells whether there is a next page.
        let query = if filtered { query } else { query.limit(i32::try_from(limit + 1).unwrap_or(i32::MAX)) };

        let mut items: Vec<Product> = Vec::new();
        for _ in 0..PAGES {
            let page = query.clone().set_exclusive_start_key(start).send().await.map_err(aws::judge)?;
            let found = serde_dynamo::from_items(page.items.unwrap_or_default()).map_err(Error::internal)?;
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

/// The index that holds a list in its order, and the part of it that the list is.
struct Index {
    name: String,
    /// The partition: the name of its key attribute, and the value.
    partition: (&'static str, String),
    /// The attribute that the partition is sorted by.
    sorted_by: &'static str,
    descending: bool,
    /// The amounts that the list holds.
    amounts: (i64, i64),
}

impl Index {
    fn of(listing: &Listing) -> Self {
        let (by, partition) = match &listing.category {
            Some(category) => {
                ("category", ("status_category", status_category(listing.status, category.as_str())))
            }
            None => ("status", ("status", listing.status.as_str().to_owned())),
        };
        let (order, sorted_by, descending) = match listing.sort {
            // Ids sort by the time they were made.
            Sort::Newest => ("newest", "id", true),
            Sort::PriceAscending => ("price", "amount", false),
            Sort::PriceDescending => ("price", "amount", true),
            Sort::Name => ("name", "name_key", false),
        };
        let amounts = (listing.min_price.unwrap_or(0), listing.max_price.unwrap_or(i64::MAX));
        Self { name: format!("{by}-{order}"), partition, sorted_by, descending, amounts }
    }

    /// Adds what the listing asks for; tells whether any of it is a filter, which reads more than it gives.
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
            query = query.expression_attribute_values(":none", text(Availability::OutOfStock.as_str()));
            filters.push(format!("availability {operator} :none"));
        }
        for (index, word) in listing.words.iter().enumerate() {
            // Words stand in the entry each behind a space, so this finds those that begin so.
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

    /// The key to go on from: the place from the cursor, all else from the query, so that a forged cursor reaches
    /// nothing that the query itself could not.
    fn key_at(&self, position: &Position) -> Result<Item, Error> {
        let (min, max) = self.amounts;
        let sorted_by = match (self.sorted_by, position.amount, &position.name) {
            ("id", None, None) => text(position.id),
            ("amount", Some(amount), None) if (min..=max).contains(&amount) => number(amount),
            ("name_key", None, Some(name)) if (1..=1024).contains(&name.len()) => text(name),
            _ => return Err(Error::InvalidCursor),
        };
        let mut start = key(partition(position.id), "ENTRY");
        start.insert(self.partition.0.to_owned(), text(&self.partition.1));
        start.insert(self.sorted_by.to_owned(), sorted_by);
        Ok(start)
    }
}

/// The position of the key at which DynamoDB stopped.
fn last_position(key: Item) -> Result<Position, Error> {
    #[derive(Deserialize)]
    struct LastKey {
        pk: String,
        amount: Option<i64>,
        name_key: Option<String>,
    }
    let last: LastKey = serde_dynamo::from_item(key).map_err(Error::internal)?;
    let id = last.pk.strip_prefix("PRODUCT#").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Error::internal("an index of products holds another thing"))?;
    Ok(Position { id, amount: last.amount, name: last.name_key })
}
