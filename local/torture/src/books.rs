//! Audits the shop's data against itself and against the Stripe emulator's ledger.

use fastrand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use emulators::{
    server,
    stripe::{self, Ledger, Sums},
};
use runtime::{data, keys};
use serde_json::{Value, json};
use shared::auth::Role;
use tokio::time::sleep;

use super::{
    TortureError,
    client::{Call, Client},
};

/// Stock of each product: some sell out at once, some never.
const STOCKS: [i64; 8] = [3, 10, 30, 100, 300, 1_000, 100_000, 1_000_000];
/// Interval of the checks of a stock.
const GLANCE_EVERY: Duration = Duration::from_millis(500);

/// Creates products for this run. Returns their ids.
pub(super) async fn stock_up(
    client: &Client,
    staff: &str,
    rng: &mut Rng,
) -> Result<Vec<String>, TortureError> {
    let (run, mut products) = (server::uuid(), Vec::new());
    for (number, stock) in STOCKS.iter().enumerate() {
        let body = json!({
            "sku": format!("T-{}-{number}", &run[..8]),
            "name": "Tortured thing",
            "category": "torture",
            "price": {"amount": 1 + rng.usize(..5_000), "currency": "EUR"},
            "initial_stock": stock,
        });
        let call = Call::post("products-create", "/products".to_owned(), body, staff, &[201]);
        let answer = client.ask(&call).await.filter(|answer| answer.status == 201);
        let id = answer.as_ref().and_then(|answer| answer.body["id"].as_str());
        let id =
            id.ok_or_else(|| TortureError::Closed(client.url.clone(), "products can't be made".to_owned()))?;
        products.push(id.to_owned());
    }
    Ok(products)
}

/// Checks a stock now and then: it must be consistent at any moment.
pub(super) async fn watch(client: Arc<Client>, products: Arc<Vec<String>>) {
    for product in products.iter().cycle() {
        sleep(GLANCE_EVERY).await;
        if let Ok(Some(stock)) = inventory(&client, product).await {
            let mut tally = client.tally();
            tally.glances += 1;
            if !is_sound(&stock) {
                tally.violation(format!("the stock of {product} is {stock}"));
            }
        }
    }
}

async fn inventory(client: &Client, product: &str) -> Result<Option<Value>, TortureError> {
    let staff = client.token(keys::user(Role::Staff)?, Role::Staff)?;
    let path = format!("/products/{product}/inventory");
    let answer = client.ask(&Call::get("inventory-get", path, &staff, &[200])).await;
    Ok(answer.map(|answer| answer.body))
}

fn is_sound(stock: &Value) -> bool {
    let count = |name: &str| stock[name].as_i64().unwrap_or(-1);
    let (available, reserved) = (count("available"), count("reserved"));
    available >= 0 && reserved >= 0 && available + reserved == count("on_hand")
}

/// Runs all checks. Returns their number and the differences, some of which may be temporary.
pub(super) async fn compare(
    client: &Client,
    data: &Path,
    products: &[String],
) -> Result<(usize, Vec<String>), TortureError> {
    let (mut checks, mut wrong) = (0, Vec::new());
    let mut check = |is_right: bool, what: &dyn Fn() -> String| {
        checks += 1;
        if !is_right {
            wrong.push(what());
        }
    };
    let customers = client.tally().customers.clone();
    let mut orders = Vec::new();
    for customer in customers {
        let token = client.token(customer, Role::Customer)?;
        orders.extend(all(client, "orders-list", "/orders", &token).await);
    }
    let ids: BTreeSet<_> = orders.iter().map(|order| text(order, "id").to_owned()).collect();
    for acknowledged in &client.tally().acknowledged {
        check(ids.contains(acknowledged), &|| format!("{acknowledged} was acknowledged, and is not there"));
    }
    let ledger = stripe::read_ledger(&data::stripe(data))?;
    let sums = Ledger::sums(&ledger);
    for order in &orders {
        let nothing = Sums::default();
        let sums = sums.get(text(order, "id")).unwrap_or(&nothing);
        for (is_right, what) in judge(order, sums) {
            check(is_right, &|| format!("{what}: {order}, at the provider {sums:?}"));
        }
    }
    let mut claims: BTreeMap<&str, i64> = BTreeMap::new();
    for line in orders.iter().flat_map(|order| order["lines"].as_array().into_iter().flatten()) {
        *claims.entry(text(line, "product_id")).or_default() += claim(line);
    }
    let staff = client.token(keys::user(Role::Staff)?, Role::Staff)?;
    for product in products {
        let stock = inventory(client, product).await?.unwrap_or_default();
        let movements = format!("/products/{product}/inventory/movements");
        let movements = all(client, "inventory-movements", &movements, &staff).await;
        let moved: i64 = movements.iter().filter_map(|movement| movement["delta"].as_i64()).sum();
        let claimed = claims.get(&**product).copied().unwrap_or_default();
        check(is_sound(&stock), &|| format!("the stock of {product} is {stock}"));
        check(stock["on_hand"] == moved, &|| {
            format!("of {product} {moved} came and stayed, but the stock is {stock}")
        });
        check(stock["reserved"] == claimed, &|| {
            format!("open orders claim {claimed} of {product}, the stock is {stock}")
        });
    }
    Ok((checks, wrong))
}

/// Checks a settled order.
fn judge(order: &Value, sums: &Sums) -> Vec<(bool, &'static str)> {
    let each = |list: &str| order[list].as_array().cloned().unwrap_or_default();
    let sum = |name: &str| {
        each("payments").iter().filter_map(|payment| payment[name]["amount"].as_i64()).sum::<i64>()
    };
    let has = |kind: &str| each("timeline").iter().any(|entry| entry["type"] == kind);
    let count = |kind: &str| each("timeline").iter().filter(|entry| entry["type"] == kind).count();
    let status = text(order, "status");
    let (is_open, captured, refunded) = (status == "open", sum("captured"), sum("refunded"));
    let is_held = each("payments").iter().any(|payment| payment["status"] == "authorized");
    let waits = each("payments").iter().any(|payment| payment["status"] == "processing");
    let given_up = has("refund_failed") || has("disputed");
    let chosen = !has("cancellation_started");
    let cancelling = count("cancellation_started") > count("refund_failed") + usize::from(!is_open);
    vec![
        (sums.charges <= 1, "charged more than once"),
        (captured == sums.charged, "captured is not what the provider says"),
        (refunded == sums.refunded, "refunded is not what the provider says"),
        (is_held == (sums.held() > 0), "authorized is not what the provider says"),
        (!waits, "a payment in doubt"),
        (!(is_open && cancelling), "a cancellation that does not end"),
        (is_open || each("lines").iter().all(|line| claim(line) == 0), "closed with a claim on stock"),
        (status != "expired" || captured == refunded || given_up, "expired, but the shop has the money"),
        (
            status != "cancelled" || captured == refunded || given_up || chosen,
            "cancelled, but the shop has the money",
        ),
        (status != "completed" || captured > 0, "completed without money"),
    ]
}

fn claim(line: &Value) -> i64 {
    let count = |name: &str| line[name].as_i64().unwrap_or_default();
    count("quantity") - count("fulfilled") - count("released")
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

/// Reads all pages of a list.
async fn all(client: &Client, operation: &'static str, path: &str, token: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}?limit=50{cursor}");
        let Some(page) = client.ask(&Call::get(operation, path, token, &[200])).await else { return items };
        items.extend(page.body["items"].as_array().cloned().unwrap_or_default());
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}
