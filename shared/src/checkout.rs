//! What takes several steps, some of them the payment provider's: to pay, to capture, to refund, to cancel, to expire, and
//! to settle what was left in doubt.
//!
//! Each is made of the same: what is going to be asked of the provider is written down first, then asked, then what came
//! of it is written down. So whoever dies in between leaves a trace, by which the caller's repetition, a webhook or the
//! schedule goes on. What to ask next says [`Order::next_step`]; what the provider says goes in by [`Order::learn`].

use std::future::ready;

use crate::{
    auth::{Customer, OrderAccess},
    config::ConfigError,
    domain::{
        cause::{By, Cause},
        id::Id,
        order::{ABANDONED, Order, OrderId, Queue, Refusal, Step, StockChanges},
        payment::{
            Intent, IntentState, NewCapture, NewPayment, NewRefund, Payment, Refund, RefundNews, Status,
        },
        time::Timestamp,
    },
    error::{self, Error},
    payments::{Failure, Provider, Webhook},
    secrets::Secrets,
    store::{
        idempotency::{Answered, Attempt, Recorded},
        orders::{Begun, Cursor, GROUPS, Note, Orders, Saved, TRIES, contended},
    },
    telemetry::{self, Level},
};

/// The longest pause, in milliseconds, until something in doubt is looked at again.
const LONGEST_PAUSE: i64 = 24 * 60 * 60 * 1000;
/// The decline code of a payment whose payment method the provider does not know.
pub const UNKNOWN_PAYMENT_METHOD: &str = "unknown_payment_method";

/// The orders together with the payment provider.
pub struct Checkout {
    orders: Orders,
    provider: Provider,
}

/// What the provider has said.
enum News {
    Payment(Intent),
    Refund(RefundNews),
    RefundRefused(Id<Refund>),
    CaptureRefused(Id<Payment>),
    Nothing,
}

impl Checkout {
    /// Of these orders, which have the stocks where those change, and of the provider.
    ///
    /// # Errors
    /// Where `PAYMENTS_SECRET` or `PAYMENTS_URL` is missing.
    pub async fn open(orders: Orders) -> Result<Self, ConfigError> {
        let provider = Provider::connect(Secrets::connect()?.payments().await?)?;
        Ok(Self { orders, provider })
    }

    /// Pays an order. A repetition goes on where the attempt before it has stopped.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Order`], [`Error::IdempotencyKeyReused`].
    pub async fn pay(
        &self,
        by: Customer,
        order: OrderId,
        new: &NewPayment,
        id: Id<Payment>,
        attempt: &Attempt,
        answer: impl Fn(&Payment) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        let by = OrderAccess::Own(by);
        // What the provider has said to the confirmation, which is sent only once.
        let mut confirmed: Option<Intent> = None;
        let begin = |mut order: Order| async move {
            self.begin_payment(&mut order, id, new, cause).await?;
            Ok((order, id.to_string(), StockChanges::default()))
        };
        for _ in 0..TRIES {
            let (kept, id) = match self.orders.begin(&by, order, attempt, begin, |_, _| Ok(None)).await? {
                Begun::Answered(answered) => return Ok(answered),
                Begun::UnderWay(kept, id) => (kept, id.parse().map_err(|_| damaged())?),
            };
            let mut after = kept.order.clone();
            let payment = after.payment(id).ok_or_else(damaged)?.clone();
            if after.cancelling && payment.status.is_live() {
                return Err(contended());
            }
            if payment.status == Status::Processing {
                if confirmed.is_none() {
                    confirmed = self.confirm(&payment, new).await?;
                }
                if let Some(news) = &confirmed {
                    after.learn(news, cause)?;
                }
            }
            let answer = answer(after.payment(id).ok_or_else(damaged)?)?;
            let record = attempt.answered(answer.clone());
            let saved = self
                .orders
                .save(&kept, after, &StockChanges::default(), Note::Answer(&record), cause)
                .await?;
            match saved {
                Saved::Done(_) => return Ok(Answered { answer, replayed: false }),
                Saved::Replayed(answer) => return Ok(Answered { answer, replayed: true }),
                Saved::Overtaken => {}
            }
        }
        Err(contended())
    }

    async fn begin_payment(
        &self,
        order: &mut Order,
        id: Id<Payment>,
        new: &NewPayment,
        cause: &Cause,
    ) -> Result<(), Error> {
        order.check_payable(cause.at)?;
        let intent = self.provider.create(order.id, order.next_attempt(), order.total, new.capture).await;
        let intent = match intent {
            Ok(intent) => intent,
            // Too much or too little for the provider.
            Err(Failure::Refused { param: Some(param), .. }) if param == "amount" => {
                return Err(Refusal::NotPayable.into());
            }
            Err(failure) => return Err(failure.into()),
        };
        Ok(order.begin_payment(id, intent.id, new, cause)?)
    }

