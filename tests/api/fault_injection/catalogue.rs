//! Injects faults into the operations on the catalogue and its inventory, and into the reads of orders.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::MISTAKES;
use crate::shop::{
    CUSTOMER, Options, PRODUCTS, Request, Shop,
    buyers::mark_of,
    changed, new_product,
    proxy::{Refusal, items_of, refusals},
    unique, unique_user,
};

/// The operations that these tests inject faults into.
pub const OPERATIONS: [&str; 11] = [
    "health-get",
    "products-get",
    "products-list",
    "products-create",
    "products-update",
    "products-archive",
    "inventory-get",
    "inventory-adjust",
    "inventory-movements",
    "orders-get",
    "orders-list",
];

/// A request of the operation that succeeds, on a product of its own, and a text that only its calls contain.
async fn request_for(shop: &Shop, operation: &str) -> (Request, String) {
    let product = shop.create_stocked("fault", 10).await;
    let id = product.id().to_owned();
    let (path, category) = (format!("/products/{id}"), product["category"].as_str().unwrap());
    match operation {
        "health-get" => (shop.get("/health"), "HEALTH".to_owned()),
        "products-get" => (shop.get(&path), id),
        "products-list" => (shop.get("/products").query("category", category), category.to_owned()),
        "products-create" => {
            let new = new_product("fault");
            let sku = new["sku"].as_str().unwrap().to_owned();
            (shop.post("/products").staff().key(&unique("key")).json(&new), sku)
        }
        "products-update" => {
            let patch = json!({"name": "Mug", "price": {"amount": 5}});
            (shop.patch(&path).staff().if_match(product.etag()).json(&patch), id)
        }
        "products-archive" => (shop.delete(&path).staff().if_match(product.etag()), id),
        "inventory-get" => (shop.get(&format!("{path}/inventory")).staff(), id),
        "inventory-adjust" => (shop.adjust(&id, -1), id),
        "inventory-movements" => (shop.get(&format!("{path}/inventory/movements")).staff(), id),
        "orders-get" => {
            let order = shop.ordered(&[(&id, 1)]).await;
            let customer = order["customer_id"].as_str().unwrap();
            (shop.get(&format!("/orders/{}", order.id())).caller(customer, CUSTOMER), mark_of(&order))
        }
        // The list of a customer; `unavailable` has that of the staff.
        "orders-list" => {
            let customer = unique_user();
            shop.place(&customer, &[(&id, 1)]).send().await.expect(201);
            (shop.get("/orders").caller(&customer, CUSTOMER), customer)
        }
        unknown => panic!("{unknown} needs a request"),
    }
}

/// The calls that each operation makes of DynamoDB, in order.
async fn call_sites(shop: &Shop) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut sites = Vec::new();
    for function in OPERATIONS {
        let (request, about) = request_for(shop, function).await;
        let watched = shop.any_call().by(function).about(about).observe();
        let answer = request.send().await;
        assert!(answer.status < 300, "{answer:?}");
        let known = ["GetItem", "Query", "TransactWriteItems", "BatchGetItem", "PutItem", "UpdateItem"];
        let calls = watched.observed().into_iter();
        let calls: Vec<_> = calls
            .map(|call| *known.iter().find(|known| **known == call.operation).expect("a known call"))
            .collect();
        assert!(!calls.is_empty(), "{function} makes no call");
        sites.push((function, calls));
    }
    sites
}

#[tokio::test]
async fn i18_every_error_of_the_store_at_every_call_site_gets_its_documented_status() {
    let shop = Shop::shared().await;
    let site = async |function: &'static str, calls: Vec<&'static str>| {
        for (name, refusal) in refusals() {
            for call in &calls {
                let (request, about) = request_for(&shop, function).await;
                let fault = shop.calls(call).by(function).about(about).answer(refusal.clone());
                let answer = request.send().await;
                assert!(fault.hits() > 0);
                // A temporary error is 503, a mistake of the shop 500. Neither is the client's.
                match MISTAKES.contains(&name) {
                    true => assert_eq!(answer.status, 500, "{function} {call} {name}: {answer:?}"),
                    false => assert_eq!(answer.status, 503, "{function} {call} {name}: {answer:?}"),
                }
            }
        }
    };
    let sites = call_sites(&shop).await;
    join_all(sites.into_iter().map(|(function, calls)| site(function, calls))).await;
}

