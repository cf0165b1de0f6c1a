//! Audits stock, orders and payments. Reads the tables and Stripe's ledger without the shop's code, so that both cannot have
//! the same bug.

use std::collections::BTreeMap;

use emulators::stripe::Sums;

use super::{ORDERS, PRODUCTS, Shop};

use serde_json::{Map, Value, json};

/// Converts an item of DynamoDB to plain JSON.
pub fn plain(item: &Value) -> Value {
    let members = item.as_object().into_iter().flatten();
    Value::Object(members.map(|(name, value)| (name.clone(), value_of(value))).collect::<Map<_, _>>())
}

fn value_of(value: &Value) -> Value {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match &**kind {
        "N" => json!(value.as_str().unwrap().parse::<i64>().unwrap()),
        "M" => plain(value),
        "L" => value.as_array().unwrap().iter().map(value_of).collect(),
        "NULL" => Value::Null,
        _ => value.clone(),
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

fn sum<'v>(values: impl IntoIterator<Item = &'v Value>, of: impl Fn(&Value) -> Option<i64>) -> i64 {
    values.into_iter().map(|value| of(value).unwrap_or_default()).sum()
}

fn amount(value: &Value, name: &str) -> i64 {
    value[name]["amount"].as_i64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

impl Shop {
    /// Returns all stored orders with any of these products.
    pub fn orders_with(&self, products: &[&str]) -> Vec<Value> {
        let orders = self.items(ORDERS);
        let orders = orders.iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("ORDER#"));
        let holds = |order: &Value| {
            list(order, "lines").iter().any(|line| products.contains(&line["product_id"].as_str().unwrap()))
        };
        orders.map(plain).filter(holds).collect()
    }

    /// Fails unless stock, settled orders and Stripe agree on these products: I1, I2, I7, I8.
    #[track_caller]
    pub fn assert_books(&self, products: &[&str]) {
        self.assert_books_of(products, &self.orders_with(products));
    }

    /// Like [`assert_books`](Self::assert_books), given all orders of the products.
    #[track_caller]
    pub fn assert_books_of(&self, products: &[&str], orders: &[Value]) {
        self.assert_stock(products, orders);
        let sums = self.stripe().ledger().sums();
        for order in orders {
            let id = order["id"].as_str().unwrap();
            assert_paid(order, &sums.get(id).cloned().unwrap_or_default(), &self.provider_intents(id));
        }
    }

    /// Returns all stored orders of a customer.
    pub fn orders_of(&self, buyer: &str) -> Vec<Value> {
        let items = self.items_of(ORDERS, &format!("USER#{buyer}"));
        items
            .iter()
            .filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("ORDER#"))
            .map(plain)
            .collect()
    }

    /// Fails unless stock and orders agree, settled or not.
    #[track_caller]
    pub fn assert_stock(&self, products: &[&str], orders: &[Value]) {
        for product in products {
            let items = self.items_of(PRODUCTS, &format!("PRODUCT#{product}"));
            let of_product: Vec<_> = items.iter().map(plain).collect();
            let stock = of_product.iter().find(|item| item["sk"] == "ENTRY#STOCK").unwrap();
            let count = |name: &str| stock[name].as_i64().unwrap_or_else(|| panic!("no {name} in {stock}"));
            let movements: Vec<_> =
                of_product.iter().filter(|item| item["sk"].as_str().unwrap().starts_with("MOVE#")).collect();
            let moved = |reason: &str| {
                let moves = movements.iter().copied().filter(|movement| movement["reason"] == reason);
                let moves = moves.filter(|movement| movement["order_id"].is_string());
                sum(moves, |movement| movement["delta"].as_i64())
            };
            let lines = || {
                orders.iter().flat_map(|order| {
                    list(order, "lines")
                        .iter()
                        .filter(|line| line["product_id"] == *product)
                        .map(move |line| (order, line))
                })
            };
            let of_lines = |name: &str| sum(lines().map(|(_, line)| line), |line| line[name].as_i64());
            let live = lines().filter(|(order, _)| order["status"] == "open").map(|(_, line)| line);
            let held = sum(live, |line| {
                let count = |name: &str| line[name].as_i64().unwrap();
                Some(count("quantity") - count("fulfilled") - count("released"))
            });
            let told = || format!("{stock:#} {movements:#?} {orders:#?}");
            assert!(count("available") >= 0 && count("reserved") >= 0, "{}", told());
            assert_eq!(count("available") + count("reserved"), count("on_hand"), "{}", told());
            let all = sum(movements.iter().copied(), |movement| movement["delta"].as_i64());
            assert_eq!(all, count("on_hand"), "{}", told());
            assert_eq!(held, count("reserved"), "orders hold another number of {product}: {}", told());
            assert_eq!(
                (-moved("shipped"), moved("returned")),
                (of_lines("fulfilled"), of_lines("restocked")),
                "{}",
                told()
            );
        }
    }
}

/// Fails unless a settled order and Stripe's ledger agree on payments and refunds.
#[track_caller]
fn assert_paid(order: &Value, sums: &Sums, intents: &[Value]) {
    let told = || format!("{order:#} {sums:#?} {intents:#?}");
    let lines = list(order, "lines");
    let worth = |line: &Value| Some(amount(line, "unit_price") * line["quantity"].as_i64().unwrap());
    assert!(lines.iter().all(|line| worth(line) == Some(amount(line, "total"))), "{}", told());
    let total = amount(order, "total");
    assert_eq!(sum(lines, worth), total, "{}", told());

    let payments = list(order, "payments");
    assert!(payments.iter().all(|payment| payment["status"] != "processing"), "in doubt: {}", told());
    assert!(
        list(order, "refunds").iter().all(|refund| refund["status"] != "pending"),
        "in doubt: {}",
        told()
    );
    let captured = sum(payments, |payment| Some(amount(payment, "captured")));
    let refunded = sum(payments, |payment| Some(amount(payment, "refunded")));
    assert!(sums.charges <= 1, "charged more than once: {}", told());
    assert_eq!((captured, refunded), (sums.charged, sums.refunded), "{}", told());
    assert!(refunded <= captured && captured <= total, "{}", told());
    let succeeded = list(order, "refunds").iter().filter(|refund| refund["status"] == "succeeded");
    assert_eq!(sum(succeeded, |refund| Some(amount(refund, "amount"))), refunded, "{}", told());

    let held = payments.iter().filter(|payment| payment["status"] == "authorized");
    let held = sum(held, |payment| Some(amount(payment, "amount")));
    // What is left of a part that was captured is free by Stripe's own rule.
    assert_eq!(held, if captured > 0 { 0 } else { sums.held() }, "{}", told());
    let expected: &[&str] = match (captured, captured - refunded) {
        (0, _) if held > 0 => &["authorized"],
        (0, _) => &["unpaid", "voided"],
        (_, 0) => &["refunded"],
        (_, left) if left == captured => &["paid"],
        _ => &["partially_refunded"],
    };
    assert!(expected.contains(&order["payment_status"].as_str().unwrap()), "{expected:?} {}", told());
    if ["cancelled", "expired"].contains(&order["status"].as_str().unwrap()) {
        assert_eq!((captured, held), (refunded, 0), "money for nothing: {}", told());
    }
}

/// Counts each type of event in an order's timeline.
pub fn timeline(order: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in list(order, "timeline") {
        *counts.entry(entry["type"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}
