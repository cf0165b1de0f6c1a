use proptest::prelude::*;
use serde_json::json;
use shared::domain::{money::Money, validation};

/// Currencies with all numbers of decimals.
const CURRENCIES: [(&str, usize); 12] = [
    ("JPY", 0),
    ("KRW", 0),
    ("ISK", 0),
    ("CLP", 0),
    ("VND", 0),
    ("USD", 2),
    ("EUR", 2),
    ("GBP", 2),
    ("HUF", 2),
    ("KWD", 3),
    ("BHD", 3),
    ("TND", 3),
];

fn price(amount: i64, currency: &str) -> Option<Money> {
    validation::read(json!({"amount": amount, "currency": currency}), Money::read).ok()
}

fn any_currency() -> impl Strategy<Value = (&'static str, usize)> {
    prop::sample::select(&CURRENCIES[..])
}

/// Any amount, also beyond what clients can send.
fn any_money() -> impl Strategy<Value = Money> {
    let currency = any_currency().prop_map(|(code, _)| price(1, code).unwrap().currency());
    (any::<i64>(), currency).prop_map(|(amount, currency)| Money::new(amount, currency))
}

proptest! {
    #[test]
    fn i12_a_sum_is_exact_or_none(a in any_money(), b in any_money()) {
        let exact = i128::from(a.amount()) + i128::from(b.amount());
        let fits = i64::try_from(exact).ok().filter(|_| a.currency() == b.currency());
        let sum = a.checked_add(b);
        prop_assert_eq!(sum.map(Money::amount), fits);
        prop_assert_eq!(sum, b.checked_add(a));
    }

    #[test]
    fn i12_a_product_is_exact_or_none(money in any_money(), times: i64) {
        let exact = i128::from(money.amount()) * i128::from(times);
        let product = money.checked_mul(times);
        prop_assert_eq!(product.map(Money::amount), i64::try_from(exact).ok());
        prop_assert!(product.is_none_or(|product| product.currency() == money.currency()));
    }

    #[test]
    fn i12_fifty_lines_of_the_dearest_product_do_not_overflow(pieces in 1_i64..=1_000) {
        let line = price(Money::MAX_PRICE, "EUR").unwrap().checked_mul(pieces).unwrap();
        let total = (1..50).try_fold(line, |total, _| total.checked_add(line));
        prop_assert_eq!(total.unwrap().amount(), 50 * pieces * Money::MAX_PRICE);
    }

    #[test]
    fn a_price_is_read_within_its_bounds_and_written_as_it_came(amount: i64, (currency, _) in any_currency()) {
        match price(amount, currency) {
            Some(money) => {
                prop_assert!((1..=Money::MAX_PRICE).contains(&amount));
                prop_assert_eq!(json!(money), json!({"amount": amount, "currency": currency}));
            }
            None => prop_assert!(!(1..=Money::MAX_PRICE).contains(&amount)),
        }
    }

    #[test]
    fn i12_no_fraction_is_ever_taken_for_an_amount(amount: f64) {
        let refused = validation::read(json!({"amount": amount, "currency": "EUR"}), Money::read);
        prop_assert!(refused.is_err());
    }

    #[test]
    fn people_read_all_of_an_amount(amount in 0..=i64::MAX, (code, decimals) in any_currency()) {
        let currency = price(1, code).unwrap().currency();
        for amount in [amount, -amount] {
            let text = Money::new(amount, currency).to_string();
            let (number, unit) = text.split_once(' ').unwrap();
            prop_assert_eq!(unit, code);
            prop_assert_eq!(number.split_once('.').map_or(0, |(_, fraction)| fraction.len()), decimals);
            prop_assert_eq!(number.replace('.', "").parse::<i64>().unwrap(), amount);
        }
    }

    #[test]
    fn no_other_text_is_a_currency(code in "\\PC{0,4}") {
        let known = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        prop_assert!(known || price(1, &code).is_none());
    }
}

#[test]
fn what_is_no_currency_of_trade_is_refused() {
    for code in ["XXX", "XTS", "XAU", "eur", "EURO", "€", "", "978", "BTC"] {
        assert!(price(1, code).is_none(), "{code}");
    }
}
