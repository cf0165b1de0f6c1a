//! Several writes, all or nothing, each with the error that its failed condition means.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        CancellationReason, ConditionCheck, Delete, Put,
        ReturnValuesOnConditionCheckFailure::AllOld,
        TransactWriteItem, Update,
        builders::{ConditionCheckBuilder, DeleteBuilder, UpdateBuilder},
    },
};

use super::{
    Item,
    idempotency::{Outcome, Record, Recorded},
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

    /// Puts an item where there must be none yet.
    pub(super) fn create(mut self, item: Item, refusal: Refusal) -> Result<Self, Error> {
        let put = Put::builder()
            .table_name(self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(AllOld);
        let put = put.build().map_err(Error::internal)?;
        self.writes.push(TransactWriteItem::builder().put(put).build());
        self.refusals.push(refusal);
        Ok(self)
    }

    /// Updates an item on a condition.
    pub(super) fn update(mut self, update: UpdateBuilder, refusal: Refusal) -> Result<Self, Error> {
        let update: Update = update
            .table_name(self.table)
            .return_values_on_condition_check_failure(AllOld)
            .build()
            .map_err(Error::internal)?;
        self.writes.push(TransactWriteItem::builder().update(update).build());
        self.refusals.push(refusal);
        Ok(self)
    }

    /// Removes an item on a condition.
    pub(super) fn delete(mut self, delete: DeleteBuilder, refusal: Refusal) -> Result<Self, Error> {
        let delete: Delete = delete.table_name(self.table).build().map_err(Error::internal)?;
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        self.refusals.push(refusal);
        Ok(self)
    }

    /// Goes on if a condition holds of an item that stays as it is.
    pub(super) fn check(mut self, check: ConditionCheckBuilder, refusal: Refusal) -> Result<Self, Error> {
        let check: ConditionCheck = check.table_name(self.table).build().map_err(Error::internal)?;
        self.writes.push(TransactWriteItem::builder().condition_check(check).build());
        self.refusals.push(refusal);
        Ok(self)
    }

    /// Records the attempt. An earlier record under its key outranks whatever else stands against the transaction.
    pub(super) fn once(self, record: &'a Record) -> Result<Self, Error> {
        let item = record.item()?;
        Ok(Self { record: Some(record), ..self.create(item, |_| Error::IdempotencyKeyReused)? })
    }

    /// Commits all of it, or nothing. A transaction that met another one is tried again, a few times.
    pub(super) async fn commit(self) -> Result<Outcome, Error> {
        let mut tried = 0;
        loop {
            let call = self.client.transact_write_items().set_transact_items(Some(self.writes.clone()));
            let failure = match call.send().await {
                Ok(_) => return Ok(Outcome::Done),
                Err(failure) => failure,
            };
            match self.judge(&failure) {
                Verdict::Met if tried < RETRIES => tokio::time::sleep(jitter(PAUSE * 2_u32.pow(tried))).await,
                Verdict::Met | Verdict::Passing => return Err(Error::Unavailable(failure.into())),
                Verdict::Replayed(earlier) => return Ok(Outcome::Replayed(earlier)),
                Verdict::Refused(error) => return Err(error),
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
            return record.against(earlier.clone()).map_or_else(Verdict::Refused, Verdict::Replayed);
        }
        let codes: Vec<String> = reasons.iter().map(code).collect();
        let all = |known: &[&str]| !codes.is_empty() && codes.iter().all(|code| known.contains(&&**code));
        let refused =
            reasons.iter().zip(&self.refusals).find(|(reason, _)| code(reason) == "ConditionalCheckFailed");
        match refused {
            // Only where every reason is a verdict on the caller: beside a throttled or contended write a failed
            // condition may be of a moment that never was.
            Some((reason, refusal)) if all(&["None", "ConditionalCheckFailed"]) => {
                Verdict::Refused(refusal(reason.item()))
            }
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

/// What a failed commit means.
enum Verdict {
    /// Another transaction was at the same items.
    Met,
    /// Throttling, or conflict beside other things.
    Passing,
    /// The key had been used before, for the same.
    Replayed(Recorded),
    /// A condition does not hold.
    Refused(Error),
    /// Not a cancellation, or one that is our own fault.
    Other,
}

/// A pause between nothing and `longest`: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>.
fn jitter(longest: Duration) -> Duration {
    random().map_or(longest, |[random]: [u8; 1]| longest * u32::from(random) / 256)
}
