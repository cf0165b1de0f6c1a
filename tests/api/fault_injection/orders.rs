//! Injects faults into the operations on orders: every call that they make of DynamoDB, Secrets Manager and Stripe, times
//! every kind of fault, and a SIGKILL before and after each call. The calls are found by observing the operation. After
//! each fault the client retries, time passes, and the books must balance.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::shop::{
    Answer, KEYS, Options, Request, Shop,
    buyers::{ANSWER_LOST, AUTHENTICATION, ERROR_500, VISA, mark_of, scheduled},
    proxy::{Calls, Refusal, Rigged, Service, items_of, payment_refusals, refusals},
    unique_user,
};

/// An operation on orders, done by one function.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    name: &'static str,
    pub function: &'static str,
}

pub const OPERATIONS: [Operation; 15] = [
    Operation { name: "place", function: "orders-create" },
    Operation { name: "pay", function: "orders-pay" },
    Operation { name: "authorize", function: "orders-pay" },
    Operation { name: "require authentication", function: "orders-pay" },
    Operation { name: "capture", function: "orders-capture" },
    Operation { name: "cancel unpaid", function: "orders-cancel" },
    Operation { name: "cancel paid", function: "orders-cancel" },
    Operation { name: "cancel authorized", function: "orders-cancel" },
    Operation { name: "cancel in doubt", function: "orders-cancel" },
    Operation { name: "refund", function: "orders-refund" },
    Operation { name: "fulfil", function: "orders-fulfil" },
    Operation { name: "receive a webhook", function: "payments-webhook" },
    Operation { name: "resolve a payment in doubt", function: "payments-reconcile" },
    Operation { name: "void a payment in doubt", function: "payments-reconcile" },
    Operation { name: "expire", function: "orders-expire" },
];

/// The trigger of an operation: a client's request, or the event of a schedule.
#[derive(Clone)]
enum Trigger {
    Request(Request),
    Event,
}

/// An operation ready to run, on a customer and a product of its own.
struct Case {
    operation: Operation,
    trigger: Trigger,
    buyer: String,
    product: String,
    order: Option<Answer>,
}

impl Case {
    async fn of(shop: &Shop, operation: Operation) -> Self {
        let product = shop.create_stocked("fault", 10).await.id().to_owned();
        let buyer = unique_user();
        let place = shop.place(&buyer, &[(&product, 2)]);
        if operation.name == "place" {
            return Self { operation, trigger: Trigger::Request(place), buyer, product, order: None };
        }
        let order = place.send().await.expect(201);
        let pay = async |method: &str, status: u16| shop.pay(&order, method).send().await.expect(status);
        let manual = json!({"payment_method": VISA, "capture": "manual"});
        let request = match operation.name {
            "pay" => shop.pay(&order, VISA),
            "authorize" => shop.pay_with(&order, &manual),
            "require authentication" => shop.pay(&order, AUTHENTICATION),
            "capture" | "cancel authorized" => {
                shop.pay_with(&order, &manual).send().await.expect(201);
                if operation.name == "capture" {
                    shop.capture(&order, Some(3000))
                } else {
                    shop.cancel(&order)
                }
            }
            "cancel unpaid" => shop.cancel(&order),
            "cancel paid" => {
                pay(VISA, 201).await;
                shop.cancel(&order)
            }
            "cancel in doubt" => {
                pay(ANSWER_LOST, 202).await;
                shop.cancel(&order)
            }
            "refund" => {
                pay(VISA, 201).await;
                let one = json!([{"product_id": product, "quantity": 1}]);
                shop.fulfil(&order, &json!({"lines": one})).send().await.expect(201);
                shop.refund(&order, &json!({"amount": 2000, "restock": one, "release": one}))
            }
            "fulfil" => {
                pay(VISA, 201).await;
                shop.fulfil(&order, &json!({"lines": [{"product_id": product, "quantity": 1}]}))
            }
            "receive a webhook" => {
                pay(ANSWER_LOST, 202).await;
                shop.webhook_of("payment_intent.succeeded", order.id(), 0)
            }
            "resolve a payment in doubt" | "void a payment in doubt" | "expire" => {
                let methods = [ANSWER_LOST, ERROR_500, AUTHENTICATION];
                let method = methods[["resolve a payment in doubt", "void a payment in doubt", "expire"]
                    .iter()
                    .position(|name| *name == operation.name)
                    .unwrap()];
                pay(method, 202).await;
                shop.later(order.id());
                return Self { operation, trigger: Trigger::Event, buyer, product, order: Some(order) };
            }
            unknown => panic!("{unknown} needs a request"),
        };
        Self { operation, trigger: Trigger::Request(request), buyer, product, order: Some(order) }
    }

