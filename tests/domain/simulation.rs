//! Simulates thousands of shops with random customers, staff, banks and schedules. Messages between shop and provider are
//! reordered, repeated, delayed or lost. After each step, both sides must agree.
//!
//! A failing shop prints its seed. `SEED=… cargo test --test domain simulation -- --nocapture` shows its history;
//! `SHOPS=1000000` searches longer.

mod provider;

use std::{collections::BTreeSet, env, thread};

use fastrand::Rng;
use provider::{Card, News, Provider};
use serde_json::json;
use shared::domain::{
    change::{ChangeContext, Initiator},
    id::Id,
    inventory::{ItemQuantity, StockChanges},
    money::Money,
    order::{
        DueQueue, Line, NewFulfilment, NewOrder, Order, OrderError, OrderStatus, PaymentStatus, ProviderStep,
        TimelineEventType,
    },
    order_id::OrderId,
    payment::{
        Capture, Intent, IntentState, NewCapture, NewPayment, NewRefund, Refund, RefundStatus, RefundUpdate,
    },
    product::{NewProduct, Product},
    time::Timestamp,
    validation,
};

use crate::orders::{fulfilment_may_become, order_may_become, payment_may_become, status_may_become};

/// Shops per run.
const SHOPS: u64 = 1_000;
/// Steps of a shop before it settles.
const STEPS: usize = 80;
/// Orders of a shop.
const ORDERS: usize = 2;
const PRODUCTS: usize = 3;
const SECOND: i64 = 1000;

#[test]
fn simulation_i01_i02_i07_i08_i09_i10_i11() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let mut seen = BTreeSet::new();
    if let Some(seed) = number("SEED") {
        Shop::open(seed, true).live(&mut seen);
        return;
    }
    let (first, shops) = (fastrand::u64(..), number("SHOPS").unwrap_or(SHOPS));
    for seed in (0..shops).map(|shop| first.wrapping_add(shop)) {
        let _replay = Replay(seed);
        Shop::open(seed, false).live(&mut seen);
    }
    // What never happens is not tested.
    let unseen: Vec<_> = KINDS.into_iter().filter(|kind| !seen.contains(kind.into_str())).collect();
    assert!(shops < SHOPS || unseen.is_empty(), "in {shops} shops from seed {first} on, never {unseen:?}");
}

/// Prints how to reproduce a failure.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("see it again: SEED={} cargo test --test domain simulation -- --nocapture", self.0);
        }
    }
}

/// All types of timeline events.
const KINDS: [TimelineEventType; 20] = [
    TimelineEventType::Created,
    TimelineEventType::PaymentStarted,
    TimelineEventType::PaymentActionRequired,
    TimelineEventType::PaymentFailed,
    TimelineEventType::PaymentVoided,
    TimelineEventType::Authorized,
    TimelineEventType::CaptureStarted,
    TimelineEventType::Paid,
    TimelineEventType::CancellationStarted,
    TimelineEventType::Cancelled,
    TimelineEventType::Expired,
    TimelineEventType::RefundStarted,
    TimelineEventType::Refunded,
    TimelineEventType::RefundFailed,
    TimelineEventType::Fulfilled,
    TimelineEventType::Completed,
    TimelineEventType::Disputed,
    TimelineEventType::DisputeWon,
    TimelineEventType::DisputeLost,
    TimelineEventType::Erased,
];

/// A message within the shop, or between shop and provider.
#[derive(Clone, Debug)]
enum Message {
    /// A payment to start, of an order that was read in this version.
    Begin { order: usize, version: usize, intent: String, capture: Capture, card: Card },
    /// To the provider: charge.
    Confirm { order: usize, intent: String, card: Card },
    /// To the provider: the order's next step.
    Ask(usize, Box<ProviderStep>),
    /// From the provider: a refund has failed.
    Refused(usize, Id<Refund>),
    /// From the provider: an earlier state.
    News(News),
}