#[tokio::test]
async fn i18_a_store_that_cuts_off_or_loses_answers_is_503_and_a_retry_succeeds() {
    let shop = Shop::shared().await;
    let site = async |function: &'static str, calls: Vec<&'static str>| {
        for call in calls {
            let (request, about) = request_for(&shop, function).await;
            let fault = || shop.calls(call).by(function).about(&about);
            let refused = fault().refuse();
            request.clone().send().await.expect_problem(503, "temporarily_unavailable");
            drop(refused);
            // The SDK retries after one lost response.
            let lost = fault().times(1).lose_answer();
            let answer = request.send().await;
            assert!(answer.status < 300, "{function} {call}: {answer:?}");
            assert_eq!(lost.hits(), 1);
            drop(lost);

            let (request, about) = request_for(&shop, function).await;
            let lost = shop.calls(call).by(function).about(&about).lose_answer();
            request.clone().send().await.expect_problem(503, "temporarily_unavailable");
            drop(lost);
            // The write was committed: a retry without an idempotency key has a stale ETag.
            let done =
                call == "TransactWriteItems" && ["products-update", "products-archive"].contains(&function);
            let answer = request.send().await;
            assert!(
                if done { answer.status == 412 } else { answer.status < 300 },
                "{function} {call}: {answer:?}"
            );
        }
    };
    let sites = call_sites(&shop).await;
    join_all(sites.into_iter().map(|(function, calls)| site(function, calls))).await;
}

#[tokio::test]
async fn i18_an_unreadable_item_is_500_without_details() {
    // A shop of its own, because the stream would deliver the broken item again and again.
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    let product = shop.create(&new_product("broken")).await;
    let (id, key) = (product.id(), format!("PRODUCT#{}", product.id()));
    let mut stock = shop.item(PRODUCTS, &key, "ENTRY#STOCK");
    stock["available"] = json!({"S": "PLANTED"});
    shop.write(PRODUCTS, stock);
    let path = format!("/products/{id}");
    let requests = [
        shop.get(&path),
        shop.get(&format!("{path}/inventory")).staff(),
        shop.patch(&path).staff().if_match("*").json(&json!({"name": "Mug"})),
        shop.delete(&path).staff().if_match("*"),
        shop.adjust(id, -1),
    ];
    for request in requests {
        request.send().await.expect_problem(500, "internal_error");
    }
}

#[tokio::test]
async fn i18_a_store_that_never_answers_is_503_before_the_gateway_gives_up() {
    let shop = Shop::start(Options::default()).await;
    let sites = call_sites(&shop).await;
    let site = async |function: &'static str, call: &'static str| {
        let (request, about) = request_for(&shop, function).await;
        let silence = shop.calls(call).by(function).about(about).hold();
        let answer = timeout(Duration::from_secs(25), request.send()).await.expect("an answer in time");
        assert!(silence.hits() > 0);
        answer.expect_problem(503, "temporarily_unavailable");
    };
    let calls =
        sites.into_iter().flat_map(|(function, calls)| calls.into_iter().map(move |call| (function, call)));
    join_all(calls.map(|(function, call)| site(function, call))).await;
}

#[tokio::test]
async fn i18_functions_that_start_while_the_store_is_down_recover_by_themselves() {
    let shop = Shop::start(Options { closed: true, ..Options::default() }).await;
    let seeding = ["products-create", "orders-create"];
    for function in seeding {
        shop.open(function, 1).await;
    }
    let mut requests = Vec::new();
    for operation in OPERATIONS {
        requests.push((operation, request_for(&shop, operation).await.0));
    }
    let outage = (shop.any_call().refuse(), shop.verifier_reads().refuse());
    for function in crate::shop::process::functions() {
        if !seeding.contains(&&*function) {
            shop.open(&function, 1).await;
        }
    }
    for (_, request) in requests.clone() {
        request.send().await.expect_problem(503, "temporarily_unavailable");
    }
    drop(outage);
    for (function, request) in requests {
        let answer = request.send().await;
        assert!(answer.status < 300, "{function}: {answer:?}");
        assert_eq!(shop.alive(function), 1);
    }
}

/// Returns every pair of cancellation reasons at every pair of neighbours, the last and first item included, and each
/// reason at all items.
fn mixes(items: usize) -> Vec<Vec<&'static str>> {
    let mut mixes = Vec::new();
    for (first, second) in (0..items).map(|first| (first, (first + 1) % items)) {
        for number in 0..CODES.len().pow(2) {
            let mut reasons = vec!["None"; items];
            (reasons[first], reasons[second]) = (CODES[number % CODES.len()], CODES[number / CODES.len()]);
            mixes.push(reasons);
        }
    }
    mixes.extend(CODES.map(|code| vec![code; items]));
    mixes.sort_unstable();
    mixes.dedup();
    mixes
}

const CODES: [&str; 7] = [
    "None",
    "ConditionalCheckFailed",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "ItemCollectionSizeLimitExceeded",
    "ValidationError",
];

