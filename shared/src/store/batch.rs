//! Reads and deletes of many items.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{DeleteRequest, KeysAndAttributes, WriteRequest},
};

use super::{Item, text};
use crate::{aws, error::Error};

/// Maximum items that one `BatchWriteItem` deletes.
const MAX_DELETES: usize = 25;

/// Reads the items with these keys, by table. Items that do not exist are left out; the order is undefined.
pub(super) async fn get(client: &Client, keys: HashMap<String, Vec<Item>>) -> Result<Vec<Item>, Error> {
    let mut call = client.batch_get_item();
    for (table, keys) in keys {
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
        call = call.request_items(table, keys.build().map_err(Error::internal)?);
    }
    let answer = call.send().await.map_err(aws::classify)?;
    if answer.unprocessed_keys.is_some_and(|left| !left.is_empty()) {
        return Err(Error::Unavailable("DynamoDB left keys unprocessed".into()));
    }
    Ok(answer.responses.into_iter().flat_map(HashMap::into_values).flatten().collect())
}

/// Reads all items of a partition: the attributes of `projection`, or all of them.
pub(super) async fn of_partition(
    client: &Client,
    table: &str,
    partition: &str,
    projection: Option<&str>,
) -> Result<Vec<Item>, Error> {
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let query = client.query().table_name(table).consistent_read(true);
        let query = query.set_projection_expression(projection.map(str::to_owned));
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", text(partition));
        let page = query.set_exclusive_start_key(start).send().await.map_err(aws::classify)?;
        items.extend(page.items.into_iter().flatten());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(items);
        }
    }
}

/// Deletes items, batch by batch.
pub(super) async fn delete(client: &Client, table: &str, mut keys: Vec<Item>) -> Result<(), Error> {
    while !keys.is_empty() {
        let rest = keys.split_off(keys.len().min(MAX_DELETES));
        let mut writes = Vec::new();
        for key in keys {
            let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
            writes.push(WriteRequest::builder().delete_request(delete).build());
        }
        let call = client.batch_write_item().request_items(table, writes);
        let left = call.send().await.map_err(aws::classify)?.unprocessed_items;
        if left.is_some_and(|left| !left.is_empty()) {
            return Err(Error::Unavailable("DynamoDB left deletes unprocessed".into()));
        }
        keys = rest;
    }
    Ok(())
}
