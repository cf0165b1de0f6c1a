//! Business metrics: each event counts once, however often a request is retried.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::telemetry;

use crate::{
    log::line_of,
    oauth::{STOREFRONT_CLIENT, code_for},
    shop::{
        ADMIN, Answer, Options, Shop,
        buyers::{ANSWER_LOST, AUTHENTICATION, ERROR_500, VISA},
        changed, eventually, new_product, process,
        process::Line,
        proxy::{Refusal, Service},
        unique, unique_user,
    },
};

const CANCEL: &str = "POST /v1/payment_intents/{id}/cancel";

/// Reads a log line as CloudWatch does: values by namespace, name and dimensions. Fails if it has no metrics.
fn metrics(line: &Value) -> BTreeMap<(String, String, Vec<String>), f64> {
    let schema: Value = serde_json::from_str(include_str!("emf.schema.json")).unwrap();
    let errors: Vec<String> = jsonschema::draft202012::new(&schema)
        .unwrap()
        .iter_errors(line)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {line}");
    let mut metrics = BTreeMap::new();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for directive in list(&line["_aws"]["CloudWatchMetrics"]) {
        for dimensions in list(&directive["Dimensions"]) {
            let dimensions: Vec<String> =
                list(&dimensions).iter().map(|name| text(&line[name.as_str().unwrap()])).collect();
            for metric in list(&directive["Metrics"]) {
                let key = (text(&directive["Namespace"]), text(&metric["Name"]), dimensions.clone());
                let value = line[&key.1].as_f64().unwrap_or_else(|| panic!("no {} in {line}", key.1));
                assert!(metrics.insert(key, value).is_none(), "{metric} comes twice in {line}");
            }
        }
    }
    metrics
}

/// Formats metrics by name and dimensions, like `orders_placed` or `revenue EUR`.
fn counted(line: &Value) -> Vec<(String, i64)> {
    let label = |(name, dimensions): (String, Vec<String>)| [vec![name], dimensions].concat().join(" ");
    let business = line.get("_aws").map(|_| metrics(line)).unwrap_or_default().into_iter();
    business.map(|((_, name, dimensions), value)| (label((name, dimensions)), value as i64)).collect()
}

