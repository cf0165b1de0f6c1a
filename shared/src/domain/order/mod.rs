//! Orders: what was bought, where it stands, and what may be done with it next.
//!
//! [`state`] has the transitions. Every change is a method of [`Order`]; it gives the change of stocks that goes with it
//! and appends to the timeline. What the provider has to be asked next says [`Order::next_step`], and when somebody has
//! to look at an order again, [`Order::due`].

mod id;
mod line;
mod state;
mod timeline;

use serde::{Deserialize, Serialize};

pub use id::OrderId;
pub use line::{Line, Pick, StockChange, StockChanges};
pub use state::{FulfilmentStatus, OrderStatus, PaymentStatus};
pub use timeline::{Entry, Kind};

use super::{
    cause::Cause,
    id::{Entity, Id},
    input::{self, Fault, Field, Invalid, Object},
    money::Money,
    payment::{
        DisputeNews, Intent, IntentState, NewCapture, NewPayment, NewRefund, Payment, Refund, RefundNews,
        RefundStatus, Status,
    },
    product::{self, Product},
    time::Timestamp,
    user::{Address, User},
};

/// An unpaid order gives its stock back after so many milliseconds.
const PAY_WITHIN: i64 = 15 * 60 * 1000;
/// After so many nobody is at work any more on what is in doubt.
pub const ABANDONED: i64 = 30 * 1000;
/// A refund on its way to the customer is looked at after so many.
const REFUND: i64 = 60 * 60 * 1000;
/// An authorisation has lapsed after so many: <https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>.
const AUTHORIZATION: i64 = (7 * 24 + 1) * 60 * 60 * 1000;
/// So many attempts to pay an order has, and so many refunds and fulfilments: an item of the store has its limits.
const MOST: usize = 50;

