//! Several writes, all or nothing, each with the error that its failed condition means.

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

use super::{
    Item,
    idempotency::{Earlier, Outcome, Record, Recorded},
    number,
};
use crate::{auth::random, aws, error::Error};

/// How often a transaction that met another one is tried again before the caller is asked to come back.
const RETRIES: u32 = 3;
/// The longest first pause; it doubles from try to try.
const PAUSE: Duration = Duration::from_millis(25);

/// What a failed condition means, given the item that failed it.
type Refusal = fn(Option<&Item>) -> Error;

/// Writes to one table, to be committed together.
pub(super) struct Transaction<'a> {
    client: &'a Client,
    table: &'a str,
    writes: Vec<TransactWriteItem>,
    refusals: Vec<Refusal>,
    record: Option<&'a Record>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(client: &'a Client, table: &'a str) -> Self {
        Self { client, table, writes: Vec::new(), refusals: Vec::new(), record: None }
    }

    /// Turns to another table for the writes that follow.
    pub(super) fn in_table(self, table: &'a str) -> Self {
        Self { table, ..self }
    }

    /// Puts an item over the version of it that was read.
    pub(super) fn replace(self, item: Item, version: i64, refusal: Refusal) -> Result<Self, Error> {
        let put = Put::builder()
            .set_item(Some(item))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        self.put(put, refusal)
    }

    /// Puts an item where there must be none yet.
    pub(super) fn create(self, item: Item, refusal: Refusal) -> Result<Self, Error> {
        let put = Put::builder().set_item(Some(item)).condition_expression("attribute_not_exists(pk)");
        self.put(put, refusal)
    }

    fn put(self, put: PutBuilder, refusal: Refusal) -> Result<Self, Error> {
        let put = put.table_name(self.table).return_values_on_condition_check_failure(AllOld);
        let put = put.build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().put(put), refusal))
    }

    /// Updates an item on a condition.
    pub(super) fn update(self, update: UpdateBuilder, refusal: Refusal) -> Result<Self, Error> {
        let update = update.table_name(self.table).return_values_on_condition_check_failure(AllOld);
        let update = update.build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().update(update), refusal))
    }

    /// Removes an item on a condition.
    pub(super) fn delete(self, delete: DeleteBuilder, refusal: Refusal) -> Result<Self, Error> {
        let delete = delete.table_name(self.table).build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().delete(delete), refusal))
    }

    /// Goes on if a condition holds of an item that stays as it is.
    pub(super) fn check(self, check: ConditionCheckBuilder, refusal: Refusal) -> Result<Self, Error> {
        let check = check.table_name(self.table).build().map_err(Error::internal)?;
        Ok(self.write(TransactWriteItem::builder().condition_check(check), refusal))
    }

    fn write(mut self, write: TransactWriteItemBuilder, refusal: Refusal) -> Self {
        self.writes.push(write.build());
        self.refusals.push(refusal);
        self
    }

    /// Records the attempt. An earlier record under its key outranks whatever else stands against the transaction.
    pub(super) fn once(self, record: &'a Record) -> Result<Self, Error> {
        let item = record.item()?;
        Ok(Self { record: Some(record), ..self.create(item, |_| Error::IdempotencyKeyReused)? })
    }

    /// Records the answer to an attempt that was begun before, unless it has one.
    pub(super) fn completing(self, record: &'a Record) -> Result<Self, Error> {
        let put = Put::builder()
            .set_item(Some(record.item()?))
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(answer)");
        Ok(Self { record: Some(record), ..self.put(put, |_| Error::StaleVersion)? })
    }

    /// Commits all of it, or nothing. A transaction that met another one is tried again, a few times.
    pub(super) async fn commit(self) -> Result<Outcome, Error> {
        match self.try_commit().await? {
            Attempted::Done(outcome) => Ok(outcome),
            Attempted::Refused(refused) => {
                let first = refused.first().and_then(|(place, item)| {
                    self.refusals.get(*place).map(|refusal| refusal(item.as_ref()))
                });
                Err(first.unwrap_or_else(|| Error::internal("a transaction was refused without a reason")))
            }
        }
    }

    /// [`commit`](Self::commit), for those who want to know each condition that does not hold.
    pub(super) async fn try_commit(&self) -> Result<Attempted, Error> {
        let mut tried = 0;
        loop {
            let call = self.client.transact_write_items().set_transact_items(Some(self.writes.clone()));
            let failure = match call.send().await {
                Ok(_) => return Ok(Attempted::Done(Outcome::Done)),
                Err(failure) => failure,
            };
            match self.judge(&failure) {
                Verdict::Met if tried < RETRIES => tokio::time::sleep(jitter(PAUSE * 2_u32.pow(tried))).await,
                Verdict::Met | Verdict::Passing => return Err(Error::Unavailable(failure.into())),
                Verdict::Replayed(earlier) => return Ok(Attempted::Done(Outcome::Replayed(earlier))),
                Verdict::Reused(error) => return Err(error),
                Verdict::Refused(refused) => return Ok(Attempted::Refused(refused)),
                Verdict::Other => return Err(aws::judge(failure)),
            }
            tried += 1;
        }
    }

    fn judge(&self, failure: &SdkError<TransactWriteItemsError>) -> Verdict {
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) =
            failure.as_service_error()
        else {
            return Verdict::Other;
        };
        let reasons = cancelled.cancellation_reasons();
        let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
        // The record is the last write.
        if let (Some(record), Some(last)) = (self.record, reasons.get(self.writes.len() - 1))
            && let ("ConditionalCheckFailed", Some(earlier)) = (&*code(last), last.item())
        {
            return match record.against(earlier.clone()) {
                Ok(Earlier::Answered(answer)) => Verdict::Replayed(answer),
                // Another one is at work on the same attempt.
                Ok(Earlier::Begun(_)) => Verdict::Reused(Error::StaleVersion),
                Err(error) => Verdict::Reused(error),
            };
        }
        let codes: Vec<String> = reasons.iter().map(code).collect();
        let all = |known: &[&str]| !codes.is_empty() && codes.iter().all(|code| known.contains(&&**code));
        let refused =
            reasons.iter().enumerate().filter(|(_, reason)| code(reason) == "ConditionalCheckFailed");
        let refused: Vec<_> = refused.map(|(place, reason)| (place, reason.item().cloned())).collect();
        match refused.is_empty() {
            // Only where every reason is a verdict on the caller: beside a throttled or contended write a failed
            // condition may be of a moment that never was.
            false if all(&["None", "ConditionalCheckFailed"]) => Verdict::Refused(refused),
            _ if all(&["None", "TransactionConflict"]) => Verdict::Met,
            _ if codes
                .iter()
                .any(|code| matches!(&**code, "ValidationError" | "ItemCollectionSizeLimitExceeded")) =>
            {
                Verdict::Other
            }
            _ => Verdict::Passing,
        }
    }
}

/// How a commit came out.
pub(super) enum Attempted {
    /// All of it is committed.
    Done(Outcome),
    /// Nothing is: at these places of the transaction conditions do not hold, of the items that stood there.
    Refused(Vec<(usize, Option<Item>)>),
}

/// What a failed commit means.
enum Verdict {
    /// Another transaction was at the same items.
    Met,
    /// Throttling, or conflict beside other things.
    Passing,
    /// The key had been used before, for the same.
    Replayed(Recorded),
    /// The key had been used for something else, or is in use.
    Reused(Error),
    /// Conditions do not hold: of the writes at these places, with the items that stood against them.
    Refused(Vec<(usize, Option<Item>)>),
    /// Not a cancellation, or one that is our own fault.
    Other,
}

/// A pause between nothing and `longest`: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
fn jitter(longest: Duration) -> Duration {
    random().map_or(longest, |[random]: [u8; 1]| longest * u32::from(random) / 256)
}