fn expected(counts: &[(&str, i64)]) -> Vec<(String, i64)> {
    counts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

/// Fails unless a request has counted exactly this.
async fn assert_counted(shop: &Shop, answer: &Answer, counts: &[(&str, i64)]) {
    assert_eq!(counted(&line_of(shop, answer).await), expected(counts), "{answer:?}");
}

/// Runs a scheduled function. Returns what it has counted in `lines` lines.
async fn run(shop: &Shop, function: &str, lines: usize) -> Vec<(String, i64)> {
    let measured = || {
        let of_function = |line: &Line| line.program == function && line.json()["_aws"].is_object();
        shop.log().lines(of_function)
    };
    let before = measured().len();
    shop.try_run(function).await;
    let new = async || Some(measured().split_off(before)).filter(|new| new.len() >= lines);
    let new = eventually("the lines of a run", new).await;
    assert_eq!(new.len(), lines, "{new:?}");
    new.iter().flat_map(|line| counted(&line.json())).collect()
}

/// Starts a separate shop, where no other test runs schedules.
async fn quiet() -> Shop {
    Shop::with(&[
        ("orders-expire", 1),
        ("payments-reconcile", 1),
        ("orders-create", 1),
        ("orders-get", 1),
        ("orders-pay", 1),
        ("orders-refund", 1),
        ("payments-webhook", 1),
        ("products-create", 1),
    ])
    .await
}

#[tokio::test]
async fn a_purchase_is_counted_where_it_is_committed_and_its_repetition_as_a_replay() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("metrics", 10).await;
    let goods = [(mug.id(), 2)];
    let buyer = unique_user();
    let pay = |order: &Answer, capture: &str| {
        shop.pay_with(order, &json!({"payment_method": VISA, "capture": capture}))
    };
    let twice = async |request: crate::shop::Request, status: u16, counts: &[(&str, i64)]| {
        let first = request.clone().send().await.expect(status);
        assert_counted(&shop, &first, counts).await;
        assert_counted(&shop, &request.send().await.expect(status), &[("replays", 1)]).await;
        first
    };
    let create = shop.post("/products").staff().key(&unique("key")).json(&new_product("metrics"));
    twice(create, 201, &[]).await;
    twice(shop.adjust(mug.id(), 5), 201, &[]).await;

    let order = twice(shop.place(&buyer, &goods), 201, &[("orders_placed", 1)]).await;
    twice(shop.pay(&order, "pm_card_visa_chargeDeclined"), 402, &[("payments_declined", 1)]).await;
    twice(pay(&order, "automatic"), 201, &[("revenue EUR", 3700)]).await;
    twice(shop.refund(&order, &json!({"amount": 700})), 201, &[("refunded EUR", 700)]).await;
    twice(shop.cancel(&order), 200, &[("refunded EUR", 3000)]).await;

    let order = twice(shop.place(&buyer, &goods), 201, &[("orders_placed", 1)]).await;
    twice(pay(&order, "manual"), 201, &[]).await;
    twice(shop.capture(&order, Some(1000)), 200, &[("revenue EUR", 1000)]).await;
    twice(shop.fulfil(&order, &json!({})), 201, &[]).await;
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_is_refused_counts_nothing_but_what_was_out_of_stock() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("metrics", 3).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let paid = shop.paid(&[(mug.id(), 1)]).await;
    let buyer = unique_user();
    let short = shop.place(&buyer, &[(mug.id(), 2)]);
    for _ in 0..2 {
        let refused = short.clone().send().await.expect_problem(409, "out_of_stock");
        assert_counted(&shop, &refused, &[("stock_outs", 1)]).await;
    }
    let cheap = changed(
        crate::shop::buyers::basket(&[(mug.id(), 1)]),
        json!({"expected_total": {"amount": 1, "currency": "EUR"}}),
    );
    let refused = [
        shop.order_of(&buyer, &cheap),
        shop.order_of(&buyer, &json!({})),
        shop.place(&buyer, &[("prd_01jd0000000000000000000000", 1)]),
        shop.pay_with(&order, &json!({"payment_method": 5})),
        shop.pay(&paid, VISA),
        shop.capture(&order, None),
        shop.capture(&paid, None),
        shop.refund(&order, &json!({})),
        shop.refund(&paid, &json!({"amount": 1_000_000})),
        shop.adjust(mug.id(), -1_000),
        shop.webhook("payment_intent.succeeded", &json!({"id": "pi_unheardOf"})),
        shop.refresh("x"),
    ];
    for request in refused {
        let answer = request.send().await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        assert_counted(&shop, &answer, &[]).await;
    }
    assert_counted(&shop, &shop.order(order.id()).await, &[]).await;
}

#[tokio::test]
async fn of_twins_one_counts_and_the_others_are_replays() {
    let shop = Shop::with(&[("orders-create", 6), ("products-create", 1)]).await;
    let mug = shop.create_stocked("metrics", 100).await;
    let request = shop.place(&unique_user(), &[(mug.id(), 1)]);
    let start = shop.calls("TransactWriteItems").by("orders-create").hold();
    let twins = join_all((0..6).map(|_| request.clone().send()));
    let (answers, ()) = tokio::join!(twins, async {
        start.reached(6).await;
        start.release();
    });
    let mut sums = BTreeMap::new();
    for answer in &answers {
        for (name, value) in counted(&line_of(&shop, answer).await) {
            *sums.entry(name).or_insert(0) += value;
        }
    }
    let replayed = answers.iter().filter(|answer| answer.is_replayed()).count();
    assert_eq!(sums["orders_placed"], 1, "{sums:?}");
    assert_eq!(sums["replays"], i64::try_from(replayed).unwrap(), "{sums:?}");
    assert!(replayed > 0 && sums.len() == 2, "{sums:?}");
}