/// Why an order does not do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is paid, final, past its deadline, or was tried too often.
    #[error("The order can't be paid: it is paid already, closed, or its time is over.")]
    NotPayable,
    /// The provider's word on something is awaited.
    #[error("Something is under way with the payment of this order. Read the order again in a moment.")]
    PaymentInProgress,
    /// It is final, or something was shipped.
    #[error("The order can't be cancelled: it is closed, or some of it is shipped.")]
    NotCancellable,
    /// No money is reserved.
    #[error("There is nothing to capture: no payment of this order is authorized.")]
    NotCapturable,
    /// There is no money that could go back.
    #[error("There is nothing to refund.")]
    NotRefundable,
    /// It is not paid, final, or has nothing to ship.
    #[error("The order can't be shipped: it is not paid, closed, or nothing is left to ship.")]
    NotFulfillable,
    /// Its time is not over, or it is paid.
    #[error("The order has not expired.")]
    NotExpired,
    /// What was asked for does not fit the order.
    #[error("The request has invalid fields: see `errors`.")]
    Invalid(Vec<Invalid>),
    /// A change that no table of transitions has.
    #[error("the order can't become that: {0}")]
    Illegal(&'static str),
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its identifier, for ever.
    pub id: OrderId,
    /// Whose it is.
    pub customer_id: Id<User>,
    /// What has become of it.
    pub status: OrderStatus,
    /// How far it is paid.
    pub payment_status: PaymentStatus,
    /// How much of it is shipped.
    pub fulfilment_status: FulfilmentStatus,
    /// What was ordered, each product once.
    pub lines: Vec<Line>,
    /// What all of it costs.
    pub total: Money,
    /// Where it is shipped to.
    pub shipping_address: Address,
    /// When it gives its stock back, unless it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it is being cancelled: what was paid goes back first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// Whether the customer's bank wants the money back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disputed: bool,
    /// The attempts to pay it.
    pub payments: Vec<Payment>,
    /// What went back, or is to.
    pub refunds: Vec<Refund>,
    /// What was shipped.
    pub fulfilments: Vec<Fulfilment>,
    /// What has happened to it.
    pub timeline: Vec<Entry>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a customer wants to buy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewOrder {
    items: Vec<Pick>,
    shipping_address: Address,
    expected_total: Option<Money>,
}

impl NewOrder {
    /// The most lines of an order.
    const MAX_ITEMS: usize = 50;

    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let items = body.field("items").list_within(1, Self::MAX_ITEMS, |item| item.object(Pick::read));
        let shipping_address = body.field("shipping_address").object(Address::read);
        let expected_total = body.field("expected_total").optional(|field| field.object(Money::read_total));
        Some(Self { items: items?, shipping_address: shipping_address?, expected_total: expected_total? })
    }

    /// The products in it, each once.
    pub fn products(&self) -> Vec<Id<Product>> {
        let mut products = Vec::new();
        for item in &self.items {
            if !products.contains(&item.product_id) {
                products.push(item.product_id);
            }
        }
        products
    }

    /// How many pieces of a product are in it.
    pub fn quantity(&self, product: Id<Product>) -> i64 {
        self.items.iter().filter(|item| item.product_id == product).map(|item| item.quantity).sum()
    }

    /// The order that this becomes at the prices of `catalogue`, and what it takes from the stocks.
    ///
    /// # Errors
    /// [`Misfit`].
    pub fn place(
        self,
        id: OrderId,
        catalogue: &[Product],
        cause: &Cause,
    ) -> Result<(Order, StockChanges), Misfit> {
        let on_sale = |id| catalogue.iter().find(|p| p.id == id && p.status == product::Status::Active);
        let missing = self.items.iter().enumerate().filter(|(_, item)| on_sale(item.product_id).is_none());
        let missing: Vec<_> =
            missing.map(|(place, _)| line::unknown("items", place, "the products on sale")).collect();
        if !missing.is_empty() {
            return Err(Misfit::Invalid(missing));
        }
        let (mut lines, mut stocks) = (Vec::new(), StockChanges::default());
        let mut sum: Option<Money> = None;
        for product in self.products().into_iter().filter_map(on_sale) {
            let quantity = self.quantity(product.id);
            let price = product.details.price;
            let fault = |fault| {
                let place =
                    self.items.iter().position(|item| item.product_id == product.id).unwrap_or_default();
                let pointer = format!("/items/{place}/product_id");
                Misfit::Invalid(vec![Invalid { pointer, fault }])
            };
            if sum.is_some_and(|sum| sum.currency() != price.currency()) {
                return Err(fault(Fault::MixedCurrencies));
            }
            let total = price.checked_mul(quantity).ok_or_else(|| fault(Fault::TooLarge(i64::MAX)))?;
            sum = Some(match sum {
                Some(sum) => sum.checked_add(total).ok_or_else(|| fault(Fault::TooLarge(i64::MAX)))?,
                None => total,
            });
            stocks.reserve(product.id, quantity);
            lines.push(Line {
                product_id: product.id,
                sku: product.sku.clone(),
                name: product.details.name.clone(),
                unit_price: price,
                quantity,
                total,
                fulfilled: 0,
                restocked: 0,
                released: 0,
            });
        }
        let total = sum.ok_or(Misfit::Invalid(Vec::new()))?;
        if self.expected_total.is_some_and(|expected| expected != total) {
            return Err(Misfit::Price(total));
        }
        let order = Order {
            id,
            customer_id: id.customer(),
            status: OrderStatus::Open,
            payment_status: PaymentStatus::Unpaid,
            fulfilment_status: FulfilmentStatus::Unfulfilled,
            lines,
            total,
            shipping_address: self.shipping_address,
            expires_at: Some(later(cause.at, PAY_WITHIN)),
            cancelling: false,
            disputed: false,
            payments: Vec::new(),
            refunds: Vec::new(),
            fulfilments: Vec::new(),
            timeline: vec![Entry { amount: Some(total), ..Entry::new(Kind::Created, cause) }],
            created_at: cause.at,
            updated_at: cause.at,
        };
        Ok((order, stocks))
    }
}

/// Why a cart does not become an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Something in it is not on sale, or does not go together.
    Invalid(Vec<Invalid>),
    /// It costs this, and not what the customer expects.
    Price(Money),
}

/// What is shipped together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilment {
    /// Its identifier.
    pub id: Id<Fulfilment>,
    /// What is in it.
    pub lines: Vec<Pick>,
    /// By which the customer can follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    /// When it left the house.
    pub created_at: Timestamp,
}

