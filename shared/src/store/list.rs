//! Lists of the newest first, by the index `list-newest`: Queries, never a Scan.

use aws_sdk_dynamodb::{Client, operation::query::builders::QueryFluentBuilder};
use serde::de::DeserializeOwned;

use super::{Item, Page, text};
use crate::{aws, error::Error};

/// How many pages of the index one request may go through for filters.
const PAGES: usize = 4;

/// A list from some position on.
pub(super) struct Newest {
    query: QueryFluentBuilder,
    limit: usize,
    start: Option<Item>,
}

/// The items of a list, the newest first.
pub(super) fn newest(client: &Client, table: &str, list: &str, limit: usize, start: Option<Item>) -> Newest {
    let query = client
        .query()
        .table_name(table)
        .index_name("list-newest")
        .scan_index_forward(false)
        .key_condition_expression("#list = :list")
        .expression_attribute_names("#list", "list")
        .expression_attribute_values(":list", text(list))
        // One more than asked for tells whether there is a next page.
        .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
    Newest { query, limit, start }
}

/// The items of a partition whose sort keys begin so, the last first.
pub(super) fn partition(
    client: &Client,
    table: &str,
    partition: &str,
    prefix: &str,
    limit: usize,
    start: Option<Item>,
) -> Newest {
    let query = client
        .query()
        .table_name(table)
        .consistent_read(true)
        .scan_index_forward(false)
        .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
        .expression_attribute_values(":pk", text(partition))
        .expression_attribute_values(":prefix", text(prefix))
        .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
    Newest { query, limit, start }
}

/// The attributes by which an item stands in its place of the list.
pub(super) fn position(list: &str, id: impl ToString) -> Item {
    Item::from([("list".to_owned(), text(list)), ("id".to_owned(), text(id))])
}

impl Newest {
    /// One page of those that fit.
    pub async fn read<T: DeserializeOwned, P>(
        self,
        fits: impl Fn(&T) -> bool,
        position: impl Fn(&T) -> P,
    ) -> Result<Page<T, P>, Error> {
        let Self { query, limit, mut start } = self;
        let mut items: Vec<T> = Vec::new();
        // The last that was looked at, whether it fits or not.
        let mut last = None;
        for _ in 0..PAGES {
            let page = query.clone().set_exclusive_start_key(start).send().await.map_err(aws::judge)?;
            let found: Vec<T> =
                serde_dynamo::from_items(page.items.unwrap_or_default()).map_err(Error::internal)?;
            for item in found {
                if items.len() == limit {
                    return Ok(Page { next: last, items });
                }
                last = Some(position(&item));
                if fits(&item) {
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
