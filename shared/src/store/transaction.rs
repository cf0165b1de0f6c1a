//! Transactions: several writes, all or none, each with the error that its failed condition means.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, Put,
        ReturnValuesOnConditionCheckFailure::AllOld,
        TransactWriteItem,
        builders::{
            ConditionCheckBuilder, DeleteBuilder, PutBuilder, TransactWriteItemBuilder, UpdateBuilder,
        },
    },
};

use serde::de::DeserializeOwned;

use super::{
    Item,
    idempotency::{Idempotent, IdempotentRequest, Record, StoredRecord},
    number,
};
use crate::{auth::random, aws, error::Error};

/// Retries of a transaction that conflicts with another one.
const MAX_RETRIES: u32 = 3;
/// Maximum pause before the first retry; it doubles with each one.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Maps a failed condition to an error, given the item that failed it.
type OnConditionFailed = fn(Option<&Item>) -> Error;

/// Writes to be committed together.
pub(super) struct Transaction<'a> {
    client: &'a Client,
    table: &'a str,
    writes: Vec<TransactWriteItem>,
    on_failed: Vec<OnConditionFailed>,
    record: Option<&'a Record>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(client: &'a Client, table: &'a str) -> Self {
        Self { client, table, writes: Vec::new(), on_failed: Vec::new(), record: None }
    }

    /// Selects the table of the writes that follow.
    pub(super) fn in_table(self, table: &'a str) -> Self {
        Self { table, ..self }
    }

    /// Adds writes to another table.
    pub(super) fn elsewhere(
        self,
        table: &'a str,
        write: impl FnOnce(Self) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let back = self.table;
        Ok(write(self.in_table(table))?.in_table(back))
    }

    /// Replaces an item if it still has the version that was read.
    pub(super) fn replace(
        self,
        item: Item,
        version: i64,
        on_failed: OnConditionFailed,
    ) -> Result<Self, Error> {
        let put = Put::builder()
            .set_item(Some(item))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        self.put(put, on_failed)
    }

    /// Puts an item that must not exist yet.
    pub(super) fn create(self, item: Item, on_failed: OnConditionFailed) -> Result<Self, Error> {
        let put = Put::builder().set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        self.put(put, on_failed)
    }

    fn put(self, put: PutBuilder, on_failed: OnConditionFailed) -> Result<Self, Error> {
        let put = put.table_name(self.table).return_values_on_condition_check_failure(AllOld);
        let put = put.build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().put(put), on_failed))
    }

    /// Updates an item under a condition.
    pub(super) fn update(self, update: UpdateBuilder, on_failed: OnConditionFailed) -> Result<Self, Error> {
        let update = update.table_name(self.table).return_values_on_condition_check_failure(AllOld);
        let update = update.build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().update(update), on_failed))
    }

    /// Deletes an item under a condition.
    pub(super) fn delete(self, delete: DeleteBuilder, on_failed: OnConditionFailed) -> Result<Self, Error> {
        let delete = delete.table_name(self.table).build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().delete(delete), on_failed))
    }

    /// Checks a condition on an item without writing it.
    pub(super) fn check(
        self,
        check: ConditionCheckBuilder,
        on_failed: OnConditionFailed,
    ) -> Result<Self, Error> {
        let check = check.table_name(self.table).build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().condition_check(check), on_failed))
    }

    fn write(mut self, write: TransactWriteItemBuilder, on_failed: OnConditionFailed) -> Self {
        self.writes.push(write.build());
        self.on_failed.push(on_failed);
        self
    }

    /// Writes an idempotency record. An existing record under its key outranks any other failed condition.
    pub(super) fn once(self, record: &'a Record) -> Result<Self, Error> {
        let item = record.item()?;
        Ok(Self { record: Some(record), ..self.create(item, |_| Error::IdempotencyKeyReused)? })
    }

    /// Writes the result of a process that was started before, unless it has one.
    pub(super) fn completing(self, record: &'a Record) -> Result<Self, Error> {
        let put = Put::builder()
            .set_item(Some(record.item()?))
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(#result)")
            .expression_attribute_names("#result", "result");
        Ok(Self { record: Some(record), ..self.put(put, |_| Error::StaleVersion)? })
    }

    /// Commits all writes or none. Retries conflicts with other transactions.
    pub(super) async fn commit(self) -> Result<Committed, Error> {
        match self.try_commit().await? {
            Ok(committed) => Ok(committed),
            Err(failed) => {
                let first = failed.first().and_then(|condition| {
                    self.on_failed.get(condition.index).map(|on_failed| on_failed(condition.item.as_ref()))
                });
                Err(first
                    .unwrap_or_else(|| Error::internal("a transaction failed without a failed condition")))
            }
        }
    }

    /// Commits like [`commit`](Self::commit), but returns the conditions that failed.
    pub(super) async fn try_commit(&self) -> Result<Result<Committed, Vec<FailedCondition>>, Error> {
        let mut retries = 0;
        loop {
            let call = self.client.transact_write_items().set_transact_items(Some(self.writes.clone()));
            let failure = match call.send().await {
                Ok(_) => return Ok(Ok(Committed::Now)),
                Err(failure) => failure,
            };
            match self.classify(&failure) {
                Cancellation::Conflict if retries < MAX_RETRIES => {
                    tokio::time::sleep(jitter(FIRST_PAUSE * 2_u32.pow(retries))).await;
                }
                Cancellation::Conflict | Cancellation::Transient => {
                    return Err(Error::Unavailable(failure.into()));
                }
                Cancellation::Replayed(record) => return Ok(Ok(Committed::Before(record))),
                Cancellation::KeyInUse(error) => return Err(error),
                Cancellation::Failed(conditions) => return Ok(Err(conditions)),
                Cancellation::Other => return Err(aws::classify(failure)),
            }
            retries += 1;
        }
    }

    fn classify(&self, failure: &SdkError<TransactWriteItemsError>) -> Cancellation {
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            failure.as_service_error()
        else {
            return Cancellation::Other;
        };
        let reasons = cancelled.cancellation_reasons();
        // The idempotency record is the last write.
        if let (Some(record), Some(last)) = (self.record, reasons.get(self.writes.len() - 1))
            && let ("ConditionalCheckFailed", Some(existing)) = (code(last), last.item())
        {
            return match record.existing(existing.clone()) {
                Ok(existing) if existing.is_completed() => Cancellation::Replayed(existing),
                // A concurrent request with the same key has started the process.
                Ok(_) => Cancellation::KeyInUse(Error::StaleVersion),
                Err(error) => Cancellation::KeyInUse(error),
            };
        }
        let all = |known: &[&str]| {
            !reasons.is_empty() && reasons.iter().all(|reason| known.contains(&code(reason)))
        };
        let any = |known: &[&str]| reasons.iter().any(|reason| known.contains(&code(reason)));
        if all(&["None", "TransactionConflict"]) {
            Cancellation::Conflict
        } else if all(&["None", "ConditionalCheckFailed"]) {
            let failed = reasons.iter().enumerate();
            let failed = failed.filter(|(_, reason)| code(reason) == "ConditionalCheckFailed");
            Cancellation::Failed(
                failed
                    .map(|(index, reason)| FailedCondition { index, item: reason.item().cloned() })
                    .collect(),
            )
        } else if any(&["ValidationError", "ItemCollectionSizeLimitExceeded"]) {
            Cancellation::Other
        } else {
            // Beside a throttled or conflicting write, a failed condition may concern a state that was never committed.
            Cancellation::Transient
        }
    }
}