    /// Runs the operation; returns the response to a client's request.
    async fn run(&self, shop: &Shop, by_twin: bool) -> Option<Answer> {
        match &self.trigger {
            Trigger::Request(request) if by_twin => Some(request.clone().through_twin().send().await),
            Trigger::Request(request) => Some(request.clone().send().await),
            Trigger::Event if by_twin => {
                shop.invoke_twin(self.operation.function, &scheduled()).await;
                None
            }
            Trigger::Event => {
                shop.try_run(self.operation.function).await;
                None
            }
        }
    }

    /// Retries the request until it is answered, lets time pass, and checks the order, the payment and the books.
    async fn finish(self, shop: &Shop, first: Option<Answer>, told: &str) {
        let told = format!("{:?}, {told}", self.operation);
        let mut last = first.filter(|answer| answer.status < 500);
        for _ in 0..4 {
            if last.is_some() || matches!(self.trigger, Trigger::Event) {
                break;
            }
            last = self.run(shop, false).await.filter(|answer| answer.status < 500);
        }
        if let Trigger::Request(_) = self.trigger {
            let answer = last.as_ref().unwrap_or_else(|| panic!("{told}: no retry was answered"));
            assert!([200, 201, 202, 204].contains(&answer.status), "{told}: {answer:?}");
            // A further retry gets the same response.
            let again = self.run(shop, false).await.unwrap();
            assert_eq!((again.status, &again.text), (answer.status, &answer.text), "{told}: {answer:?}");
        }
        let orders = shop.orders_of(&self.buyer);
        assert_eq!(orders.len(), 1, "{told}: {orders:#?}");
        let settled = shop.settle(orders[0]["id"].as_str().unwrap()).await;
        shop.assert_books_of(&[&self.product], &shop.orders_of(&self.buyer));
        let answered = last.map_or(0, |answer| answer.status);
        let status = |axis: &str| settled[axis].as_str().unwrap().to_owned();
        let all = [status("status"), status("payment_status"), status("fulfilment_status")];
        let all = all.each_ref().map(String::as_str);
        let expected: &[[&str; 3]] = match self.operation.name {
            "place" | "void a payment in doubt" => &[["expired", "unpaid", "unfulfilled"]],
            "pay" if answered == 201 => &[["open", "paid", "unfulfilled"]],
            "pay" => &[["open", "paid", "unfulfilled"], ["expired", "unpaid", "unfulfilled"]],
            "authorize" if answered == 201 => &[["open", "authorized", "unfulfilled"]],
            "authorize" => &[["open", "authorized", "unfulfilled"], ["expired", "unpaid", "unfulfilled"]],
            "require authentication" | "expire" => &[["expired", "unpaid", "unfulfilled"]],
            "capture" | "resolve a payment in doubt" | "receive a webhook" => {
                &[["open", "paid", "unfulfilled"]]
            }
            "cancel unpaid" => &[["cancelled", "unpaid", "unfulfilled"]],
            "cancel paid" => &[["cancelled", "refunded", "unfulfilled"]],
            "cancel authorized" => &[["cancelled", "voided", "unfulfilled"]],
            "cancel in doubt" => &[["cancelled", "refunded", "unfulfilled"]],
            "refund" => &[["completed", "partially_refunded", "fulfilled"]],
            "fulfil" => &[["open", "paid", "partially_fulfilled"]],
            unknown => panic!("{unknown} needs its final states"),
        };
        assert!(expected.contains(&all), "{told}: {all:?} {settled:?}");
        if self.operation.name == "refund" {
            assert_eq!(settled["payments"][0]["refunded"]["amount"], 2000, "{told}: {settled:?}");
        }
        if self.operation.name == "capture" {
            assert_eq!(settled["payments"][0]["captured"]["amount"], 3000, "{told}: {settled:?}");
        }
    }
}

