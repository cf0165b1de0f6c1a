//! The loop of all changes to orders: load, decide, save, retry after a concurrent change.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    auth::OrderAccess,
    domain::{
        change::ChangeContext,
        inventory::StockChanges,
        order::{Order, OrderError, TimelineEvent, TimelineEventType},
        order_id::OrderId,
    },
    error::Error,
    store::{
        MAX_RETRIES, Saved, Versioned, contended,
        idempotency::{ExistingRecord, Idempotent, IdempotentRequest, RecordWrite},
        orders::Orders,
    },
    telemetry::{self, Metric},
};

/// A decision to change an order.
pub(super) struct Decision<S> {
    pub order: Order,
    /// Id of the payment, refund or fulfilment that the change is about.
    pub subject: S,
    pub stocks: StockChanges,
}

/// Progress of a request with an idempotency key.
pub(super) enum Progress<S, T> {
    Completed(Idempotent<T>),
    /// The process about this subject has started, and is recorded under the key.
    InProgress(Box<Versioned<Order>>, S),
}

/// Starts a change, once per idempotency key. `is_complete` tells whether the decision needs no further step; `result`
/// extracts the result from the changed order.
pub(super) async fn start<S, T, F>(
    orders: &Orders,
    by: &OrderAccess,
    id: OrderId,
    request: &IdempotentRequest,
    decide: impl Fn(Order) -> F,
    is_complete: impl Fn(&Order) -> bool,
    result: impl Fn(&Order, S) -> Result<T, Error>,
) -> Result<Progress<S, T>, Error>
where
    S: Copy + Display + FromStr,
    T: Serialize + DeserializeOwned,
    F: Future<Output = Result<Decision<S>, Error>>,
{
    for attempt in 0..MAX_RETRIES {
        let (before, existing) = orders.load_for(by, id, request).await?;
        match existing {
            Some(ExistingRecord::Completed(result)) => return Ok(Progress::Completed(result)),
            Some(ExistingRecord::InProgress(subject)) => {
                let subject = subject.parse().map_err(|_| damaged())?;
                return Ok(Progress::InProgress(Box::new(before), subject));
            }
            None => {}
        }
        let Decision { order, subject, stocks } = match decide(before.value.clone()).await {
            Ok(decision) => decision,
            // Order and record are not read in a transaction: a concurrent request with the same key may have committed
            // between the two reads. Look again.
            Err(Error::Order(_) | Error::Validation(_)) if attempt == 0 => continue,
            Err(error) => return Err(error),
        };
        let completed = if is_complete(&order) { Some(result(&order, subject)?) } else { None };
        let record = match &completed {
            Some(result) => request.completed(result)?,
            None => request.in_progress(subject),
        };
        let record = RecordWrite::Insert(&record, by);
        match (save(orders, &before, order, &stocks, record, request.context()).await?, completed) {
            (Saved::Committed(_), Some(result)) => return Ok(Progress::Completed(request.first(result))),
            (Saved::Committed(saved), None) => return Ok(Progress::InProgress(Box::new(saved), subject)),
            (Saved::Replayed(earlier), _) => return Ok(Progress::Completed(earlier.replay()?)),
            (Saved::Conflict, _) => {}
        }
    }
    Err(contended())
}

/// Changes an order without an idempotency key. Returns the order before and after, or `None` if nothing changed.
pub(super) async fn update<F>(
    orders: &Orders,
    id: OrderId,
    context: &ChangeContext,
    decide: impl Fn(Order) -> F,
) -> Result<Option<(Order, Order)>, Error>
where
    F: Future<Output = Result<(Order, StockChanges), Error>>,
{
    for _ in 0..MAX_RETRIES {
        let before = orders.load(id).await?;
        let (order, stocks) = decide(before.value.clone()).await?;
        if order == before.value {
            return Ok(None);
        }
        match save(orders, &before, order, &stocks, RecordWrite::None, context).await? {
            Saved::Committed(after) => return Ok(Some((before.value, after.value))),
            Saved::Replayed(_) => return Ok(None),
            Saved::Conflict => {}
        }
    }
    Err(contended())
}

/// Saves a changed order and counts the business metrics of the change.
pub(super) async fn save(
    orders: &Orders,
    before: &Versioned<Order>,
    order: Order,
    stocks: &StockChanges,
    record: RecordWrite<'_>,
    context: &ChangeContext,
) -> Result<Saved<Versioned<Order>>, Error> {
    let saved = orders.save(before, order, stocks, record, context).await?;
    if let Saved::Committed(after) = &saved {
        count(after.value.events_since(&before.value));
    }
    Ok(saved)
}

/// Counts the business metrics of a commit, by the events that it added to the timeline.
pub(super) fn count(events: &[TimelineEvent]) {
    for event in events {
        match (event.r#type, event.amount) {
            (TimelineEventType::Created, _) => telemetry::count(Metric::OrdersPlaced),
            (TimelineEventType::PaymentFailed, _) => telemetry::count(Metric::PaymentsDeclined),
            (TimelineEventType::Paid, Some(captured)) => telemetry::add(Metric::Revenue, captured),
            (TimelineEventType::Refunded, Some(amount)) => telemetry::add(Metric::Refunded, amount),
            _ => {}
        }
    }
}

/// The error of an idempotency record whose subject its order does not have.
pub(super) fn damaged() -> Error {
    Error::internal("an idempotency record names a subject that its order does not have")
}

impl<S> Decision<S> {
    /// Decides by a change that needs nothing but the order.
    pub async fn by(
        mut order: Order,
        change: impl FnOnce(&mut Order) -> Result<(S, StockChanges), OrderError>,
    ) -> Result<Self, Error> {
        let (subject, stocks) = change(&mut order)?;
        Ok(Self { order, subject, stocks })
    }
}