/// Cancels the request's transaction for these reasons, and checks the response.
async fn check_cancelled(
    shop: &Shop,
    about: &str,
    request: &Request,
    reasons: &[&'static str],
    refused: &[(u16, &str)],
) {
    let injected = reasons.to_vec();
    let cancelled = shop.calls("TransactWriteItems").about(about);
    let cancelled = cancelled.answer_with(move |_| Refusal::cancelled(injected.iter().copied()));
    let answer = request.clone().send().await;
    assert!(cancelled.hits() > 0, "{answer:?}");
    let any = |codes: &[&str]| reasons.iter().any(|reason| codes.contains(reason));
    let conditions_alone = !any(&CODES[2..]) && any(&["ConditionalCheckFailed"]);
    let verdict = (answer.status, answer["code"].as_str().unwrap());
    if conditions_alone {
        assert!(refused.contains(&verdict), "{reasons:?}: {answer:?}");
    } else if any(&["ItemCollectionSizeLimitExceeded", "ValidationError"]) {
        assert!(answer.status >= 500, "{reasons:?}: {answer:?}");
    } else {
        assert_eq!(verdict, (503, "temporarily_unavailable"), "{reasons:?}: {answer:?}");
    }
}

#[tokio::test]
async fn i21_no_mix_of_cancellation_reasons_in_an_adjustment_blames_the_client() {
    let shop = Shop::with(&[
        ("products-create", 1),
        ("inventory-adjust", 4),
        ("inventory-get", 1),
        ("inventory-movements", 1),
    ])
    .await;
    let lane = async |lane: usize| {
        let product = shop.create_stocked("mix", 5).await;
        let items = {
            let watched = shop.calls("TransactWriteItems").about(product.id()).observe();
            shop.adjust(product.id(), 1).send().await.expect(201);
            items_of(&watched.observed()[0].request)
        };
        for reasons in mixes(items).iter().skip(lane).step_by(4) {
            // These cancellations lack the item that failed its condition. On the stock that means that there is no
            // such product; on the movement or the idempotency record it is an internal error.
            let refused = [
                (401, "invalid_token"),
                (404, "not_found"),
                (500, "internal_error"),
                (422, "idempotency_key_reused"),
            ];
            check_cancelled(&shop, product.id(), &shop.adjust(product.id(), -1), reasons, &refused).await;
        }
        assert_eq!(shop.inventory(product.id()).await["on_hand"], 6);
        shop.assert_books_balance(product.id()).await;
    };
    join_all((0..4).map(lane)).await;
}

#[tokio::test]
async fn i21_no_mix_of_cancellation_reasons_in_an_update_or_a_removal_blames_the_client() {
    let shop = Shop::with(&[
        ("products-create", 1),
        ("products-update", 2),
        ("products-archive", 2),
        ("products-get", 1),
    ])
    .await;
    let lane = async |request: &dyn Fn(&str) -> Request| {
        let product = shop.create(&new_product("mix")).await;
        let request = request(&format!("/products/{}", product.id()));
        // Authority, audit event, entry and stock.
        for reasons in mixes(4) {
            let refused =
                [(401, "invalid_token"), (500, "internal_error"), (412, "stale_version"), (404, "not_found")];
            check_cancelled(&shop, product.id(), &request, &reasons, &refused).await;
        }
        assert_eq!(shop.product(product.id()).await.json, product.json);
    };
    let update = |path: &str| shop.patch(path).staff().if_match("*").json(&json!({"price": {"amount": 7}}));
    let archive = |path: &str| shop.delete(path).staff().if_match("*");
    tokio::join!(lane(&update), lane(&archive));
}

#[tokio::test]
async fn i21_no_mix_of_cancellation_reasons_in_a_create_blames_the_client() {
    let shop = Shop::with(&[("products-create", 4), ("products-list", 1)]).await;
    let probe = new_product("mix");
    let watched = shop.calls("TransactWriteItems").about(probe["sku"].as_str().unwrap()).observe();
    shop.create(&probe).await;
    let items = items_of(&watched.observed()[0].request);
    drop(watched);
    let mixes = mixes(items);
    let lane = async |lane: usize| {
        for reasons in mixes.iter().skip(lane).step_by(4) {
            let new = changed(new_product("mix"), json!({"category": probe["category"]}));
            let request = shop.post("/products").staff().key(&unique("key")).json(&new);
            let refused = [
                (401, "invalid_token"),
                (409, "sku_taken"),
                (500, "internal_error"),
                (422, "idempotency_key_reused"),
            ];
            check_cancelled(&shop, new["sku"].as_str().unwrap(), &request, reasons, &refused).await;
        }
    };
    join_all((0..4).map(lane)).await;
    let listed = shop.get("/products").query("category", probe["category"].as_str().unwrap()).send().await;
    assert_eq!(listed.expect(200).items().len(), 1);
}

#[tokio::test]
async fn i21_throttling_is_never_reported_as_out_of_stock() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("throttled", 1).await;
    for code in &CODES[2..5] {
        let taking = shop.adjust(product.id(), -1);
        let throttled = shop.calls("TransactWriteItems").about(product.id());
        let throttled = throttled.answer_with(|request| Refusal::cancelled(vec![*code; items_of(request)]));
        let answer = taking.clone().send().await.expect_problem(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        drop(throttled);
        taking.send().await.expect(201);
        shop.adjust(product.id(), 1).send().await.expect(201);
    }
}

/// A function to kill, and the request that it works on.
struct Victim {
    function: &'static str,
    request: Request,
    about: String,
    /// The status of a retry after the commit.
    again: u16,
}

async fn victims(shop: &Shop) -> Vec<Victim> {
    // Updates have no idempotency key: a retry after the commit has a stale ETag.
    let writes = [
        ("products-create", 201),
        ("inventory-adjust", 201),
        ("products-update", 412),
        ("products-archive", 412),
    ];
    let mut victims = Vec::new();
    for (function, again) in writes {
        let (request, about) = request_for(shop, function).await;
        victims.push(Victim { function, request, about, again });
    }
    victims
}

/// Kills every instance of the function during its write: before the commit, or before the response.
async fn kill_at_its_write(shop: &Shop, victim: &Victim, committed: bool) {
    let writes = shop.calls("TransactWriteItems").by(victim.function).about(&victim.about);
    let held = if committed { writes.hold_answer() } else { writes.hold() };
    tokio::select! {
        answer = victim.request.clone().send() => panic!("an answer from a function that hangs: {answer:?}"),
        () = held.reached(1) => {}
    }
    shop.kill(victim.function).await;
}

#[tokio::test]
async fn i17_a_kill_before_the_commit_leaves_no_effect_and_a_retry_succeeds() {
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    for victim in victims(&shop).await {
        let before = shop.items(PRODUCTS);
        kill_at_its_write(&shop, &victim, false).await;
        assert_eq!(shop.items(PRODUCTS), before, "{}", victim.function);
        shop.open(victim.function, 1).await;
        let answer = victim.request.send().await;
        assert!(answer.status < 300 && !answer.is_replayed(), "{answer:?}");
    }
}

#[tokio::test]
async fn i17_a_kill_after_the_commit_leaves_one_effect() {
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    for victim in victims(&shop).await {
        kill_at_its_write(&shop, &victim, true).await;
        shop.open(victim.function, 1).await;
        let answer = victim.request.clone().send().await.expect(victim.again);
        assert_eq!(answer.is_replayed(), victim.again == 201, "{answer:?}");
        match victim.function {
            "products-create" => {
                let read = shop.product(answer.id()).await;
                assert_eq!(read.json, answer.json);
                shop.assert_books_balance(answer.id()).await;
            }
            "inventory-adjust" => {
                assert_eq!(shop.inventory(&victim.about).await["on_hand"], 9);
                shop.assert_books_balance(&victim.about).await;
            }
            "products-update" => assert_eq!(shop.product(&victim.about).await["price"]["amount"], 5),
            _ => assert_eq!(shop.product(&victim.about).await["status"], "archived"),
        }
    }
}

#[tokio::test]
async fn i17_a_kill_of_idle_instances_loses_nothing() {
    let shop = Shop::with(&[
        ("inventory-adjust", 3),
        ("inventory-get", 1),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create_stocked("survivors", 50).await;
    let acknowledged = join_all((0..10).map(|_| shop.adjust(product.id(), -1).send())).await;
    assert!(acknowledged.iter().all(|answer| answer.status == 201));
    shop.kill("inventory-adjust").await;
    shop.open("inventory-adjust", 1).await;
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 40);
    shop.adjust(product.id(), -1).send().await.expect(201);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn data_survives_a_restart_of_the_shop() {
    let folder = tempfile::tempdir().unwrap();
    let file = Some(folder.path().join("shop.db"));
    let options = Options { file, without_streams: true, ..Options::default() };
    let shop = Shop::start(options.clone()).await;
    let new = new_product("restart");
    let create = shop.post("/products").staff().key("before-the-restart").json(&new);
    let created = create.send().await.expect(201);
    shop.adjust(created.id(), -3).send().await.expect(201);
    let (read, inventory) = (shop.product(created.id()).await.json, shop.inventory(created.id()).await.json);
    shop.stop().await;

    let shop = Shop::start(options).await;
    assert_eq!(shop.product(created.id()).await.json, read);
    assert_eq!(shop.inventory(created.id()).await.json, inventory);
    let again = shop.post("/products").staff().key("before-the-restart").json(&new).send().await.expect(201);
    assert!(again.is_replayed());
    assert_eq!(again.json, created.json);
    shop.assert_books_balance(created.id()).await;
}