impl Message {
    /// Returns whether the provider repeats it until it is delivered, because the shop would not ask.
    fn is_repeated(&self) -> bool {
        let failed = |news: &RefundUpdate| news.status == RefundStatus::Failed;
        matches!(self, Self::News(News::Dispute(..)))
            || matches!(self, Self::News(News::Refund(_, news)) if failed(news))
    }
}

/// A stored order.
struct Stored {
    order: Order,
    version: usize,
}

/// Stock of a product, changed by orders only.
struct Stock {
    opening: i64,
    on_hand: i64,
    reserved: i64,
    available: i64,
}

struct Shop {
    rng: Rng,
    now: i64,
    catalogue: Vec<Product>,
    stocks: Vec<Stock>,
    orders: Vec<Stored>,
    provider: Provider,
    messages: Vec<Message>,
    tells: bool,
}

impl Shop {
    fn open(seed: u64, tells: bool) -> Self {
        let (mut rng, now) = (Rng::with_seed(seed), 1_700_000_000_000);
        let catalogue: Vec<_> = (0..PRODUCTS).map(|place| product(place, &mut rng, now)).collect();
        let stock = |_| {
            let pieces = [0, 1, 3, 10, 1000][rng.usize(..5)];
            Stock { opening: pieces, on_hand: pieces, reserved: 0, available: pieces }
        };
        let stocks = (0..PRODUCTS).map(stock).collect();
        let (orders, messages) = (Vec::new(), Vec::new());
        Self { rng, now, catalogue, stocks, orders, provider: Provider::default(), messages, tells }
    }