#[tokio::test]
async fn money_is_counted_once_by_the_function_that_learns_of_it_first() {
    let shop = quiet().await;
    let mug = shop.create_stocked("metrics", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let doubtful = shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    assert_counted(&shop, &doubtful, &[]).await;
    let webhook = shop.webhook_of("payment_intent.succeeded", order.id(), 0);
    assert_counted(&shop, &webhook.clone().send().await.expect(204), &[("revenue EUR", 1850)]).await;
    assert_counted(&shop, &webhook.send().await.expect(204), &[]).await;
    shop.meanwhile(order.id());
    assert_eq!(run(&shop, "payments-reconcile", 1).await, expected(&[("payments_in_doubt", 0)]));
}

#[tokio::test]
async fn what_is_found_at_the_provider_is_a_mismatch_of_the_books() {
    let shop = quiet().await;
    let mug = shop.create_stocked("metrics", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    // An intent that was never confirmed is cancelled, which is not counted.
    let uncharged = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&uncharged, ERROR_500).send().await.expect(202);
    for order in [&order, &uncharged] {
        shop.meanwhile(order.id());
    }
    let found = [("payments_in_doubt", 0), ("reconciliation_mismatches", 1), ("revenue EUR", 1850)];
    assert_eq!(run(&shop, "payments-reconcile", 1).await, expected(&found));
    assert_eq!(run(&shop, "payments-reconcile", 1).await, expected(&[("payments_in_doubt", 0)]));
    assert_eq!(shop.order(uncharged.id()).await["payments"][0]["status"], "voided");

    // Charged in the last moment, and no webhook has come.
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    shop.later(order.id());
    let found = [("oldest_unpaid", 0), ("reconciliation_mismatches", 1), ("revenue EUR", 1850)];
    assert_eq!(run(&shop, "orders-expire", 1).await, expected(&found));
}

#[tokio::test]
async fn what_stays_in_doubt_is_told_by_every_run_until_it_is_known() {
    let shop = quiet().await;
    let mug = shop.create_stocked("metrics", 10).await;
    let doubts = |count| expected(&[("payments_in_doubt", count)]);
    let (old, new) = (shop.ordered(&[(mug.id(), 1)]).await, shop.ordered(&[(mug.id(), 1)]).await);
    let refunding = shop.paid(&[(mug.id(), 1)]).await;
    // Somebody is at work on it still.
    shop.pay(&old, ERROR_500).send().await.expect(202);
    assert_eq!(run(&shop, "payments-reconcile", 1).await, doubts(0));
    let silence = shop.any_call().of(Service::Payments).answer(Refusal::of_payments(503, "api_error", None));
    shop.refund(&refunding, &json!({})).send().await.expect(202);
    for order in [&old, &refunding] {
        shop.meanwhile(order.id());
    }
    assert_eq!(run(&shop, "payments-reconcile", 1).await, doubts(2));
    // Not to be asked about again yet, and in doubt all the same.
    let watched = shop.any_call().of(Service::Payments).by("payments-reconcile").observe();
    assert_eq!(run(&shop, "payments-reconcile", 1).await, doubts(2));
    assert!(watched.observed().is_empty());
    shop.meanwhile(old.id());
    assert_eq!(run(&shop, "payments-reconcile", 1).await, doubts(2));
    drop(silence);
    // An authorization waits as well, and is not in doubt.
    shop.pay_with(&new, &json!({"payment_method": VISA, "capture": "manual"})).send().await.expect(201);
    for order in [&old, &new, &refunding] {
        shop.meanwhile(order.id());
    }
    let settled = [("payments_in_doubt", 0), ("refunded EUR", 1850)];
    assert_eq!(run(&shop, "payments-reconcile", 1).await, expected(&settled));
}

#[tokio::test]
async fn how_late_the_oldest_unpaid_order_is_is_told_by_every_run() {
    let shop = quiet().await;
    let mug = shop.create_stocked("metrics", 10).await;
    let (stuck, other) = (shop.ordered(&[(mug.id(), 1)]).await, shop.ordered(&[(mug.id(), 1)]).await);
    shop.pay(&stuck, AUTHENTICATION).send().await.expect(202);
    assert_eq!(run(&shop, "orders-expire", 1).await, expected(&[("oldest_unpaid", 0)]));
    for order in [&stuck, &other] {
        shop.later(order.id());
    }
    let fault = shop.calls(CANCEL).answer(Refusal::of_payments(500, "api_error", None));
    let counts = run(&shop, "orders-expire", 1).await;
    let since_2025 = telemetry::now().as_seconds() - 1_735_689_600;
    assert!(counts.len() == 1 && counts[0].0 == "oldest_unpaid", "{counts:?}");
    assert!((since_2025 - 60..=since_2025).contains(&counts[0].1), "{counts:?}");
    drop(fault);
    assert_eq!(run(&shop, "orders-expire", 1).await, expected(&[("oldest_unpaid", 0)]));
}

#[tokio::test]
async fn each_currency_is_summed_up_by_itself() {
    let shop = quiet().await;
    let mut orders = Vec::new();
    for (amount, currency) in [(1000, "EUR"), (3, "JPY"), (50, "USD"), (20, "EUR")] {
        let price = json!({"price": {"amount": amount, "currency": currency}});
        let product = shop.create(&changed(new_product("metrics"), price)).await;
        let order = shop.ordered(&[(product.id(), 1)]).await;
        shop.pay(&order, ANSWER_LOST).send().await.expect(202);
        orders.push(order);
    }
    for order in &orders {
        shop.meanwhile(order.id());
    }
    let mut counts = run(&shop, "payments-reconcile", 3).await;
    counts.sort();
    let all = [
        ("payments_in_doubt", 0),
        ("reconciliation_mismatches", 4),
        ("revenue EUR", 1020),
        ("revenue JPY", 3),
        ("revenue USD", 50),
    ];
    assert_eq!(counts, expected(&all));
}

#[tokio::test]
async fn a_token_or_code_that_is_used_twice_is_counted_once() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let mut token = session.refresh_token.clone();
    for _ in 0..3 {
        let refreshed = shop.refresh(&token).send().await.expect(200);
        assert_counted(&shop, &refreshed, &[]).await;
        token = refreshed["refresh_token"].as_str().unwrap().to_owned();
    }
    for counts in [&[("tokens_reused", 1)][..], &[]] {
        let refused = shop.refresh(&session.refresh_token).send().await.expect(400);
        assert_counted(&shop, &refused, counts).await;
    }
    let code = code_for(&shop, &STOREFRONT_CLIENT, &person).await;
    assert_counted(&shop, &STOREFRONT_CLIENT.exchange(&shop, &code).send().await.expect(200), &[]).await;
    for counts in [&[("tokens_reused", 1)][..], &[]] {
        let refused = STOREFRONT_CLIENT.exchange(&shop, &code).send().await.expect(400);
        assert_counted(&shop, &refused, counts).await;
    }
}