impl Entity for Fulfilment {
    const PREFIX: &'static str = "ful";
}

/// Where a parcel is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// Who carries it; up to 100 characters.
    pub carrier: String,
    /// The carrier's number for it; up to 100 characters.
    pub number: String,
}

/// What is to be shipped; all that is left, if no lines are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewFulfilment {
    lines: Option<Vec<Pick>>,
    tracking: Option<Tracking>,
}

impl NewFulfilment {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let picks = |field: Field| field.list_within(1, Pick::MAX, |pick| pick.object(Pick::read));
        let lines = body.field("lines").optional(picks);
        let tracking = body.field("tracking").optional(|field| {
            field.object(|tracking| {
                let carrier = tracking.field("carrier").text(|text| input::line(text, 1, 100));
                let number = tracking.field("number").text(|text| input::line(text, 1, 100));
                Some(Tracking { carrier: carrier?, number: number? })
            })
        });
        Some(Self { lines: lines?, tracking: tracking? })
    }
}

/// What the provider has to be asked next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To give money back.
    Refund(Refund, Payment),
    /// To take what is reserved.
    Capture(Payment, Money),
    /// To call a payment off.
    Cancel(Payment),
    /// What has come of a payment, which is called off if nobody has tried to charge it.
    Settle(Payment),
    /// What has come of a refund that it has accepted.
    Follow(Refund, Payment),
}

/// Who has to look at an order again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// orders-expire.
    Expiry,
    /// payments-reconcile.
    Doubt,
}

impl Order {
    /// What the provider has to be asked next: the one place that says it.
    pub fn next_step(&self) -> Option<Step> {
        if let Some(refund) = self.refunds.iter().find(|refund| refund.is_in_doubt()) {
            let payment = self.payment(refund.payment_id)?;
            return Some(Step::Refund(refund.clone(), payment.clone()));
        }
        let live = self.live_payment()?;
        match live.capturing {
            Some(amount) => Some(Step::Capture(live.clone(), amount)),
            None if self.cancelling => Some(Step::Cancel(live.clone())),
            None if live.status == Status::Processing => Some(Step::Settle(live.clone())),
            None => None,
        }
    }

    /// What is worth asking when there is time: what may have changed without a word.
    pub fn late_step(&self) -> Option<Step> {
        let settle = || self.live_payment().cloned().map(Step::Settle);
        let follow = || {
            let refund = self.refunds.iter().find(|refund| refund.status == RefundStatus::Pending)?;
            Some(Step::Follow(refund.clone(), self.payment(refund.payment_id)?.clone()))
        };
        self.next_step().or_else(settle).or_else(follow)
    }

    /// When somebody has to look at it again, and who.
    pub fn due(&self) -> Option<(Queue, Timestamp)> {
        if self.next_step().is_some() {
            return Some((Queue::Doubt, later(self.updated_at, ABANDONED)));
        }
        if self.refunds.iter().any(|refund| refund.status == RefundStatus::Pending) {
            return Some((Queue::Doubt, later(self.updated_at, REFUND)));
        }
        if let Some(payment) = self.payments.iter().find(|payment| payment.status == Status::Authorized) {
            return Some((Queue::Doubt, later(payment.created_at, AUTHORIZATION)));
        }
        let waits = self.status == OrderStatus::Open;
        self.expires_at.filter(|_| waits).map(|at| (Queue::Expiry, at))
    }

    /// The number of the next attempt to pay it, from 1.
    pub fn next_attempt(&self) -> usize {
        self.payments.len() + 1
    }