    fn live(&mut self, seen: &mut BTreeSet<&'static str>) {
        for _ in 0..STEPS {
            self.step();
            self.check();
        }
        self.come_to_rest();
        let entries = self.orders.iter().flat_map(|stored| &stored.order.timeline);
        seen.extend(entries.map(|entry| entry.r#type.into_str()));
    }

    fn step(&mut self) {
        self.messages.extend(self.provider.news.drain(..).map(Message::News));
        match self.rng.usize(..100) {
            0..40 if !self.messages.is_empty() => {
                let message = self.messages.swap_remove(self.rng.usize(..(self.messages.len()).max(1)));
                match self.rng.usize(..10) {
                    0 if message.is_repeated() => self.messages.push(message),
                    // Lost: a request, an answer, or whoever had it in hand.
                    0 => self.tell(|| format!("lost: {message:?}")),
                    1 => {
                        self.messages.push(message.clone());
                        self.deliver(message);
                    }
                    _ => self.deliver(message),
                }
            }
            0..50 if self.orders.len() < ORDERS => self.place(),
            40..50 => self.provider.happen(&mut self.rng, self.now),
            50..60 => self.pass([1, 10, 40, 20 * 60, 2 * 60 * 60, 8 * 24 * 60 * 60]),
            60..70 => self.look_after_due_ones(),
            _ if self.orders.is_empty() => self.place(),
            _ => self.operate(),
        }
    }

    /// Lets some seconds pass, mostly few.
    fn pass<const N: usize>(&mut self, seconds: [i64; N]) {
        let most = self.rng.usize(..N) + 1;
        self.now += seconds[self.rng.usize(..(most).max(1))] * SECOND;
        self.tell(|| "later".to_owned());
    }

    /// Performs a random request of the customer or staff.
    fn operate(&mut self) {
        let place = self.rng.usize(..(self.orders.len()).max(1));
        let what = self.rng.usize(..100);
        match what {
            0..30 => self.pay(place),
            30..42 => self.cancel(place),
            42..50 => self.capture(place),
            50..67 => self.fulfil(place),
            67..92 => self.refund(place),
            92..97 => self.expire(place),
            _ => self.erase(place),
        }
    }

    fn place(&mut self) {
        let mut items = Vec::new();
        for _ in 0..=self.rng.usize(..3) {
            let product = &self.catalogue[self.rng.usize(..PRODUCTS)];
            items.push(json!({"product_id": product.id, "quantity": self.rng.usize(..4) + 1}));
        }
        let address = json!({"name": "A", "line1": "B", "city": "C", "postal_code": "1", "country": "DE"});
        let new = validation::read(json!({"items": items, "shipping_address": address}), NewOrder::read);
        let id = OrderId::new(self.id(), self.id());
        let placed =
            new.expect("a valid cart").place(id, &self.catalogue, &self.context(Initiator::Schedule));
        let (order, stocks) = placed.expect("products on sale, in one currency");
        let lacks = |change: &&shared::domain::inventory::StockChange| {
            let place = self.catalogue.iter().position(|product| product.id == change.product_id);
            self.stocks[place.expect("a product")].available + change.available < 0
        };
        if stocks.iter().find(lacks).is_none() {
            self.tell(|| format!("placed: {:?}", order.lines));
            self.move_stocks(&stocks);
            self.orders.push(Stored { order, version: 1 });
        }
    }

    /// Starts a payment: reads the order and creates an intent.
    fn pay(&mut self, place: usize) {
        let Stored { order, version } = &self.orders[place];
        if order.check_payable(Timestamp::from_millis(self.now)).is_err() {
            return;
        }
        let capture = if self.rng.usize(..100) < 50 { Capture::Manual } else { Capture::Automatic };
        let card = match self.rng.usize(..10) {
            0 | 1 => Card::Declined,
            2 | 3 => Card::AsksItsOwner,
            4 => Card::TakesTime,
            _ => Card::Good,
        };
        let intent = self.provider.create(place, order.next_attempt(), capture, order.total);
        self.messages.push(Message::Begin { order: place, version: *version, intent, capture, card });
    }

    fn cancel(&mut self, place: usize) {
        if self.change(place, "cancel", Order::begin_cancellation) {
            self.ask_next(place);
        }
    }

    fn capture(&mut self, place: usize) {
        let amount = self.some_of(self.orders[place].order.total.amount());
        let begin = |order: &mut Order, context: &ChangeContext| {
            order.begin_capture(&NewCapture { amount }, context).map(|_| StockChanges::default())
        };
        if self.change(place, "capture", begin) {
            self.ask_next(place);
        }
    }

    fn refund(&mut self, place: usize) {
        let amount = self.some_of(self.orders[place].order.total.amount());
        let restock = self.picks(place, |line| line.fulfilled - line.restocked);
        let release = self.picks(place, Line::open);
        let (id, new) = (self.id(), NewRefund { amount, reason: None, restock, release });
        let begin = |order: &mut Order, context: &ChangeContext| {
            order.begin_refund(id, new, context).map(|()| StockChanges::default())
        };
        if self.change(place, "refund", begin) {
            self.ask_next(place);
        }
    }

    fn fulfil(&mut self, place: usize) {
        let lines = self.picks(place, Line::open);
        let body = if lines.is_empty() { json!({}) } else { json!({"lines": lines}) };
        let new = validation::read(body, NewFulfilment::read).expect("a valid fulfilment");
        let id = self.id();
        self.change(place, "fulfil", |order, context| order.fulfil(id, new, context));
    }

    /// Expires an order, like the schedule: cancels open payments first.
    fn expire(&mut self, place: usize) {
        let deadline = self.orders[place].order.expires_at;
        let is_over = deadline.is_some_and(|deadline| deadline.as_millis() <= self.now);
        if !self.change(place, "expire", Order::expire) && is_over {
            let order = &self.orders[place].order;
            let live = order.payments.iter().find(|payment| payment.status.is_live()).cloned();
            self.messages
                .extend(live.map(|payment| Message::Ask(place, Box::new(ProviderStep::Cancel(payment)))));
        }
    }

    fn erase(&mut self, place: usize) {
        if self.orders[place].order.status != OrderStatus::Open {
            self.change(place, "erase", |order, context| {
                order.erase(context);
                Ok(StockChanges::default())
            });
        }
    }

    /// Runs both schedules.
    fn look_after_due_ones(&mut self) {
        for place in 0..self.orders.len() {
            let order = &self.orders[place].order;
            match order.due() {
                Some((DueQueue::Expiry, at)) if at.as_millis() <= self.now => self.expire(place),
                Some((DueQueue::InDoubt, at)) if at.as_millis() <= self.now => {
                    self.messages
                        .extend(order.background_step().map(|step| Message::Ask(place, Box::new(step))));
                }
                _ => {}
            }
        }
    }

    fn ask_next(&mut self, place: usize) {
        let step = self.orders[place].order.next_step();
        self.messages.extend(step.map(|step| Message::Ask(place, Box::new(step))));
    }

    fn deliver(&mut self, message: Message) {
        self.tell(|| format!("{message:?}"));
        match message {
            Message::Begin { order, version, intent, capture, card } => {
                if self.orders[order].version != version {
                    return;
                }
                let (id, name) = (self.id(), "pm_card".to_owned());
                let new = NewPayment { payment_method: name, capture, return_url: None };
                let provider_id = intent.clone();
                let begin = |stored: &mut Order, context: &ChangeContext| {
                    stored.begin_payment(id, provider_id, &new, context).map(|()| StockChanges::default())
                };
                if self.change(order, "pay", begin) {
                    self.messages.push(Message::Confirm { order, intent, card });
                }
            }
            Message::Confirm { order, intent, card } => {
                let answer = self.provider.confirm(&intent, card, self.now);
                self.messages.push(Message::News(News::Payment(order, answer)));
            }
            Message::Ask(order, step) => self.ask(order, *step),
            Message::Refused(order, id) => {
                self.change(order, "refuse", |order, context| {
                    order.refuse_refund(id, context);
                    Ok(StockChanges::default())
                });
            }
            Message::News(News::Payment(order, intent)) => {
                let version = self.orders[order].version;
                self.change(order, "learn", |order, context| order.apply_payment_update(&intent, context));
                if self.orders[order].version != version {
                    self.ask_next(order);
                }
            }
            Message::News(News::Refund(order, news)) => {
                self.change(order, "learn of a refund", |order, context| {
                    order.apply_refund_update(&news, context)
                });
            }
            Message::News(News::Dispute(order, news)) => {
                self.change(order, "learn of a dispute", |order, context| {
                    order.apply_dispute_update(news, context);
                    Ok(StockChanges::default())
                });
            }
        }
    }

    /// Returns the provider's answer to a step.
    fn ask(&mut self, order: usize, step: ProviderStep) {
        let answers = match step {
            ProviderStep::Refund(refund, payment) => {
                match self.provider.refund(&refund, &payment, &mut self.rng) {
                    Some(news) => vec![Message::News(News::Refund(order, news))],
                    None => vec![Message::Refused(order, refund.id)],
                }
            }
            ProviderStep::Capture(payment, amount) => {
                let answer = self.provider.capture(&payment.provider_id, amount);
                vec![Message::News(News::Payment(order, answer))]
            }
            ProviderStep::Cancel(payment) => {
                let answer = self.provider.cancel(&payment.provider_id);
                vec![Message::News(News::Payment(order, answer))]
            }
            ProviderStep::ResolvePayment(payment) => {
                let id = &payment.provider_id;
                let answer = match self.provider.read(id) {
                    Intent { state: IntentState::Unconfirmed, .. } => self.provider.cancel(id),
                    answer => answer,
                };
                vec![Message::News(News::Payment(order, answer))]
            }
            ProviderStep::ResolveRefund(_, payment) => {
                let all = self.provider.refunds_of(&payment).into_iter();
                all.map(|news| Message::News(News::Refund(order, news))).collect()
            }
        };
        self.messages.extend(answers);
    }

    /// Changes an order atomically, like the store, and checks the transition.
    fn change(
        &mut self,
        place: usize,
        what: &str,
        change: impl FnOnce(&mut Order, &ChangeContext) -> Result<StockChanges, OrderError>,
    ) -> bool {
        let mut after = self.orders[place].order.clone();
        let context =
            self.context(if what.starts_with("learn") { Initiator::Provider } else { Initiator::Schedule });
        let stocks = match change(&mut after, &context) {
            Ok(stocks) => stocks,
            Err(OrderError::Illegal(why)) => panic!("{what} is illegal ({why}) for {after:#?}"),
            Err(refusal) => {
                self.tell(|| format!("{what} {place}: {refusal:?}"));
                return false;
            }
        };
        let before = &self.orders[place].order;
        if *before == after {
            assert!(stocks.is_empty(), "{what} moves stock, and changes nothing else: {after:#?}");
            return true;
        }
        check_move(before, &after, what);
        self.tell(|| {
            let (payment, fulfilment) = (after.payment_status, after.fulfilment_status);
            format!("{what} {place}: {:?} {payment:?} {fulfilment:?}, {stocks:?}", after.status)
        });
        let is_closed = before.status == OrderStatus::Open && after.status != OrderStatus::Open;
        self.orders[place].order = after;
        self.orders[place].version += 1;
        self.move_stocks(&stocks);
        if is_closed {
            self.check_closing(place);
        }
        true
    }

    /// I9: no payment can succeed for an order that has released its stock.
    fn check_closing(&self, place: usize) {
        for payment in &self.orders[place].order.payments {
            let intent = &self.provider.intents[self.provider.place(&payment.provider_id)];
            assert!(intent.is_over(), "closed, though {:?}", intent.said());
        }
    }

    fn move_stocks(&mut self, changes: &StockChanges) {
        for change in changes.iter() {
            let place = self.catalogue.iter().position(|product| product.id == change.product_id);
            let stock = &mut self.stocks[place.expect("a product")];
            stock.on_hand += change.on_hand;
            stock.reserved += change.reserved;
            stock.available += change.available;
        }
    }

    /// Checks what must always hold.
    fn check(&self) {
        for (product, stock) in self.catalogue.iter().zip(&self.stocks) {
            let Stock { opening, on_hand, reserved, available } = *stock;
            let lines = || {
                let all = self.orders.iter().flat_map(|stored| &stored.order.lines);
                all.filter(|line| line.product_id == product.id)
            };
            assert!(
                available >= 0 && reserved >= 0 && available + reserved == on_hand,
                "I1: {available} {reserved}"
            );
            let gone: i64 = lines().map(|line| line.fulfilled - line.restocked).sum();
            assert_eq!(on_hand, opening - gone, "I1: on hand is the sum of what moved");
            let claimed: i64 = lines().map(Line::open).sum();
            assert_eq!(reserved, claimed, "I2: reserved is what open orders claim");
        }
        for (place, Stored { order, .. }) in self.orders.iter().enumerate() {
            let is_sound = |line: &Line| line.open() >= 0 && (0..=line.fulfilled).contains(&line.restocked);
            assert!(order.lines.iter().all(is_sound), "{:?}", order.lines);
            let claims = order.lines.iter().any(|line| line.open() > 0);
            assert!(order.status == OrderStatus::Open || !claims, "I11: {:?} with a claim", order.status);
            let waits = order.cancelling || order.expires_at.is_some();
            assert!(order.status == OrderStatus::Open || !waits, "{:?}, and waits for more", order.status);
            let charged =
                self.provider.intents.iter().filter(|intent| intent.order == place && intent.is_charged());
            assert!(charged.count() <= 1, "I7: charged twice");
            for payment in &order.payments {
                let (captured, refunded) = (payment.captured.amount(), payment.refunded.amount());
                let intent = self.provider.place(&payment.provider_id);
                let taken = self.provider.intents[intent].captured();
                assert!(captured == 0 || captured == taken, "I7: {captured} is said, {taken} taken");
                assert!((0..=captured).contains(&refunded), "{refunded} of {captured} went back");
            }
        }
    }

    /// Settles the shop: the network recovers, requests end, and time passes.
    fn come_to_rest(&mut self) {
        for _ in 0..200 {
            self.messages.extend(self.provider.news.drain(..).map(Message::News));
            while !self.messages.is_empty() {
                let message = self.messages.remove(0);
                self.deliver(message);
                self.check();
                self.messages.extend(self.provider.news.drain(..).map(Message::News));
            }
            let due = self
                .orders
                .iter()
                .filter_map(|stored| stored.order.due())
                .map(|(_, at)| at.as_millis())
                .min();
            let Some(due) = due else { return self.check_rest() };
            self.now = due.max(self.now + 6 * 60 * 60 * SECOND);
            self.provider.grow_old(&mut self.rng, self.now);
            self.look_after_due_ones();
            self.check();
        }
        let orders: Vec<_> =
            self.orders.iter().map(|stored| &stored.order).filter(|o| o.due().is_some()).collect();
        panic!("it never comes to rest: {orders:#?}");
    }

    /// Checks what must hold in a settled shop.
    fn check_rest(&self) {
        for (place, Stored { order, .. }) in self.orders.iter().enumerate() {
            for (intent, paying) in self.provider.intents.iter().enumerate().filter(|(_, i)| i.order == place)
            {
                let payment = order.payments.iter().find(|payment| payment.provider_id == paying.id);
                let said = payment.map_or((0, 0), |p| (p.captured.amount(), p.refunded.amount()));
                let done = (paying.captured(), self.provider.refunded(intent));
                assert_eq!(said, done, "I7, I8: captured and refunded, in {order:#?}");
                let live = payment.is_some_and(|payment| payment.status.is_live());
                assert!(
                    !live && (payment.is_none() || paying.is_over()),
                    "I8: {:?} in {order:#?}",
                    paying.said()
                );
            }
            self.check_paid(order);
        }
    }

    /// I8: the shop keeps money only for a paid order, or reports that it cannot refund.
    fn check_paid(&self, order: &Order) {
        use PaymentStatus::{Paid, PartiallyRefunded, Refunded, Unpaid, Voided};
        let captured: i64 = order.payments.iter().map(|payment| payment.captured.amount()).sum();
        let refunded: i64 = order.payments.iter().map(|payment| payment.refunded.amount()).sum();
        let expected: &[PaymentStatus] = match (captured, refunded) {
            (0, _) => &[Unpaid, Voided],
            (_, 0) => &[Paid],
            _ if captured == refunded => &[Refunded],
            _ => &[PartiallyRefunded],
        };
        assert!(expected.contains(&order.payment_status), "{expected:?} in {order:#?}");
        let has = |kind| order.timeline.iter().any(|entry| entry.r#type == kind);
        let given_up = has(TimelineEventType::RefundFailed);
        match order.status {
            OrderStatus::Expired => {
                assert!(captured == refunded || given_up, "I11: paid, and expired: {order:#?}")
            }
            // Where nobody cancelled, the staff has released all of it and chosen what goes back.
            OrderStatus::Cancelled if has(TimelineEventType::CancellationStarted) => {
                assert!(captured == refunded || given_up, "I8: money is kept: {order:#?}");
            }
            OrderStatus::Completed => assert!(captured > 0, "I8: shipped for nothing: {order:#?}"),
            OrderStatus::Open => {
                assert!(!order.cancelling && order.expires_at.is_none(), "open: {order:#?}");
                assert!(self.can_go_on(order), "nothing can be done with it: {order:#?}");
            }
            OrderStatus::Cancelled => {}
        }
    }

    /// Returns whether the shop can still change the order.
    fn can_go_on(&self, order: &Order) -> bool {
        let (context, id) = (self.context(Initiator::Schedule), Timestamp::from_millis(self.now));
        let refund = NewRefund { amount: None, reason: None, restock: Vec::new(), release: Vec::new() };
        let body = json!({"despite_dispute": true});
        let fulfilment = validation::read(body, NewFulfilment::read).expect("a valid fulfilment");
        order.clone().begin_cancellation(&context).is_ok()
            || order.clone().begin_refund(Id::new(id, 0), refund, &context).is_ok()
            || order.clone().fulfil(Id::new(id, 0), fulfilment, &context).is_ok()
    }

    /// Returns quantities of some lines, mostly all of them.
    fn picks(&mut self, place: usize, most: impl Fn(&Line) -> i64) -> Vec<ItemQuantity> {
        let mut picks = Vec::new();
        for line in &self.orders[place].order.lines {
            let most = usize::try_from(most(line)).unwrap_or_default();
            if self.rng.usize(..100) < 40 && (most > 0 || self.rng.usize(..100) < 10) {
                let quantity = 1 + self.rng.usize(..(most).max(1)) as i64;
                picks.push(ItemQuantity { product_id: line.product_id, quantity });
            }
        }
        picks
    }

    /// Returns the whole amount or a part.
    fn some_of(&mut self, amount: i64) -> Option<i64> {
        let most = usize::try_from(amount).unwrap_or_default();
        let most = if self.rng.usize(..100) < 50 { most } else { most.min(5) };
        (self.rng.usize(..100) < 70).then(|| 1 + self.rng.usize(..(most).max(1)) as i64)
    }

    fn id<T: shared::domain::id::Entity>(&mut self) -> Id<T> {
        Id::new(Timestamp::from_millis(self.now), self.rng.u64(..).into())
    }

    fn context(&self, initiator: Initiator) -> ChangeContext {
        ChangeContext {
            initiator,
            client_id: None,
            operation: "test",
            at: Timestamp::from_millis(self.now),
            request_id: String::new(),
            trace_id: None,
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            eprintln!("{} {}", Timestamp::from_millis(self.now), what());
        }
    }
}

/// I10: each change is one allowed transition per axis. Earlier events stay.
fn check_move(before: &Order, after: &Order, what: &str) {
    let moved =
        |axis: &str, is_allowed: bool| assert!(is_allowed, "I10: {axis}, by {what}: {before:#?} {after:#?}");
    let (b, a) = (before, after);
    moved("order", b.status == a.status || order_may_become(b.status).contains(&a.status));
    moved(
        "payment",
        b.payment_status == a.payment_status
            || payment_may_become(b.payment_status).contains(&a.payment_status),
    );
    // Shipped whole in one go is two moves.
    let shipped = b.fulfilment_status == a.fulfilment_status
        || fulfilment_may_become(b.fulfilment_status).contains(&a.fulfilment_status);
    moved("fulfilment", shipped);
    for (b, a) in b.payments.iter().zip(&a.payments) {
        moved(
            "a payment",
            b.id == a.id && (b.status == a.status || status_may_become(b.status).contains(&a.status)),
        );
    }
    moved("payments", b.payments.len() <= a.payments.len());
    moved(
        "timeline",
        b.timeline.len() <= a.timeline.len() && b.timeline[..] == a.timeline[..b.timeline.len()],
    );
    let is_kept = |refund: &Refund| {
        let now = after.refund(refund.id).map(|refund| refund.status);
        now.is_some_and(|now| refund.status != RefundStatus::Failed || now == RefundStatus::Failed)
    };
    moved("a refund", b.refunds.iter().all(is_kept));
    moved("total", (&b.id, b.total, b.lines.len()) == (&a.id, a.total, a.lines.len()));
}

fn product(place: usize, rng: &mut Rng, now: i64) -> Product {
    let price = [1, 999, 4_990, Money::MAX_PRICE][rng.usize(..4)];
    let new = json!({
        "sku": format!("SKU-{place}"),
        "name": "A thing",
        "category": "things",
        "price": {"amount": price, "currency": "EUR"},
    });
    let new = validation::read(new, NewProduct::read).expect("a valid product");
    let at = Timestamp::from_millis(now);
    new.product(Id::new(at, rng.u64(..).into()), at)
}
