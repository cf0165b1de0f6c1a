//! The simulated payment provider. Its books are the reference.

use fastrand::Rng;
use shared::domain::{
    id::Id,
    money::Money,
    payment::{
        Capture, DisputeUpdate, Intent, IntentState, NextAction, Payment, Refund, RefundStatus, RefundUpdate,
    },
};

/// Lifetime of an authorization in milliseconds.
const LAPSES_AFTER: i64 = 7 * 24 * 60 * 60 * 1000;

/// Outcome of a charge.
#[derive(Clone, Copy, Debug)]
pub enum Card {
    Good,
    Declined,
    AsksItsOwner,
    TakesTime,
}

/// Number of an update.
#[derive(Clone, Debug)]
pub enum News {
    Payment(usize, Intent),
    Refund(usize, RefundUpdate),
    Dispute(usize, DisputeUpdate),
}

#[derive(Default)]
pub struct Provider {
    pub intents: Vec<Paying>,
    pub refunds: Vec<Returning>,
    /// Updates that the shop has not received.
    pub news: Vec<News>,
    /// Refused refunds, repeated for the same key.
    refused: Vec<Id<Refund>>,
}

pub struct Paying {
    pub order: usize,
    pub id: String,
    pub state: IntentState,
    key: (usize, usize, Capture),
    amount: i64,
    /// Answer to the first charge, repeated for later ones.
    answered: Option<IntentState>,
    authorized_at: i64,
    dispute: Option<DisputeUpdate>,
}

pub struct Returning {
    pub refund_id: Id<Refund>,
    pub intent: usize,
    pub amount: i64,
    pub status: RefundStatus,
    /// Answer to the shop, repeated for the same request.
    answered: RefundStatus,
}

impl Paying {
    fn charge(&mut self, now: i64) {
        (self.state, self.authorized_at) = match self.key.2 {
            Capture::Automatic => (IntentState::Captured(self.amount), now),
            Capture::Manual => (IntentState::Authorized, now),
        };
    }

    pub fn captured(&self) -> i64 {
        if let IntentState::Captured(amount) = self.state { amount } else { 0 }
    }

    /// Returns whether money is charged or authorized.
    pub fn is_charged(&self) -> bool {
        matches!(self.state, IntentState::Captured(_) | IntentState::Authorized)
    }

    /// Returns whether it can no longer be charged.
    pub fn is_over(&self) -> bool {
        matches!(self.state, IntentState::Captured(_) | IntentState::Cancelled | IntentState::Declined(_))
    }

    pub fn said(&self) -> Intent {
        Intent { id: self.id.clone(), state: self.state.clone() }
    }
}

impl Returning {
    fn said(&self, place: usize, status: RefundStatus) -> RefundUpdate {
        RefundUpdate { refund_id: Some(self.refund_id), provider_id: format!("re_{place}"), status }
    }
}

impl Provider {
    /// Creates an intent, or returns that of the same key.
    pub fn create(&mut self, order: usize, attempt: usize, capture: Capture, amount: Money) -> String {
        let key = (order, attempt, capture);
        if let Some(made) = self.intents.iter().find(|made| made.key == key) {
            return made.id.clone();
        }
        let id = format!("pi_{}", self.intents.len());
        self.intents.push(Paying {
            order,
            id: id.clone(),
            state: IntentState::Unconfirmed,
            key,
            amount: amount.amount(),
            answered: None,
            authorized_at: 0,
            dispute: None,
        });
        id
    }

    pub fn place(&self, id: &str) -> usize {
        self.intents.iter().position(|intent| intent.id == id).expect("an intent of this provider")
    }

    pub fn read(&self, id: &str) -> Intent {
        self.intents[self.place(id)].said()
    }

    /// Charges, unless a charge was tried before.
    pub fn confirm(&mut self, id: &str, card: Card, now: i64) -> Intent {
        let place = self.place(id);
        let intent = &mut self.intents[place];
        if let Some(answered) = intent.answered.clone() {
            return Intent { id: id.to_owned(), state: answered };
        }
        if intent.state == IntentState::Unconfirmed {
            match card {
                Card::Good => intent.charge(now),
                Card::Declined => intent.state = IntentState::Declined("generic_decline".to_owned()),
                Card::AsksItsOwner => {
                    let url = format!("https://bank.example/{id}");
                    intent.state = IntentState::RequiresAction(Some(NextAction::RedirectToUrl { url }));
                }
                Card::TakesTime => intent.state = IntentState::Processing,
            }
            intent.answered = Some(intent.state.clone());
            self.tell(place);
        }
        self.read(id)
    }

    /// Captures an authorization, or returns the current state.
    pub fn capture(&mut self, id: &str, amount: Money) -> Intent {
        let place = self.place(id);
        if self.intents[place].state == IntentState::Authorized {
            self.intents[place].state = IntentState::Captured(amount.amount());
            self.tell(place);
        }
        self.read(id)
    }

    /// Cancels an intent, or returns the current state.
    pub fn cancel(&mut self, id: &str) -> Intent {
        let place = self.place(id);
        if !matches!(self.intents[place].state, IntentState::Captured(_) | IntentState::Cancelled) {
            self.intents[place].state = IntentState::Cancelled;
            self.tell(place);
        }
        self.read(id)
    }

