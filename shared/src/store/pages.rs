//! Pages of lists, newest first: Queries, never a Scan.

use aws_sdk_dynamodb::{Client, operation::query::builders::QueryFluentBuilder};
use serde::de::DeserializeOwned;

use super::{Item, Page, text};
use crate::{
    aws,
    domain::id::{Entity, Id},
    error::Error,
};

/// Maximum DynamoDB pages that one request reads to satisfy its filters.
pub(super) const MAX_PAGES: usize = 4;

/// Query for the rest of a list.
pub(super) struct Pages {
    query: QueryFluentBuilder,
    limit: usize,
    start: Option<Item>,
}

/// Queries the index `list-newest`.
pub(super) fn newest(client: &Client, table: &str, list: &str, limit: usize, start: Option<Item>) -> Pages {
    let query = client
        .query()
        .table_name(table)
        .index_name("list-newest")
        .scan_index_forward(false)
        .key_condition_expression("#list = :list")
        .expression_attribute_names("#list", "list")
        .expression_attribute_values(":list", text(list))
        .limit(self::limit(limit));
    Pages { query, limit, start }
}

/// Queries the items of a partition whose sort keys have a prefix, last one first.
pub(super) fn of_partition(
    client: &Client,
    table: &str,
    partition: &str,
    prefix: &str,
    limit: usize,
    start: Option<Item>,
) -> Pages {
    let query = client
        .query()
        .table_name(table)
        .consistent_read(true)
        .scan_index_forward(false)
        .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
        .expression_attribute_values(":pk", text(partition))
        .expression_attribute_values(":prefix", text(prefix))
        .limit(self::limit(limit));
    Pages { query, limit, start }
}

/// Queries a partition of the table or of an index for ids in a range, last one first.
pub(super) fn within<T: Entity>(
    client: &Client,
    table: &str,
    index: Option<&str>,
    (name, value): (&str, String),
    (first, last): (Id<T>, Id<T>),
    limit: usize,
) -> Pages {
    let query = client
        .query()
        .table_name(table)
        .set_index_name(index.map(str::to_owned))
        .scan_index_forward(false)
        .key_condition_expression("#partition = :partition AND #id BETWEEN :first AND :last")
        .expression_attribute_names("#partition", name)
        .expression_attribute_names("#id", if index.is_some() { "id" } else { "sk" })
        .expression_attribute_values(":partition", text(value))
        .expression_attribute_values(":first", text(first))
        .expression_attribute_values(":last", text(last))
        .limit(self::limit(limit));
    Pages { query, limit, start: None }
}

/// Returns the limit of a Query for one page: one item more shows whether there is a next page.
pub(super) fn limit(page: usize) -> i32 {
    i32::try_from(page + 1).unwrap_or(i32::MAX)
}

/// Returns the attributes that position an item in `list-newest`.
pub(super) fn position(list: &str, id: impl ToString) -> Item {
    Item::from([("list".to_owned(), text(list)), ("id".to_owned(), text(id))])
}

impl Pages {
    /// Reads one page of the items that `matches` selects.
    pub async fn read<T: DeserializeOwned, P>(
        self,
        matches: impl Fn(&T) -> bool,
        position: impl Fn(&T) -> P,
    ) -> Result<Page<T, P>, Error> {
        let Self { query, limit, mut start } = self;
        let mut items: Vec<T> = Vec::new();
        // The last item read, whether or not it matches.
        let mut last = None;
        for _ in 0..MAX_PAGES {
            let page = query.clone().set_exclusive_start_key(start).send().await.map_err(aws::classify)?;
            let found: Vec<T> =
                serde_dynamo::from_items(page.items.into_iter().flatten().collect::<Vec<_>>())
                    .map_err(Error::internal)?;
            for item in found {
                if items.len() == limit {
                    return Ok(Page { next: last, items });
                }
                last = Some(position(&item));
                if matches(&item) {
                    items.push(item);
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: last })
    }
}