#[tokio::test]
async fn refused_log_ins_and_scopes_and_new_authority_are_counted() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    for _ in 0..5 {
        let wrong = shop.log_in_with(&person, "CANARY no such password").send().await.expect(401);
        assert_counted(&shop, &wrong, &[("logins_refused", 1)]).await;
    }
    let locked = shop.log_in(&person).send().await.expect(429);
    assert_counted(&shop, &locked, &[("logins_locked", 1)]).await;
    let refused = shop.get("/users").customer().send().await.expect(403);
    assert_counted(&shop, &refused, &[("scopes_refused", 1)]).await;

    let id = shop.user(&person).await.id().to_owned();
    let patch = |role| {
        let patch = shop.patch(&format!("/users/{id}")).scoped("users:write").if_match("*");
        patch.json(&json!({"role": role})).send()
    };
    for (role, counts) in
        [("staff", &[][..]), ("admin", &[("admins_made", 1)]), ("admin", &[]), ("staff", &[])]
    {
        assert_counted(&shop, &patch(role).await.expect(200), counts).await;
    }
    let create = |client| shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&client);
    let machine = create(json!({"name": "Warehouse", "scope": "inventory:read"}));
    let counts = &[("machine_clients_made", 1)];
    assert_counted(&shop, &machine.clone().send().await.expect(201), counts).await;
    assert_counted(&shop, &machine.send().await.expect(201), &[("replays", 1)]).await;
    let redirects = ["https://app.test/callback"];
    let app = create(json!({"name": "App", "scope": "orders:own", "redirect_uris": redirects}));
    assert_counted(&shop, &app.send().await.expect(201), &[]).await;
}

/// Returns the response to a repeated request.
async fn replayed(shop: &Shop) -> Answer {
    let request = shop.post("/products").staff().key(&unique("key")).json(&new_product("metrics"));
    request.clone().send().await.expect(201);
    request.send().await.expect(201)
}

#[tokio::test]
async fn the_namespace_is_the_stacks_name() {
    for (name, namespace) in [("shop-staging-products-create", "shop-staging"), ("renamed", "lambda-shop")] {
        let options = Options {
            only: Some(vec!["products-create"]),
            variables: vec![("AWS_LAMBDA_FUNCTION_NAME", name.to_owned())],
            ..Options::default()
        };
        let shop = Shop::start(options).await;
        let line = line_of(&shop, &replayed(&shop).await).await;
        let found: Vec<_> = metrics(&line).into_keys().collect();
        assert_eq!(found, [(namespace.to_owned(), "replays".to_owned(), Vec::new())]);
        assert_eq!(line["service"], "lambda-shop");
    }
}

#[tokio::test]
async fn every_line_with_metrics_is_one_that_cloudwatch_reads() {
    let shop = Shop::shared().await;
    line_of(&shop, &replayed(&shop).await).await;
    let functions = process::functions();
    let lines = shop.log().lines(|line| functions.contains(&line.program) && line.text.contains("_aws"));
    assert!(!lines.is_empty());
    lines.iter().for_each(|line| drop(metrics(&line.json())));
}
