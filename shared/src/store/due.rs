//! The sparse index `due`: orders that a schedule has to look at, by queue and time.

use aws_sdk_dynamodb::types::{Select, Update};
use serde::Deserialize;

use super::{
    Item, Versioned, number,
    orders::Orders,
    schema::{Key, SHARDS, due_partition},
    text,
    transaction::Transaction,
};
use crate::{
    aws,
    domain::{
        order::{DueQueue, Order},
        order_id::OrderId,
        time::Timestamp,
    },
    error::Error,
};

/// Position in a shard of a queue.
pub struct DueCursor(Item);

impl Orders {
    /// Lists orders of a shard that are due by `now`, with the time at which each became due.
    pub async fn due(
        &self,
        queue: DueQueue,
        shard: u8,
        now: Timestamp,
        after: Option<DueCursor>,
    ) -> Result<(Vec<(OrderId, Timestamp)>, Option<DueCursor>), Error> {
        #[derive(Deserialize)]
        struct Entry {
            pk: String,
            sk: String,
            due_at: Timestamp,
        }
        let query = self.client.query().table_name(&self.table).index_name("due").limit(25);
        let query = query
            .key_condition_expression("due = :due AND due_at <= :now")
            .expression_attribute_values(":due", text(due_partition(queue, shard)))
            .expression_attribute_values(":now", text(now))
            .set_exclusive_start_key(after.map(|cursor| cursor.0));
        let page = query.send().await.map_err(aws::classify)?;
        let mut orders = Vec::new();
        for item in page.items.into_iter().flatten() {
            let Entry { pk, sk, due_at } = serde_dynamo::from_item(item).map_err(Error::internal)?;
            let Some(Key::Order(id)) = Key::parse(&pk, &sk) else {
                return Err(Error::internal("the index of due orders holds something else"));
            };
            orders.push((id, due_at));
        }
        Ok((orders, page.last_evaluated_key.map(DueCursor)))
    }

    /// Counts the orders that the provider has not given an answer about yet.
    pub async fn count_unresolved(&self) -> Result<i64, Error> {
        let mut count = 0;
        for shard in 0..SHARDS {
            let mut start = None;
            loop {
                let query = self.client.query().table_name(&self.table).index_name("due");
                let query = query
                    .select(Select::Count)
                    .key_condition_expression("due = :due")
                    .expression_attribute_values(":due", text(due_partition(DueQueue::Unresolved, shard)))
                    .set_exclusive_start_key(start);
                let page = query.send().await.map_err(aws::classify)?;
                count += i64::from(page.count);
                start = page.last_evaluated_key;
                if start.is_none() {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Postpones an order in its queue, unless it has changed since it was read.
    pub async fn postpone(&self, order: &Versioned<Order>, until: Timestamp) -> Result<(), Error> {
        let queue = if order.value.next_step().is_some() { DueQueue::Unresolved } else { DueQueue::InDoubt };
        let update = Update::builder()
            .set_key(Some(Key::Order(order.value.id).item()))
            .update_expression("SET due = :due, due_at = :until")
            .condition_expression("version = :version AND attribute_exists(due)")
            .expression_attribute_values(":due", text(due_partition(queue, order.value.id.shard(SHARDS))))
            .expression_attribute_values(":until", text(until))
            .expression_attribute_values(":version", number(order.version));
        let update = Transaction::new(&self.client, &self.table).update(update, |_| Error::StaleVersion)?;
        match update.commit().await {
            Ok(_) | Err(Error::StaleVersion) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
