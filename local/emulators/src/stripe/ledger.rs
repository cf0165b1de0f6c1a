//! Where the money went: what Stripe did, as an auditor would ask for it.

use std::{collections::BTreeMap, fmt::Write};

use serde::{Deserialize, Serialize};
use shared::domain::time::Timestamp;

/// Every movement of money and every hold on it, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(pub Vec<Entry>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// How much, in minor units of the currency.
    pub amount: i64,
    /// The currency, in lower case.
    pub currency: String,
    /// The order, from the intent's metadata.
    pub order_id: String,
    /// The intent.
    pub intent: String,
    /// The charge, or the refund.
    pub id: String,
}

/// What happened to the money.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is held for the shop.
    Authorized,
    /// It was taken at once.
    Charged,
    /// It was taken from what was held.
    Captured,
    /// It is held no longer.
    Voided,
    /// It goes back to the customer.
    Refunded,
    /// It could not be given back, and is the shop's again.
    RefundFailed,
    /// The customer's bank has taken it back.
    Disputed,
    /// The shop got it again.
    DisputeWon,
}

/// What the entries of one order come to, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sums {
    /// The currency, in lower case.
    pub currency: String,
    /// How often money was taken.
    pub charges: usize,
    /// All that was ever held, taken from it or not.
    pub authorized: i64,
    /// Held no longer, and not taken.
    pub voided: i64,
    /// Taken from what was held.
    pub captured: i64,
    /// Taken, at once or from what was held.
    pub charged: i64,
    /// Given back, without what could not be.
    pub refunded: i64,
    /// Taken back by banks and not won again.
    pub disputed: i64,
}

impl Sums {
    /// What is held still.
    pub fn held(&self) -> i64 {
        self.authorized - self.voided - self.captured
    }

    /// What the shop has of it.
    pub fn kept(&self) -> i64 {
        self.charged - self.refunded - self.disputed
    }
}

impl Ledger {
    /// The entries of one order.
    pub fn of(&self, order_id: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry.order_id == order_id).cloned().collect())
    }

    /// The sums of each order, by its id.
    pub fn sums(&self) -> BTreeMap<String, Sums> {
        let mut orders: BTreeMap<String, Sums> = BTreeMap::new();
        for Entry { kind, amount, currency, order_id, .. } in &self.0 {
            let sums = orders.entry(order_id.clone()).or_default();
            sums.currency.clone_from(currency);
            match kind {
                Kind::Authorized => sums.authorized += amount,
                Kind::Voided => sums.voided += amount,
                Kind::Charged | Kind::Captured => {
                    sums.charges += 1;
                    sums.charged += amount;
                    sums.captured += if *kind == Kind::Captured { *amount } else { 0 };
                }
                Kind::Refunded => sums.refunded += amount,
                Kind::RefundFailed => sums.refunded -= amount,
                Kind::Disputed => sums.disputed += amount,
                Kind::DisputeWon => sums.disputed -= amount,
            }
        }
        orders
    }

    /// A table for a person: the entries in order, then each order's sums.
    pub fn readable(&self) -> String {
        let mut table = String::new();
        let mut line = |cells: std::fmt::Arguments<'_>| writeln!(table, "{cells}").unwrap_or_default();
        line(format_args!("{:<24}  {:<13}  {:>14}  {:<27}  order", "at", "what", "minor units", "intent"));
        for Entry { at, kind, amount, currency, order_id, intent, .. } in &self.0 {
            let (at, kind, currency) = (at.to_string(), kind.name(), currency.to_uppercase());
            line(format_args!("{at}  {kind:<13}  {amount:>10} {currency}  {intent}  {order_id}"));
        }
        line(format_args!(
            "\n{:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>14}  order",
            "held", "charged", "refunded", "disputed", "voided", "kept"
        ));
        for (order_id, sums) in self.sums() {
            let (held, kept, currency) = (sums.held(), sums.kept(), sums.currency.to_uppercase());
            let Sums { charged, refunded, disputed, voided, .. } = sums;
            line(format_args!(
                "{held:>10}  {charged:>10}  {refunded:>10}  {disputed:>10}  {voided:>10}  {kept:>10} {currency}  \
                 {order_id}"
            ));
        }
        table
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Charged => "charged",
            Self::Captured => "captured",
            Self::Voided => "voided",
            Self::Refunded => "refunded",
            Self::RefundFailed => "refund failed",
            Self::Disputed => "disputed",
            Self::DisputeWon => "dispute won",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_s_sums_are_those_of_all_its_payments() {
        let entry = |kind, amount| Entry {
            at: Timestamp::from_millis(0),
            kind,
            amount,
            currency: "usd".to_owned(),
            order_id: "ord_1".to_owned(),
            intent: "pi_1".to_owned(),
            id: "ch_1".to_owned(),
        };
        let lapsed_then_paid = [(Kind::Authorized, 1000), (Kind::Voided, 1000), (Kind::Charged, 1000)];
        let held_then_taken_in_part = [(Kind::Authorized, 500), (Kind::Captured, 300)];
        let given_back = [(Kind::Refunded, 250), (Kind::RefundFailed, 50), (Kind::Disputed, 10)];
        let all = lapsed_then_paid.into_iter().chain(held_then_taken_in_part).chain(given_back);
        let ledger = Ledger(all.map(|(kind, amount)| entry(kind, amount)).collect());
        let sums = &ledger.sums()["ord_1"];
        assert_eq!((sums.charges, sums.charged, sums.held(), sums.kept()), (2, 1300, 200, 1090));
        assert_eq!(ledger.of("ord_2"), Ledger::default());
    }
}