    /// Has the provider charge; none where its answer is in doubt.
    async fn confirm(&self, payment: &Payment, new: &NewPayment) -> Result<Option<Intent>, Error> {
        match self.provider.confirm(payment, new).await {
            Ok(intent) => Ok(Some(intent)),
            Err(failure @ Failure::InDoubt(_)) => {
                doubt(&failure);
                Ok(None)
            }
            Err(Failure::Refused { param: Some(param), .. }) if param == "payment_method" => {
                let state = IntentState::Declined(UNKNOWN_PAYMENT_METHOD.to_owned());
                Ok(Some(Intent { id: payment.provider_id.clone(), state }))
            }
            // It was called off, or another attempt was quicker: what counts is how it stands.
            Err(Failure::Refused { .. }) => Ok(Some(self.provider.read(&payment.provider_id).await?.0)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Takes what is reserved, or a part.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Order`], [`Error::Invalid`], [`Error::IdempotencyKeyReused`].
    pub async fn capture(
        &self,
        by: &OrderAccess,
        order: OrderId,
        new: &NewCapture,
        attempt: &Attempt,
        answer: impl Fn(&Payment) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        let begin = |order: &mut Order| {
            let id = order.begin_capture(new, cause)?;
            Ok((id.to_string(), StockChanges::default()))
        };
        let answer = |order: &Order, id: &str| {
            let id = id.parse().map_err(|_| damaged())?;
            answer(order.payment(id).ok_or_else(damaged)?)
        };
        self.undertake(by, order, attempt, begin, answer).await
    }

    /// Gives money back, and frees or takes back goods.
    ///
    /// # Errors
    /// As for [`Self::capture`].
    pub async fn refund(
        &self,
        by: &OrderAccess,
        order: OrderId,
        new: &NewRefund,
        id: Id<Refund>,
        attempt: &Attempt,
        answer: impl Fn(&Refund) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        let begin = |order: &mut Order| {
            order.begin_refund(id, new.clone(), cause)?;
            Ok((id.to_string(), StockChanges::default()))
        };
        let answer = |order: &Order, id: &str| {
            let id = id.parse().map_err(|_| damaged())?;
            answer(order.refund(id).ok_or_else(damaged)?)
        };
        self.undertake(by, order, attempt, begin, answer).await
    }

    /// Cancels an order: what was paid goes back first, then the stock.
    ///
    /// # Errors
    /// As for [`Self::capture`].
    pub async fn cancel(
        &self,
        by: &OrderAccess,
        order: OrderId,
        attempt: &Attempt,
        answer: impl Fn(&Order) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        let begin = |order: &mut Order| Ok(("cancellation".to_owned(), order.begin_cancellation(cause)?));
        self.undertake(by, order, attempt, begin, |order, _| answer(order)).await
    }

    /// Begins something, once, and drives it as far as it goes now. A repetition goes on where the attempt before it has
    /// stopped.
    async fn undertake(
        &self,
        by: &OrderAccess,
        order: OrderId,
        attempt: &Attempt,
        begin: impl Fn(&mut Order) -> Result<(String, StockChanges), Refusal>,
        answer: impl Fn(&Order, &str) -> Result<Recorded, Error>,
    ) -> Result<Answered, Error> {
        let cause = attempt.cause();
        let begin = |mut order: Order| {
            let begun = begin(&mut order).map_err(Error::from);
            ready(begun.map(|(what, stocks)| (order, what, stocks)))
        };
        // Where the provider need not be asked, it is done at once.
        let at_once =
            |order: &Order, what: &str| order.next_step().is_none().then(|| answer(order, what)).transpose();
        for _ in 0..TRIES {
            let (mut kept, what) = match self.orders.begin(by, order, attempt, begin, at_once).await? {
                Begun::Answered(answered) => return Ok(answered),
                Begun::UnderWay(kept, what) => (kept, what),
            };
            loop {
                let step = kept.order.next_step();
                let (news, known) = match &step {
                    Some(step) => match self.ask(step, cause).await {
                        Ok(news) => (news, true),
                        Err(failure @ Failure::InDoubt(_)) => {
                            doubt(&failure);
                            (News::Nothing, false)
                        }
                        Err(failure) => return Err(failure.into()),
                    },
                    None => (News::Nothing, false),
                };
                let mut order = kept.order.clone();
                let stocks = take_in(&mut order, &news, cause)?;
                let goes_on = known && order != kept.order && order.next_step().is_some();
                let answer = answer(&order, &what)?;
                let record = attempt.answered(answer.clone());
                let note = if goes_on { Note::None } else { Note::Answer(&record) };
                match self.orders.save(&kept, order, &stocks, note, cause).await? {
                    Saved::Done(saved) if goes_on => kept = saved,
                    Saved::Done(_) => return Ok(Answered { answer, replayed: false }),
                    Saved::Replayed(answer) => return Ok(Answered { answer, replayed: true }),
                    Saved::Overtaken => break,
                }
            }
        }
        Err(contended())
    }

    /// Asks the provider for a step.
    async fn ask(&self, step: &Step, cause: &Cause) -> Result<News, Failure> {
        let refused = |failure: &Failure| matches!(failure, Failure::Refused { .. });
        match step {
            Step::Refund(refund, payment) => {
                // The provider forgets keys after a day, so somebody who comes late looks first.
                if cause.by == By::Schedule
                    && let Some(news) = self.refund_news(refund, payment).await?
                {
                    return Ok(News::Refund(news));
                }
                match self.provider.refund(refund, payment).await {
                    Ok(news) => Ok(News::Refund(news)),
                    Err(failure) if refused(&failure) => Ok(News::RefundRefused(refund.id)),
                    Err(failure) => Err(failure),
                }
            }
            Step::Follow(refund, payment) => {
                let news = self.refund_news(refund, payment).await?;
                Ok(news.map_or(News::Nothing, News::Refund))
            }
            Step::Capture(payment, amount) => match self.provider.capture(payment, *amount).await {
                Ok(intent) => Ok(News::Payment(intent)),
                Err(failure) if refused(&failure) => {
                    let (intent, _) = self.provider.read(&payment.provider_id).await?;
                    let reserved = intent.state == IntentState::Authorized;
                    Ok(if reserved { News::CaptureRefused(payment.id) } else { News::Payment(intent) })
                }
                Err(failure) => Err(failure),
            },
            Step::Cancel(payment) => self.call_off(payment).await.map(News::Payment),
            Step::Settle(payment) => {
                let (intent, _) = self.provider.read(&payment.provider_id).await?;
                let age = cause.at.as_millis() - payment.created_at.as_millis();
                let abandoned = intent.state == IntentState::Unconfirmed && age >= ABANDONED;
                Ok(News::Payment(if abandoned { self.call_off(payment).await? } else { intent }))
            }
        }
    }

    /// Has a payment called off, and tells how it stands then: it may have been charged before.
    async fn call_off(&self, payment: &Payment) -> Result<Intent, Failure> {
        match self.provider.cancel(payment).await {
            Err(Failure::Refused { .. }) => Ok(self.provider.read(&payment.provider_id).await?.0),
            other => other,
        }
    }

    async fn refund_news(&self, refund: &Refund, payment: &Payment) -> Result<Option<RefundNews>, Failure> {
        Ok(self.provider.refunds(payment).await?.into_iter().find(|news| news.is_of(refund)))
    }

    /// Takes in a webhook, which is a hint only: what counts is what the provider says when it is asked. So it may come
    /// twice, late, or in any order.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::MalformedJson`]; [`Error::NotFound`] where it is about an order that there
    /// is not.
    pub async fn hear(&self, body: &[u8], signature: &str, cause: &Cause) -> Result<(), Error> {
        let webhook = self.provider.webhook(body, signature, cause.at).await?;
        let (Webhook::Payment(id) | Webhook::Refund(id) | Webhook::Dispute(id, _)) = &webhook else {
            return Ok(());
        };
        let (intent, order) = match self.provider.read(id).await {
            Err(Failure::Refused { code, .. }) if code == "resource_missing" => return Err(Error::NotFound),
            read => read?,
        };
        let order = order.ok_or(Error::NotFound)?;
        let (intent, webhook) = (&intent, &webhook);
        let learn = |mut order: Order| async move {
            let mut stocks = order.learn(intent, cause)?;
            let payment = order.payments.iter().find(|payment| payment.provider_id == intent.id).cloned();
            match (webhook, payment) {
                (Webhook::Refund(_), Some(payment)) => {
                    for news in self.provider.refunds(&payment).await? {
                        stocks.extend(order.learn_refund(&news, cause)?);
                    }
                }
                (Webhook::Dispute(_, news), Some(_)) => order.learn_dispute(*news, cause),
                _ => {}
            }
            Ok((order, stocks))
        };
        self.change(order, learn, cause).await
    }

    /// Changes an order for nobody who waits for an answer, if there is something to change.
    async fn change<F>(&self, id: OrderId, change: impl Fn(Order) -> F, cause: &Cause) -> Result<(), Error>
    where
        F: Future<Output = Result<(Order, StockChanges), Error>>,
    {
        for _ in 0..TRIES {
            let kept = self.orders.find(id).await?.ok_or(Error::NotFound)?;
            let (order, stocks) = change(kept.order.clone()).await?;
            if order == kept.order {
                return Ok(());
            }
            match self.orders.save(&kept, order, &stocks, Note::None, cause).await? {
                Saved::Overtaken => {}
                Saved::Done(_) | Saved::Replayed(_) => return Ok(()),
            }
        }
        Err(contended())
    }

    /// Looks at every order of a queue whose time has come. What fails is said, and does not hold up the others.
    ///
    /// # Errors
    /// Where the queue can't be read, or at least one order could not be worked off.
    pub async fn work_off(&self, queue: Queue, cause: &Cause) -> Result<(), Error> {
        let mut failed = None;
        for group in 0..GROUPS {
            let mut after: Option<Cursor> = None;
            loop {
                let (orders, next) = self.orders.due(queue, group, cause.at, after).await?;
                for order in orders {
                    let done = match queue {
                        Queue::Expiry => self.expire(order, cause).await,
                        Queue::Doubt => self.settle(order, cause).await,
                    };
                    if let Err(error) = done {
                        telemetry::event(Level::Warn, &format!("{order} has to wait"), &error::chain(&error));
                        failed = Some(error);
                    }
                }
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Gives back the stock of an order that was not paid in time, after its payment was called off.
    async fn expire(&self, id: OrderId, cause: &Cause) -> Result<(), Error> {
        let expire = |mut order: Order| async move {
            let mut stocks = StockChanges::default();
            if !order.is_overdue(cause.at) {
                return Ok((order, stocks));
            }
            if let Some(payment) = order.live_payment().cloned() {
                let intent = self.call_off(&payment).await?;
                stocks = order.learn(&intent, cause)?;
            }
            match order.expire(cause) {
                Ok(released) => stocks.extend(released),
                // It was paid in the last moment, or the bank still thinks about it.
                Err(Refusal::NotExpired) => {}
                Err(refusal) => return Err(refusal.into()),
            }
            Ok((order, stocks))
        };
        self.change(id, expire, cause).await
    }

    /// Asks the provider about an order until nothing is in doubt, or nothing new comes.
    async fn settle(&self, id: OrderId, cause: &Cause) -> Result<(), Error> {
        let mut kept = self.orders.find(id).await?.ok_or(Error::NotFound)?;
        if kept.order.due().is_none_or(|(queue, at)| queue != Queue::Doubt || at > cause.at) {
            return Ok(());
        }
        // A step leads to the next one; more than a few of them are none of an order's life.
        for _ in 0..TRIES * 2 {
            let Some(step) = kept.order.late_step() else { return Ok(()) };
            let news = match self.ask(&step, cause).await {
                Ok(news) => news,
                Err(failure) => {
                    self.orders.postpone(&kept, again(&kept.order, cause.at)).await?;
                    return Err(failure.into());
                }
            };
            let mut order = kept.order.clone();
            let stocks = take_in(&mut order, &news, cause)?;
            if order == kept.order {
                return self.orders.postpone(&kept, again(&kept.order, cause.at)).await;
            }
            kept = match self.orders.save(&kept, order, &stocks, Note::None, cause).await? {
                Saved::Done(saved) => *saved,
                Saved::Overtaken | Saved::Replayed(_) => {
                    self.orders.find(id).await?.ok_or(Error::NotFound)?
                }
            };
            if kept.order.next_step().is_none() {
                return Ok(());
            }
        }
        Err(contended())
    }
}

/// What an order makes of the provider's word.
fn take_in(order: &mut Order, news: &News, cause: &Cause) -> Result<StockChanges, Refusal> {
    match news {
        News::Payment(intent) => order.learn(intent, cause),
        News::Refund(news) => order.learn_refund(news, cause),
        News::RefundRefused(id) => {
            order.refuse_refund(*id, cause);
            Ok(StockChanges::default())
        }
        News::CaptureRefused(id) => {
            order.refuse_capture(*id, cause);
            Ok(StockChanges::default())
        }
        News::Nothing => Ok(StockChanges::default()),
    }
}

/// When something in doubt is looked at again: the longer it lasts, the later.
fn again(order: &Order, now: Timestamp) -> Timestamp {
    let age = now.as_millis() - order.updated_at.as_millis();
    Timestamp::from_millis(now.as_millis() + (age / 2).clamp(ABANDONED, LONGEST_PAUSE))
}

fn doubt(failure: &Failure) {
    telemetry::event(Level::Warn, "the outcome of a payment is in doubt", &error::chain(failure));
}

fn damaged() -> Error {
    Error::internal("an idempotency record names what its order does not have")
}
