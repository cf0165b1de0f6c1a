//! Amounts of money: integers in the currency's minor units, never a float.

use std::fmt;

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

use super::validation::{self, Object, Violation};

/// An amount of money in the minor units of its currency (ISO 4217): 1999 USD is $19.99, 1999 JPY is ¥1999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    amount: i64,
    currency: Currency,
}

impl Money {
    /// Maximum price of one piece, in minor units. A million pieces are still far from overflow.
    pub const MAX_PRICE: i64 = 99_999_999_999;

    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Reads a price: `{"amount": 1999, "currency": "USD"}`, from 1 to [`Self::MAX_PRICE`].
    pub fn read(price: &mut Object) -> Option<Self> {
        let amount = price.field("amount").integer(|amount| validation::within(amount, 1, Self::MAX_PRICE));
        let currency = price.field("currency").text(currency);
        Some(Self::new(amount?, currency?))
    }

    /// Reads a total, which may exceed [`Self::MAX_PRICE`].
    pub fn read_total(total: &mut Object) -> Option<Self> {
        let amount = total.field("amount").integer(|amount| validation::within(amount, 0, i64::MAX));
        let currency = total.field("currency").text(currency);
        Some(Self::new(amount?, currency?))
    }

    /// Returns the minor units.
    pub fn amount(self) -> i64 {
        self.amount
    }

    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Returns the sum, unless the currencies differ or it overflows.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let amount = self.amount.checked_add(other.amount)?;
        (self.currency == other.currency).then_some(Self { amount, ..self })
    }

    /// Returns the product, unless it overflows.
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(times)?, ..self })
    }
}

impl fmt::Display for Money {
    /// Writes `19.99 USD` or `1999 JPY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = usize::from(self.currency.exponent().unwrap_or(0));
        let digits = format!("{:0width$}", self.amount.unsigned_abs(), width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        let sign = if self.amount < 0 { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction} {}", self.currency.code())
    }
}

/// Accepts a currency with minor units, which excludes gold and the code for testing.
fn currency(code: &str) -> Result<Currency, Violation> {
    let currency = Currency::from_code(code).filter(|currency| currency.exponent().is_some());
    currency.ok_or(Violation::UnknownValue(&["the ISO 4217 currency codes"]))
}