    /// The payment of that id.
    pub fn payment(&self, id: Id<Payment>) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.id == id)
    }

    /// The payment by which money is reserved, or may be. There is one at most.
    pub fn live_payment(&self) -> Option<&Payment> {
        self.payments.iter().find(|payment| payment.status.is_live())
    }

    /// The refund of that id.
    pub fn refund(&self, id: Id<Refund>) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.id == id)
    }

    /// Goes on if it may be paid now.
    ///
    /// # Errors
    /// [`Refusal::PaymentInProgress`], [`Refusal::NotPayable`].
    pub fn check_payable(&self, now: Timestamp) -> Result<(), Refusal> {
        let unpaid = matches!(self.payment_status, PaymentStatus::Unpaid | PaymentStatus::Voided);
        if self.payment_status == PaymentStatus::Processing && self.status == OrderStatus::Open {
            return Err(Refusal::PaymentInProgress);
        }
        let in_time = self.expires_at.is_some_and(|deadline| now < deadline);
        let payable = self.status == OrderStatus::Open && unpaid && in_time && !self.cancelling;
        if payable && self.payments.len() < MOST { Ok(()) } else { Err(Refusal::NotPayable) }
    }

    /// Begins a payment, of which the provider knows under that id, and which nobody has tried to charge yet.
    ///
    /// # Errors
    /// As for [`Self::check_payable`].
    pub fn begin_payment(
        &mut self,
        id: Id<Payment>,
        provider_id: String,
        new: &NewPayment,
        cause: &Cause,
    ) -> Result<(), Refusal> {
        self.check_payable(cause.at)?;
        let nothing = Money::new(0, self.total.currency());
        self.payments.push(Payment {
            id,
            status: Status::Processing,
            capture: new.capture,
            amount: self.total,
            captured: nothing,
            refunded: nothing,
            decline_code: None,
            next_action: None,
            provider_id,
            capturing: None,
            created_at: cause.at,
        });
        self.note(Entry::new(Kind::PaymentStarted, cause).of_payment(id, self.total));
        self.pay(PaymentStatus::Processing)
    }

    /// Takes in what the provider says of a payment. What is known already changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Illegal`].
    pub fn learn(&mut self, news: &Intent, cause: &Cause) -> Result<StockChanges, Refusal> {
        let Some(place) = self.payments.iter().position(|payment| payment.provider_id == news.id) else {
            return Ok(StockChanges::default());
        };
        let mut payment = self.payments[place].clone();
        let before = payment.status;
        payment.next_action = None;
        let (next, axis, kind) = match &news.state {
            IntentState::Unconfirmed => return Ok(StockChanges::default()),
            IntentState::Processing => (Status::Processing, PaymentStatus::Processing, None),
            IntentState::RequiresAction(action) => {
                payment.next_action.clone_from(action);
                (Status::RequiresAction, PaymentStatus::Processing, Some(Kind::PaymentActionRequired))
            }
            IntentState::Declined(code) => {
                payment.decline_code = Some(code.clone());
                (Status::Failed, PaymentStatus::Unpaid, Some(Kind::PaymentFailed))
            }
            IntentState::Authorized => {
                (Status::Authorized, PaymentStatus::Authorized, Some(Kind::Authorized))
            }
            IntentState::Captured(captured) => {
                payment.captured = Money::new(*captured, payment.amount.currency());
                payment.capturing = None;
                (Status::Captured, PaymentStatus::Paid, Some(Kind::Paid))
            }
            IntentState::Cancelled => {
                payment.capturing = None;
                let lapsed = before == Status::Authorized;
                let axis = if lapsed { PaymentStatus::Voided } else { PaymentStatus::Unpaid };
                (Status::Voided, axis, Some(Kind::PaymentVoided))
            }
        };
        if !before.may_become(next) {
            return Ok(StockChanges::default());
        }
        payment.status = next;
        match axis {
            PaymentStatus::Authorized | PaymentStatus::Paid => self.expires_at = None,
            // What had been reserved and lapsed may be paid once more.
            PaymentStatus::Voided => self.expires_at = Some(later(cause.at, PAY_WITHIN)),
            _ => {}
        }
        let amount = if next == Status::Captured { payment.captured } else { payment.amount };
        let id = payment.id;
        self.payments[place] = payment;
        if let Some(kind) = kind {
            self.note(Entry::new(kind, cause).of_payment(id, amount));
        }
        self.pay(axis)?;
        // Money for an order that is not to be paid, or not any more, goes back.
        let unwanted = self.cancelling || self.status != OrderStatus::Open;
        if next == Status::Captured && unwanted {
            self.give_all_back(place, cause);
        }
        self.conclude(cause)
    }

    /// Begins to take what is reserved: so many minor units, or all.
    ///
    /// # Errors
    /// [`Refusal::NotCapturable`], [`Refusal::PaymentInProgress`], [`Refusal::Invalid`].
    pub fn begin_capture(&mut self, new: &NewCapture, cause: &Cause) -> Result<Id<Payment>, Refusal> {
        let place = self.payments.iter().position(|payment| payment.status == Status::Authorized);
        let payment = place.map(|place| &mut self.payments[place]).ok_or(Refusal::NotCapturable)?;
        if payment.capturing.is_some() || self.cancelling {
            return Err(Refusal::PaymentInProgress);
        }
        let most = payment.amount.amount();
        let amount = new.amount.unwrap_or(most);
        if amount > most {
            return Err(Refusal::Invalid(vec![too_much(most)]));
        }
        let (id, amount) = (payment.id, Money::new(amount, payment.amount.currency()));
        payment.capturing = Some(amount);
        self.note(Entry::new(Kind::CaptureStarted, cause).of_payment(id, amount));
        Ok(id)
    }

    /// Takes in that the provider will not capture so much. The money stays reserved.
    pub fn refuse_capture(&mut self, id: Id<Payment>, cause: &Cause) {
        if let Some(payment) = self.payments.iter_mut().find(|payment| payment.id == id) {
            payment.capturing = None;
            self.updated_at = cause.at;
        }
    }

    /// Begins to cancel it: at once, where no money has to go back.
    ///
    /// # Errors
    /// [`Refusal::NotCancellable`], [`Refusal::PaymentInProgress`].
    pub fn begin_cancellation(&mut self, cause: &Cause) -> Result<StockChanges, Refusal> {
        let shipped = self.lines.iter().any(|line| line.fulfilled > 0);
        if self.status != OrderStatus::Open || shipped {
            return Err(Refusal::NotCancellable);
        }
        let capturing = self.payments.iter().any(|payment| payment.capturing.is_some());
        if self.cancelling || capturing || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(Refusal::PaymentInProgress);
        }
        if self.refunds.len() >= MOST {
            return Err(Refusal::NotCancellable);
        }
        self.cancelling = true;
        let paid = self.payments.iter().position(|payment| payment.left() > 0);
        if paid.is_some() || self.payments.iter().any(|payment| payment.status.is_live()) {
            self.note(Entry::new(Kind::CancellationStarted, cause));
        }
        if let Some(place) = paid {
            self.give_all_back(place, cause);
        }
        self.conclude(cause)
    }

    /// Begins to give money back.
    ///
    /// # Errors
    /// [`Refusal::NotRefundable`], [`Refusal::PaymentInProgress`], [`Refusal::Invalid`].
    pub fn begin_refund(&mut self, id: Id<Refund>, new: NewRefund, cause: &Cause) -> Result<(), Refusal> {
        if self.cancelling || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(Refusal::PaymentInProgress);
        }
        let place = self.payments.iter().position(|payment| payment.left() > 0);
        let place = place.ok_or(Refusal::NotRefundable)?;
        if self.disputed || self.refunds.len() >= MOST {
            return Err(Refusal::NotRefundable);
        }
        let mut faults = Vec::new();
        let open = |line: &Line| if self.status == OrderStatus::Open { line.open() } else { 0 };
        let restock = self.pick("restock", &new.restock, Line::returnable, &mut faults);
        let release = self.pick("release", &new.release, open, &mut faults);
        let left = self.payments[place].left();
        if new.amount.is_some_and(|amount| amount > left) {
            faults.push(too_much(left));
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        self.add_refund(id, place, NewRefund { restock, release, ..new }, cause);
        Ok(())
    }

    fn add_refund(&mut self, id: Id<Refund>, payment: usize, new: NewRefund, cause: &Cause) {
        let payment = &self.payments[payment];
        let amount = new.amount.unwrap_or(payment.left());
        let refund = Refund {
            id,
            payment_id: payment.id,
            status: RefundStatus::Pending,
            amount: Money::new(amount, payment.amount.currency()),
            reason: new.reason,
            restock: new.restock,
            release: new.release,
            provider_id: None,
            created_at: cause.at,
        };
        self.note(Entry::new(Kind::RefundStarted, cause).of_refund(&refund));
        self.refunds.push(refund);
    }

    /// Takes in what the provider says of a refund. What is known already changes nothing.
    ///
    /// # Errors
    /// [`Refusal::Illegal`].
    pub fn learn_refund(&mut self, news: &RefundNews, cause: &Cause) -> Result<StockChanges, Refusal> {
        let mut stocks = StockChanges::default();
        let Some(place) = self.refunds.iter().position(|refund| news.is_of(refund)) else {
            return Ok(stocks);
        };
        let refund = &mut self.refunds[place];
        let (accepted, before) = (refund.provider_id.is_some(), refund.status);
        if before == RefundStatus::Failed || (accepted && before == news.status) {
            return Ok(stocks);
        }
        if news.status == RefundStatus::Pending && accepted {
            return Ok(stocks);
        }
        refund.status = news.status;
        refund.provider_id = Some(news.provider_id.clone());
        let refund = refund.clone();
        match (accepted, news.status) {
            (false, RefundStatus::Failed) => self.fail_refund(&refund, cause),
            (false, _) => stocks = self.accept_refund(&refund, cause)?,
            (true, RefundStatus::Failed) => {
                self.refunded(&refund, -refund.amount.amount())?;
                self.fail_refund(&refund, cause);
            }
            // On its way before, there now.
            (true, _) => self.updated_at = cause.at,
        }
        stocks.extend(self.conclude(cause)?);
        Ok(stocks)
    }

    /// Takes in that the provider will not make a refund.
    pub fn refuse_refund(&mut self, id: Id<Refund>, cause: &Cause) {
        if let Some(refund) = self.refunds.iter_mut().find(|refund| refund.id == id && refund.is_in_doubt()) {
            refund.status = RefundStatus::Failed;
            let refund = refund.clone();
            self.fail_refund(&refund, cause);
        }
    }

    /// Takes in what the provider says of a dispute.
    pub fn learn_dispute(&mut self, news: DisputeNews, cause: &Cause) {
        let kind = match news {
            DisputeNews::Opened => Kind::Disputed,
            DisputeNews::Won => Kind::DisputeWon,
            DisputeNews::Lost => Kind::DisputeLost,
        };
        if !self.timeline.iter().any(|entry| entry.r#type == kind) {
            // Money that the bank has taken can't go back a second time.
            let closed = |entry: &Entry| matches!(entry.r#type, Kind::DisputeWon | Kind::DisputeLost);
            let late = news == DisputeNews::Opened && self.timeline.iter().any(closed);
            self.disputed = if late { self.disputed } else { news != DisputeNews::Won };
            self.note(Entry::new(kind, cause));
        }
    }

    /// Ships some of it, or all that is left.
    ///
    /// # Errors
    /// [`Refusal::NotFulfillable`], [`Refusal::PaymentInProgress`], [`Refusal::Invalid`].
    pub fn fulfil(
        &mut self,
        id: Id<Fulfilment>,
        new: NewFulfilment,
        cause: &Cause,
    ) -> Result<StockChanges, Refusal> {
        use PaymentStatus::{Authorized, Paid, PartiallyRefunded};
        let paid = matches!(self.payment_status, Authorized | Paid | PartiallyRefunded);
        let left = self.lines.iter().any(|line| line.open() > 0);
        if self.status != OrderStatus::Open || !paid || !left || self.fulfilments.len() >= MOST {
            return Err(Refusal::NotFulfillable);
        }
        if self.cancelling || self.refunds.iter().any(Refund::is_in_doubt) {
            return Err(Refusal::PaymentInProgress);
        }
        let all_left = || {
            let open = self.lines.iter().filter(|line| line.open() > 0);
            open.map(|line| Pick { product_id: line.product_id, quantity: line.open() }).collect::<Vec<_>>()
        };
        let mut faults = Vec::new();
        let lines = match &new.lines {
            Some(picks) => self.pick("lines", picks, Line::open, &mut faults),
            None => all_left(),
        };
        if lines.len() > Pick::MAX {
            faults.push(Invalid { pointer: "/lines".to_owned(), fault: Fault::TooMany(Pick::MAX) });
        }
        if !faults.is_empty() {
            return Err(Refusal::Invalid(faults));
        }
        let mut stocks = StockChanges::default();
        for pick in &lines {
            stocks.ship(pick.product_id, pick.quantity);
            self.line(pick).fulfilled += pick.quantity;
        }
        self.fulfilments.push(Fulfilment { id, lines, tracking: new.tracking, created_at: cause.at });
        self.note(Entry { fulfilment_id: Some(id), ..Entry::new(Kind::Fulfilled, cause) });
        if self.fulfilment_status == FulfilmentStatus::Unfulfilled {
            self.fulfilment_status = FulfilmentStatus::PartiallyFulfilled;
        }
        stocks.extend(self.conclude(cause)?);
        Ok(stocks)
    }

    /// Whether its time to pay is over.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.status == OrderStatus::Open && self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    /// Gives the stock back, once the time to pay is over and no money is on the way.
    ///
    /// # Errors
    /// [`Refusal::NotExpired`].
    pub fn expire(&mut self, cause: &Cause) -> Result<StockChanges, Refusal> {
        let unpaid = matches!(self.payment_status, PaymentStatus::Unpaid | PaymentStatus::Voided);
        let untouched = self.next_step().is_none() && !self.cancelling;
        if !self.is_overdue(cause.at) || !unpaid || !untouched {
            return Err(Refusal::NotExpired);
        }
        self.close(OrderStatus::Expired, Kind::Expired, cause)
    }

    /// Forgets where it was shipped to, and to whom; the country stays, for the books.
    pub fn erase(&mut self, cause: &Cause) {
        self.shipping_address = self.shipping_address.erased();
        self.note(Entry::new(Kind::Erased, cause));
    }

    /// Ends it where nothing is left to do.
    fn conclude(&mut self, cause: &Cause) -> Result<StockChanges, Refusal> {
        if self.status != OrderStatus::Open {
            return Ok(StockChanges::default());
        }
        let open = self.lines.iter().any(|line| line.open() > 0);
        let shipped = self.lines.iter().any(|line| line.fulfilled > 0);
        if shipped && !open && self.fulfilment_status != FulfilmentStatus::Fulfilled {
            self.fulfilment_status = FulfilmentStatus::Fulfilled;
        }
        let money_moves = self.next_step().is_some()
            || self
                .payments
                .iter()
                .any(|payment| payment.status.is_live() || (self.cancelling && payment.left() > 0));
        if money_moves {
            return Ok(StockChanges::default());
        }
        if self.cancelling {
            return self.close(OrderStatus::Cancelled, Kind::Cancelled, cause);
        }
        use PaymentStatus::{Paid, PartiallyRefunded, Refunded};
        match (open, shipped, self.payment_status) {
            (false, true, Paid | PartiallyRefunded | Refunded) => {
                self.close(OrderStatus::Completed, Kind::Completed, cause)
            }
            (false, false, _) => self.close(OrderStatus::Cancelled, Kind::Cancelled, cause),
            _ => Ok(StockChanges::default()),
        }
    }

    /// Ends it, and gives back what is still reserved.
    fn close(&mut self, status: OrderStatus, kind: Kind, cause: &Cause) -> Result<StockChanges, Refusal> {
        if !self.status.may_become(status) {
            return Err(Refusal::Illegal("closed"));
        }
        let stocks = self.release_all();
        (self.status, self.cancelling, self.expires_at) = (status, false, None);
        self.note(Entry::new(kind, cause));
        Ok(stocks)
    }

    /// Begins to give back all that is left of a payment. The refund's id follows from the payment's, and is another each
    /// time: to the provider, the same id is the same refund, even one that it has refused.
    fn give_all_back(&mut self, place: usize, cause: &Cause) {
        let mut id = u128::from_be_bytes(self.payments[place].id.to_bytes());
        while self.refunds.iter().any(|refund| refund.id == Id::from_bytes(id.to_be_bytes())) {
            id = id.wrapping_add(1);
        }
        self.add_refund(Id::from_bytes(id.to_be_bytes()), place, NewRefund::default(), cause);
    }

    fn accept_refund(&mut self, refund: &Refund, cause: &Cause) -> Result<StockChanges, Refusal> {
        let mut stocks = StockChanges::default();
        self.refunded(refund, refund.amount.amount())?;
        self.note(Entry::new(Kind::Refunded, cause).of_refund(refund));
        for pick in &refund.restock {
            stocks.restock(pick.product_id, pick.quantity);
            self.line(pick).restocked += pick.quantity;
        }
        if self.status == OrderStatus::Open {
            for pick in &refund.release {
                stocks.release(pick.product_id, pick.quantity);
                self.line(pick).released += pick.quantity;
            }
            // What nobody has paid for is not shipped.
            if self.payment_status == PaymentStatus::Refunded {
                stocks.extend(self.release_all());
            }
        }
        Ok(stocks)
    }

    /// Frees all that is not shipped.
    fn release_all(&mut self) -> StockChanges {
        let mut stocks = StockChanges::default();
        for line in self.lines.iter_mut().filter(|line| line.open() > 0) {
            stocks.release(line.product_id, line.open());
            line.released += line.open();
        }
        stocks
    }

    fn fail_refund(&mut self, refund: &Refund, cause: &Cause) {
        self.cancelling = false;
        self.note(Entry::new(Kind::RefundFailed, cause).of_refund(refund));
    }

    /// Counts what went back of a payment, or came again.
    fn refunded(&mut self, refund: &Refund, amount: i64) -> Result<(), Refusal> {
        let payment = self.payments.iter_mut().find(|payment| payment.id == refund.payment_id);
        let payment = payment.ok_or(Refusal::Illegal("refunded without a payment"))?;
        payment.refunded = Money::new(payment.refunded.amount() + amount, payment.refunded.currency());
        let next = match (payment.refunded.amount(), payment.left()) {
            (0, _) => PaymentStatus::Paid,
            (_, 0) => PaymentStatus::Refunded,
            _ => PaymentStatus::PartiallyRefunded,
        };
        self.pay(next)
    }

    /// Moves along the axis of payment.
    fn pay(&mut self, next: PaymentStatus) -> Result<(), Refusal> {
        if self.payment_status == next {
            Ok(())
        } else if self.payment_status.may_become(next) {
            self.payment_status = next;
            Ok(())
        } else {
            Err(Refusal::Illegal("payment status"))
        }
    }

    fn note(&mut self, entry: Entry) {
        self.updated_at = entry.at;
        self.timeline.push(entry);
    }

    /// The pieces that were picked, each product once, if the order has so many of them.
    fn pick(
        &self,
        list: &str,
        picks: &[Pick],
        most: impl Fn(&Line) -> i64,
        faults: &mut Vec<Invalid>,
    ) -> Vec<Pick> {
        let mut picked: Vec<Pick> = Vec::new();
        for (place, pick) in picks.iter().enumerate() {
            let Some(line) = self.lines.iter().find(|line| line.product_id == pick.product_id) else {
                faults.push(line::unknown(list, place, "the products of the order"));
                continue;
            };
            let earlier = picked.iter_mut().find(|earlier| earlier.product_id == pick.product_id);
            let left = most(line) - earlier.as_ref().map_or(0, |earlier| earlier.quantity);
            if pick.quantity > left {
                faults.push(line::too_large(list, place, left));
            }
            match earlier {
                Some(earlier) => earlier.quantity += pick.quantity,
                None => picked.push(pick.clone()),
            }
        }
        picked
    }

    /// The line of a product that was picked from it.
    fn line(&mut self, pick: &Pick) -> &mut Line {
        let place = self.lines.iter().position(|line| line.product_id == pick.product_id);
        &mut self.lines[place.unwrap_or_default()]
    }
}

fn too_much(most: i64) -> Invalid {
    Invalid { pointer: "/amount".to_owned(), fault: Fault::TooLarge(most) }
}

fn later(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + millis)
}