/// A call that an operation makes: its name, and how many calls of that name come before it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Site {
    service: Service,
    call: &'static str,
    number: usize,
}

impl Site {
    fn calls(self, shop: &Shop, twin: &'static str) -> Calls {
        shop.calls(self.call).of(self.service).by(twin).after(self.number)
    }
}

/// Lists the calls that an operation makes without a fault.
async fn sites(shop: &Shop, operation: Operation, twin: &'static str) -> Vec<Site> {
    let case = Case::of(shop, operation).await;
    let watched = shop.any_call().by(twin).observe();
    let answer = case.run(shop, true).await;
    let calls = watched.observed().into_iter();
    // Keys and secrets are read once per process.
    let calls = calls.filter(|call| call.service != Service::Secrets && call.request["TableName"] != KEYS);
    let mut sites: Vec<Site> = Vec::new();
    for call in calls {
        let (service, name): (_, &'static str) = (call.service, call.operation.leak());
        let number = sites.iter().filter(|site| site.call == name).count();
        sites.push(Site { service, call: name, number });
    }
    assert!(!sites.is_empty(), "{operation:?} makes no call: {answer:?}");
    case.finish(shop, answer, "without a fault").await;
    sites
}

/// A fault: its name, and the rule that injects it.
type Fault = (&'static str, Box<dyn Fn(Calls) -> Rigged>);

/// The faults that a call can meet.
fn faults(site: Site) -> Vec<Fault> {
    // One of each kind; the tests of catalogue, accounts and webhooks inject all of them.
    let (sorts, answers): (&[&str], _) = match site.service {
        Service::Payments => (
            &[
                "over the rate limit",
                "the same key at once",
                "an internal error",
                "a page of HTML with status 200",
                "an invalid key",
            ],
            payment_refusals(),
        ),
        _ => (&["throttled", "an internal error", "half an answer"], refusals()),
    };
    let answers = answers.into_iter().filter(|(name, _)| sorts.contains(name));
    let mut faults: Vec<Fault> = vec![
        ("connection closed", Box::new(Calls::refuse)),
        ("response lost", Box::new(Calls::lose_answer)),
        ("response lost once", Box::new(|calls: Calls| calls.times(1).lose_answer())),
    ];
    if site.call == "TransactWriteItems" {
        faults.push(("a conflict", Box::new(|calls: Calls| calls.answer_with(Refusal::conflict()))));
    }
    for (name, refusal) in answers {
        faults.push((name, Box::new(move |calls: Calls| calls.answer(refusal.clone()))));
    }
    faults
}

/// The operations that share a shop. A schedule works on every order that is due, so it needs a shop of its own.
const SHOPS: [&[&str]; 7] = [
    &["place", "pay", "capture", "fulfil", "cancel unpaid"],
    &["authorize", "refund", "cancel paid"],
    &["require authentication", "cancel authorized", "receive a webhook"],
    &["cancel in doubt"],
    &["resolve a payment in doubt"],
    &["void a payment in doubt"],
    &["expire"],
];

/// Runs the test for all operations: those of one function one after the other, the functions concurrently.
async fn for_all(one: impl AsyncFn(&Shop, Operation, &'static str)) {
    let in_shop = async |names: &[&str]| {
        let operations: Vec<Operation> =
            OPERATIONS.into_iter().filter(|operation| names.contains(&operation.name)).collect();
        let mut functions: Vec<&'static str> =
            operations.iter().map(|operation| operation.function).collect();
        functions.dedup();
        let shop = shop().await;
        let lane = async |function: &'static str| {
            let twin = shop.open_twin(function).await;
            for operation in operations.iter().filter(|operation| operation.function == function) {
                one(&shop, *operation, twin).await;
            }
        };
        join_all(functions.into_iter().map(lane)).await;
    };
    join_all(SHOPS.map(in_shop)).await;
}

/// A shop with only the functions that the operations need.
async fn shop() -> Shop {
    let functions = [
        "orders-create",
        "orders-get",
        "orders-pay",
        "orders-capture",
        "orders-cancel",
        "orders-refund",
        "orders-fulfil",
        "orders-expire",
        "payments-webhook",
        "payments-reconcile",
        "products-create",
    ];
    Shop::with(&functions.map(|function| (function, 1))).await
}

#[test]
fn every_operation_runs_in_a_shop() {
    for Operation { name, .. } in OPERATIONS {
        assert_eq!(SHOPS.iter().filter(|shop| shop.contains(&name)).count(), 1, "{name}");
    }
}

#[tokio::test]
async fn i18_books_balance_after_any_fault_at_any_call() {
    let count = AtomicUsize::new(0);
    for_all(async |shop, operation, twin| {
        for site in sites(shop, operation, twin).await {
            for (name, rig) in faults(site) {
                let case = Case::of(shop, operation).await;
                let fault = rig(site.calls(shop, twin));
                let answer = case.run(shop, true).await;
                let told = format!("{site:?} {name}");
                assert!(fault.hits() > 0, "{operation:?}, {told}: {answer:?}");
                drop(fault);
                if let Some(answer) = &answer {
                    // I21: a fault is never a client error. `finish` checks that a success is one.
                    assert!(answer.status < 300 || answer.status >= 500, "{operation:?}, {told}: {answer:?}");
                    let retryable = answer.status != 503 || answer.find_header("retry-after").is_some();
                    assert!(retryable, "{answer:?}");
                }
                case.finish(shop, answer, &told).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    let count = count.into_inner();
    println!("{count} faults");
    assert!(count >= 400, "only {count} faults");
}

#[tokio::test]
async fn i17_a_kill_at_any_call_leaves_the_whole_effect_or_none() {
    let count = AtomicUsize::new(0);
    for_all(async |shop, operation, twin| {
        for site in sites(shop, operation, twin).await {
            for done in [false, true] {
                let case = Case::of(shop, operation).await;
                let calls = site.calls(shop, twin);
                let held = if done { calls.hold_answer() } else { calls.hold() };
                tokio::select! {
                    answer = case.run(shop, true) => panic!("{operation:?}, {site:?}: an answer from a function that hangs: {answer:?}"),
                    () = held.reached(1) => {}
                }
                shop.kill(twin).await;
                drop(held);
                shop.open_twin(operation.function).await;
                case.finish(shop, None, &format!("killed {} {site:?}", if done { "after" } else { "before" })).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    let count = count.into_inner();
    println!("{count} kills");
    assert!(count >= 100, "only {count} kills");
}

#[tokio::test]
async fn i18_a_call_that_never_returns_times_out_before_the_gateway_does() {
    let shop = Shop::start(Options {
        // One for each call that hangs.
        instances: vec![
            ("orders-pay", 16),
            ("orders-cancel", 20),
            ("orders-capture", 5),
            ("orders-refund", 5),
        ],
        only: Some(
            OPERATIONS
                .iter()
                .map(|operation| operation.function)
                .chain(["orders-get", "products-create"])
                .collect(),
        ),
        ..Options::default()
    })
    .await;
    let count = AtomicUsize::new(0);
    let hang = async |operation: Operation, site: Site| {
        let case = Case::of(&shop, operation).await;
        // The calls about this order name its id or its payment intent.
        let mark = match &case.order {
            Some(order) if site.service == Service::Payments && site.call != "POST /v1/payment_intents" => {
                shop.stripe().intents_of(order.id()).first().cloned()
            }
            Some(order) => Some(mark_of(order)),
            None => Some(case.buyer.trim_start_matches("usr_").to_owned()),
        };
        // The intent of a payment about to be made is not known yet.
        let Some(mark) = mark else { return };
        let held = shop
            .calls(site.call)
            .of(site.service)
            .by(operation.function)
            .about(mark)
            .after(site.number)
            .hold();
        let answer =
            timeout(Duration::from_secs(25), case.run(&shop, false)).await.expect("an answer in time");
        assert!(held.hits() > 0, "{operation:?} {site:?}");
        if let Some(answer) = &answer {
            assert!([200, 201, 202, 503].contains(&answer.status), "{operation:?} {site:?}: {answer:?}");
        }
        drop(held);
        case.finish(&shop, answer, &format!("no response at {site:?}")).await;
        count.fetch_add(1, Ordering::Relaxed);
    };
    let mut hanging = Vec::new();
    let found = Mutex::new(Vec::new());
    for_all(async |shop, operation, twin| {
        let sites = sites(shop, operation, twin).await;
        found.lock().unwrap().extend(sites.into_iter().map(|site| (operation, site)));
    })
    .await;
    for (operation, site) in found.into_inner().unwrap() {
        // A schedule works on every order that is due: one that hangs would delay the others.
        if !["orders-expire", "payments-reconcile"].contains(&operation.function) {
            hanging.push(hang(operation, site));
        }
    }
    join_all(hanging).await;
    let count = count.into_inner();
    assert!(count >= 20, "only {count} calls were held");
}

/// Cancellation reasons of an item in a transaction.
const CODES: [&str; 5] = [
    "ConditionalCheckFailed",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "ValidationError",
];

/// Each reason at each item of a transaction, and a failed condition before and after a conflict or throttling of its
/// neighbour; the last and first item are neighbours, too.
fn mixes(items: usize) -> Vec<Vec<&'static str>> {
    let with = |reasons: &[(usize, &'static str)]| {
        let mut all = vec!["None"; items];
        reasons.iter().for_each(|(item, reason)| all[*item] = reason);
        all
    };
    let alone = (0..items).flat_map(|item| CODES.map(|code| with(&[(item, code)])));
    let pairs =
        (0..items).map(|one| (one, (one + 1) % items)).flat_map(|(one, other)| [(one, other), (other, one)]);
    let pairs = pairs
        .flat_map(|(one, other)| CODES[1..3].iter().map(move |code| with(&[(one, CODES[0]), (other, code)])));
    alone.chain(pairs).collect()
}

#[tokio::test]
async fn i21_no_mix_of_cancellation_reasons_becomes_a_client_error() {
    for_all(async |shop, operation, twin| {
        let case = Case::of(shop, operation).await;
        // One operation of each function that a client calls.
        let others =
            ["authorize", "require authentication", "cancel unpaid", "cancel authorized", "cancel in doubt"];
        if matches!(case.trigger, Trigger::Event) || others.contains(&operation.name) {
            return;
        }
        let watched = shop.calls("TransactWriteItems").by(twin).observe();
        let first = case.run(shop, true).await;
        let writes: Vec<usize> = watched.observed().iter().map(|call| items_of(&call.request)).collect();
        drop(watched);
        case.finish(shop, first, "without a fault").await;
        for (number, items) in writes.into_iter().enumerate() {
            for reasons in mixes(items) {
                let case = Case::of(shop, operation).await;
                let injected = reasons.clone();
                let cancelled = shop.calls("TransactWriteItems").by(twin).after(number);
                let cancelled = cancelled.answer_with(move |_| Refusal::cancelled(injected.iter().copied()));
                let answer = case.run(shop, true).await.unwrap();
                assert!(cancelled.hits() > 0, "{answer:?}");
                drop(cancelled);
                // The response lacks the item that failed its condition, so failed conditions alone allow any status.
                let by_conditions = reasons.iter().all(|reason| ["None", CODES[0]].contains(reason));
                assert!(
                    by_conditions || answer.status >= 500 || answer.status < 300,
                    "{operation:?} {number} {reasons:?}: {answer:?}"
                );
                let answer = Some(answer).filter(|answer| answer.status < 300);
                case.finish(shop, answer, &format!("{number} {reasons:?}")).await;
            }
        }
    })
    .await;
}
