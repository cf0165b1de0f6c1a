//! The ledger: all movements of money at Stripe, for audits.

use std::{collections::BTreeMap, fmt::Write};

use serde::{Deserialize, Serialize};
use shared::domain::time::Timestamp;

/// All entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(pub Vec<Entry>);

/// A movement of money.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub kind: Kind,
    /// Amount in minor units.
    pub amount: i64,
    /// Lower case.
    pub currency: String,
    /// Order id in the intent's metadata.
    pub order_id: String,
    pub intent: String,
    /// Id of the charge or refund.
    pub id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The amount is authorized.
    Authorized,
    /// The card is charged at once.
    Charged,
    /// An authorized amount is captured.
    Captured,
    /// An authorization ends.
    Voided,
    /// A refund begins.
    Refunded,
    /// A refund has failed, and the shop keeps the money.
    RefundFailed,
    /// A dispute takes the money.
    Disputed,
    /// A won dispute returns the money.
    DisputeWon,
}

/// Sums of an order, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sums {
    /// Lower case.
    pub currency: String,
    /// Number of charges and captures.
    pub charges: usize,
    /// Authorized, captured or not.
    pub authorized: i64,
    /// Authorized and released.
    pub voided: i64,
    /// Captured.
    pub captured: i64,
    /// Charged or captured.
    pub charged: i64,
    /// Refunded, without failed refunds.
    pub refunded: i64,
    /// Lost in disputes.
    pub disputed: i64,
}

impl Sums {
    /// Returns the amount still authorized.
    pub fn held(&self) -> i64 {
        self.authorized - self.voided - self.captured
    }

    /// Returns the amount that the shop has received and kept.
    pub fn kept(&self) -> i64 {
        self.charged - self.refunded - self.disputed
    }
}

impl Ledger {
    /// Returns the entries of an order.
    pub fn of(&self, order_id: &str) -> Self {
        Self(self.0.iter().filter(|entry| entry.order_id == order_id).cloned().collect())
    }

    /// Returns the sums of each order, by its id.
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

    /// Formats entries and sums as a table.
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