fn code(reason: &CancellationReason) -> &str {
    reason.code().unwrap_or("None")
}

/// When the writes took effect.
pub(super) enum Committed {
    Now,
    /// By an earlier request with the same idempotency key.
    Before(StoredRecord),
}

impl Committed {
    /// Returns `value` if the effect took place just now, else the result of the earlier request.
    pub fn result<T: DeserializeOwned>(
        self,
        request: &IdempotentRequest,
        value: T,
    ) -> Result<Idempotent<T>, Error> {
        match self {
            Self::Now => Ok(request.first(value)),
            Self::Before(record) => record.replay(),
        }
    }
}

/// A condition that did not hold.
pub(super) struct FailedCondition {
    /// Position of the write in the transaction.
    pub index: usize,
    /// The item that failed the condition, if it exists.
    pub item: Option<Item>,
}

/// Meaning of a failed commit.
enum Cancellation {
    /// Another transaction was writing the same items.
    Conflict,
    /// Throttling, or a conflict beside other reasons.
    Transient,
    /// An earlier request with the same key and payload has completed.
    Replayed(StoredRecord),
    /// The key belongs to another payload, or to a request in progress.
    KeyInUse(Error),
    Failed(Vec<FailedCondition>),
    /// Not a cancellation, or one that is our own fault.
    Other,
}

/// Returns a pause between zero and `max`: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
fn jitter(max: Duration) -> Duration {
    random().map_or(max, |[random]: [u8; 1]| max * u32::from(random) / 256)
}
