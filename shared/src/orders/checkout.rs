//! Orders together with the payment provider.

use std::{fmt::Display, str::FromStr};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    process::{self, Decision, Progress},
    provider_step::{self, ProviderUpdate, log_in_doubt},
};
use crate::{
    auth::OrderAccess,
    config::ConfigError,
    domain::{order::Order, order_id::OrderId},
    error::Error,
    payments::{Provider, ProviderError},
    secrets::Secrets,
    store::{
        MAX_RETRIES, Saved, contended,
        idempotency::{Idempotent, IdempotentRequest, RecordWrite},
        orders::Orders,
    },
};

/// Use cases that involve the payment provider.
pub struct Checkout {
    pub(super) orders: Orders,
    pub(super) provider: Provider,
}

impl Checkout {
    /// Connects to the provider. `orders` must include the stocks for use cases that change them.
    ///
    /// # Errors
    /// `PAYMENTS_SECRET` or `PAYMENTS_URL` is missing.
    pub async fn open(orders: Orders) -> Result<Self, ConfigError> {
        let provider = Provider::connect(Secrets::connect()?.payments().await?)?;
        Ok(Self { orders, provider })
    }

    /// Starts a process, once per idempotency key, and asks the provider as long as its answers change the order. A retry
    /// continues where the process has stopped.
    pub(super) async fn run<S, T, F, A>(
        &self,
        by: &OrderAccess,
        id: OrderId,
        request: &IdempotentRequest,
        decide: impl Fn(Order) -> F,
        mut ask: impl FnMut(Order, S) -> A,
        result: impl Fn(&Order, S) -> Result<T, Error>,
    ) -> Result<Idempotent<T>, Error>
    where
        S: Copy + Display + FromStr,
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<Decision<S>, Error>>,
        A: Future<Output = Result<ProviderUpdate, Error>>,
    {
        let context = request.context();
        let is_complete = |order: &Order| order.next_step().is_none();
        for _ in 0..MAX_RETRIES {
            let start = process::start(&self.orders, by, id, request, &decide, is_complete, &result);
            let (mut before, subject) = match start.await? {
                Progress::Completed(result) => return Ok(result),
                Progress::InProgress(order, subject) => (*order, subject),
            };
            loop {
                let update = ask(before.value.clone(), subject).await?;
                let mut order = before.value.clone();
                let stocks = update.apply(&mut order, context)?;
                let goes_on = order != before.value && order.next_step().is_some();
                let value = result(&order, subject)?;
                let completed = if goes_on { None } else { Some(request.completed(&value)?) };
                let record = completed.as_ref().map_or(RecordWrite::None, RecordWrite::Complete);
                match process::save(&self.orders, &before, order, &stocks, record, context).await? {
                    Saved::Committed(after) if goes_on => before = after,
                    Saved::Committed(_) => return Ok(request.first(value)),
                    Saved::Replayed(earlier) => return earlier.replay(),
                    Saved::Conflict => break,
                }
            }
        }
        Err(contended())
    }

    /// Asks the provider for the order's next step. A lost answer changes nothing: the order stays in doubt.
    pub(super) async fn ask_next_step(
        &self,
        order: Order,
        request: &IdempotentRequest,
    ) -> Result<ProviderUpdate, Error> {
        let Some(step) = order.next_step() else { return Ok(ProviderUpdate::None) };
        match provider_step::ask(&self.provider, &step, request.context()).await {
            Ok(update) => Ok(update),
            Err(error @ ProviderError::InDoubt(_)) => {
                log_in_doubt(&error);
                Ok(ProviderUpdate::None)
            }
            Err(error) => Err(error.into()),
        }
    }
}