    /// Refunds, or refuses to.
    pub fn refund(&mut self, refund: &Refund, payment: &Payment, rng: &mut Rng) -> Option<RefundUpdate> {
        if let Some(place) = self.refunds.iter().position(|made| made.refund_id == refund.id) {
            let made = &self.refunds[place];
            return Some(made.said(place, made.answered));
        }
        let intent = self.place(&payment.provider_id);
        let charge = &self.intents[intent];
        let disputed = matches!(charge.dispute, Some(DisputeUpdate::Opened | DisputeUpdate::Lost));
        let amount_too_large = refund.amount.amount() > charge.captured() - self.refunded(intent);
        if disputed || amount_too_large || self.refused.contains(&refund.id) {
            self.refused.push(refund.id);
            return None;
        }
        let status = if rng.usize(..100) < 30 { RefundStatus::Pending } else { RefundStatus::Succeeded };
        let amount = refund.amount.amount();
        let place = self.refunds.len();
        self.refunds.push(Returning { refund_id: refund.id, intent, amount, status, answered: status });
        self.tell_of_refund(place);
        Some(self.refunds[place].said(place, status))
    }

    /// Returns all refunds of a payment.
    pub fn refunds_of(&self, payment: &Payment) -> Vec<RefundUpdate> {
        let intent = self.place(&payment.provider_id);
        let all = self.refunds.iter().enumerate().filter(|(_, refund)| refund.intent == intent);
        all.map(|(place, refund)| refund.said(place, refund.status)).collect()
    }

    /// Returns the amount that is refunded or pending.
    pub fn refunded(&self, intent: usize) -> i64 {
        let made = self.refunds.iter().filter(|refund| refund.intent == intent);
        made.filter(|refund| refund.status != RefundStatus::Failed).map(|refund| refund.amount).sum()
    }

    /// Changes something without the shop: a customer completes 3-D Secure, or a bank decides.
    pub fn happen(&mut self, rng: &mut Rng, now: i64) {
        if rng.usize(..100) < 50 && !self.refunds.is_empty() {
            let place = rng.usize(..(self.refunds.len()).max(1));
            let refund = &mut self.refunds[place];
            match refund.status {
                RefundStatus::Pending if rng.usize(..100) < 60 => refund.status = RefundStatus::Succeeded,
                RefundStatus::Pending | RefundStatus::Succeeded if rng.usize(..100) < 30 => {
                    refund.status = RefundStatus::Failed;
                }
                _ => return,
            }
            self.tell_of_refund(place);
        } else if !self.intents.is_empty() {
            let place = rng.usize(..(self.intents.len()).max(1));
            let refunded = self.refunded(place);
            let intent = &mut self.intents[place];
            match (&intent.state, intent.dispute) {
                (IntentState::RequiresAction(_) | IntentState::Processing, _) => {
                    self.decide(place, rng.usize(..100) < 60, now);
                }
                (IntentState::Authorized, _) if rng.usize(..100) < 10 => {
                    intent.state = IntentState::Cancelled;
                    self.tell(place);
                }
                (IntentState::Captured(all), None) if *all > refunded && rng.usize(..100) < 15 => {
                    self.dispute(place, DisputeUpdate::Opened);
                }
                (IntentState::Captured(_), Some(DisputeUpdate::Opened)) => {
                    let won = rng.usize(..100) < 50;
                    self.dispute(place, if won { DisputeUpdate::Won } else { DisputeUpdate::Lost });
                }
                _ => {}
            }
        }
    }

    /// Lets time pass: pending payments end and old authorizations expire.
    pub fn grow_old(&mut self, rng: &mut Rng, now: i64) {
        for place in 0..self.intents.len() {
            let intent = &mut self.intents[place];
            if intent.state == IntentState::Processing {
                self.decide(place, rng.usize(..100) < 60, now);
            } else if intent.state == IntentState::Authorized && intent.authorized_at + LAPSES_AFTER <= now {
                intent.state = IntentState::Cancelled;
                self.tell(place);
            }
        }
        for place in 0..self.refunds.len() {
            if self.refunds[place].status == RefundStatus::Pending {
                let failed = rng.usize(..100) < 20;
                self.refunds[place].status =
                    if failed { RefundStatus::Failed } else { RefundStatus::Succeeded };
                self.tell_of_refund(place);
            }
        }
    }

    fn decide(&mut self, place: usize, succeeds: bool, now: i64) {
        let intent = &mut self.intents[place];
        if succeeds {
            intent.charge(now);
        } else {
            intent.state = IntentState::Declined("authentication_required".to_owned());
        }
        self.tell(place);
    }

    fn dispute(&mut self, place: usize, news: DisputeUpdate) {
        self.intents[place].dispute = Some(news);
        self.news.push(News::Dispute(self.intents[place].order, news));
    }

    fn tell(&mut self, place: usize) {
        let intent = &self.intents[place];
        self.news.push(News::Payment(intent.order, intent.said()));
    }

    fn tell_of_refund(&mut self, place: usize) {
        let refund = &self.refunds[place];
        let news = refund.said(place, refund.status);
        self.news.push(News::Refund(self.intents[refund.intent].order, news));
    }
}
