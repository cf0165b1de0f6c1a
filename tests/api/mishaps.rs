//! What becomes of orders while something below is out of order: every call that their operations make of the store and of
//! Stripe, times everything that can befall it, and a `kill -9` at each step between. The list is made by watching, not
//! by hand. Whatever has happened, the client repeats its request, time goes by, and then the books must balance.

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

/// Something that is done to orders, by one function.
#[derive(Clone, Copy, Debug)]
struct Deed {
    name: &'static str,
    function: &'static str,
}

const DEEDS: [Deed; 15] = [
    Deed { name: "place", function: "orders-create" },
    Deed { name: "pay", function: "orders-pay" },
    Deed { name: "authorize", function: "orders-pay" },
    Deed { name: "be asked by the bank", function: "orders-pay" },
    Deed { name: "capture", function: "orders-capture" },
    Deed { name: "cancel unpaid", function: "orders-cancel" },
    Deed { name: "cancel paid", function: "orders-cancel" },
    Deed { name: "cancel authorized", function: "orders-cancel" },
    Deed { name: "cancel in doubt", function: "orders-cancel" },
    Deed { name: "refund", function: "orders-refund" },
    Deed { name: "fulfil", function: "orders-fulfil" },
    Deed { name: "hear of a payment", function: "payments-webhook" },
    Deed { name: "settle a doubt", function: "payments-reconcile" },
    Deed { name: "void a doubt", function: "payments-reconcile" },
    Deed { name: "expire", function: "orders-expire" },
];

/// What a deed is done with.
#[derive(Clone)]
enum Act {
    Request(Request),
    Event,
}

/// A deed about to be done: by somebody and with a product that no other has to do with.
struct Case {
    deed: Deed,
    act: Act,
    buyer: String,
    product: String,
    order: Option<Answer>,
}

impl Case {
    async fn of(shop: &Shop, deed: Deed) -> Self {
        let product = shop.create_stocked("mishap", 10).await.id().to_owned();
        let buyer = unique_user();
        let place = shop.place(&buyer, &[(&product, 2)]);
        if deed.name == "place" {
            return Self { deed, act: Act::Request(place), buyer, product, order: None };
        }
        let order = place.send().await.expect(201);
        let pay = async |method: &str, status: u16| shop.pay(&order, method).send().await.expect(status);
        let manual = json!({"payment_method": VISA, "capture": "manual"});
        let request = match deed.name {
            "pay" => shop.pay(&order, VISA),
            "authorize" => shop.pay_with(&order, &manual),
            "be asked by the bank" => shop.pay(&order, AUTHENTICATION),
            "capture" | "cancel authorized" => {
                shop.pay_with(&order, &manual).send().await.expect(201);
                if deed.name == "capture" { shop.capture(&order, Some(3000)) } else { shop.cancel(&order) }
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
            "hear of a payment" => {
                pay(ANSWER_LOST, 202).await;
                shop.webhook_of("payment_intent.succeeded", order.id(), 0)
            }
            "settle a doubt" | "void a doubt" | "expire" => {
                let methods = [ANSWER_LOST, ERROR_500, AUTHENTICATION];
                let method = methods[["settle a doubt", "void a doubt", "expire"]
                    .iter()
                    .position(|name| *name == deed.name)
                    .unwrap()];
                pay(method, 202).await;
                shop.later(order.id());
                return Self { deed, act: Act::Event, buyer, product, order: Some(order) };
            }
            unknown => panic!("{unknown} needs a request"),
        };
        Self { deed, act: Act::Request(request), buyer, product, order: Some(order) }
    }

    /// Does it; gives the answer, where it is one to a client.
    async fn act(&self, shop: &Shop, by_twin: bool) -> Option<Answer> {
        match &self.act {
            Act::Request(request) if by_twin => Some(request.clone().through_twin().send().await),
            Act::Request(request) => Some(request.clone().send().await),
            Act::Event if by_twin => {
                shop.invoke_twin(self.deed.function, &scheduled()).await;
                None
            }
            Act::Event => {
                shop.try_run(self.deed.function).await;
                None
            }
        }
    }

    /// The client repeats what it did until it is answered, time goes by, and everything must be in order.
    async fn end(self, shop: &Shop, first: Option<Answer>, told: &str) {
        let told = format!("{:?}, {told}", self.deed);
        let mut last = first.filter(|answer| answer.status < 500);
        for _ in 0..4 {
            if last.is_some() || matches!(self.act, Act::Event) {
                break;
            }
            last = self.act(shop, false).await.filter(|answer| answer.status < 500);
        }
        if let Act::Request(_) = self.act {
            let answer = last.as_ref().unwrap_or_else(|| panic!("{told}: no retry was answered"));
            assert!([200, 201, 202, 204].contains(&answer.status), "{told}: {answer:?}");
            // The same again, whenever.
            let again = self.act(shop, false).await.unwrap();
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
        let expected: &[[&str; 3]] = match self.deed.name {
            "place" | "void a doubt" => &[["expired", "unpaid", "unfulfilled"]],
            "pay" if answered == 201 => &[["open", "paid", "unfulfilled"]],
            "pay" => &[["open", "paid", "unfulfilled"], ["expired", "unpaid", "unfulfilled"]],
            "authorize" if answered == 201 => &[["open", "authorized", "unfulfilled"]],
            "authorize" => &[["open", "authorized", "unfulfilled"], ["expired", "unpaid", "unfulfilled"]],
            "be asked by the bank" | "expire" => &[["expired", "unpaid", "unfulfilled"]],
            "capture" | "settle a doubt" | "hear of a payment" => &[["open", "paid", "unfulfilled"]],
            "cancel unpaid" => &[["cancelled", "unpaid", "unfulfilled"]],
            "cancel paid" => &[["cancelled", "refunded", "unfulfilled"]],
            "cancel authorized" => &[["cancelled", "voided", "unfulfilled"]],
            "cancel in doubt" => &[["cancelled", "refunded", "unfulfilled"]],
            "refund" => &[["completed", "partially_refunded", "fulfilled"]],
            "fulfil" => &[["open", "paid", "partially_fulfilled"]],
            unknown => panic!("{unknown} ends somehow"),
        };
        assert!(expected.contains(&all), "{told}: {all:?} {settled:?}");
        if self.deed.name == "refund" {
            assert_eq!(settled["payments"][0]["refunded"]["amount"], 2000, "{told}: {settled:?}");
        }
        if self.deed.name == "capture" {
            assert_eq!(settled["payments"][0]["captured"]["amount"], 3000, "{told}: {settled:?}");
        }
    }
}

/// A place in a function's work where it calls something: the operation, and the how-manieth of its kind it is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Site {
    service: Service,
    operation: &'static str,
    number: usize,
}

impl Site {
    fn calls(self, shop: &Shop, twin: &'static str) -> Calls {
        shop.calls(self.operation).of(self.service).by(twin).after(self.number)
    }
}

/// The calls that a deed makes where nothing befalls it.
async fn sites(shop: &Shop, deed: Deed, twin: &'static str) -> Vec<Site> {
    let case = Case::of(shop, deed).await;
    let watched = shop.any_call().by(twin).observe();
    let answer = case.act(shop, true).await;
    let calls = watched.observed().into_iter();
    // Keys and secrets are read once.
    let calls = calls.filter(|call| call.service != Service::Secrets && call.request["TableName"] != KEYS);
    let mut sites: Vec<Site> = Vec::new();
    for call in calls {
        let operation: &'static str = call.operation.leak();
        let number = sites.iter().filter(|site| site.operation == operation).count();
        sites.push(Site { service: call.service, operation, number });
    }
    assert!(!sites.is_empty(), "{deed:?} makes no call: {answer:?}");
    case.end(shop, answer, "undisturbed").await;
    sites
}

/// What befalls a call: by its name, and how that is done.
type Fault = (&'static str, Box<dyn Fn(Calls) -> Rigged>);

/// All that can befall a call.
fn faults(site: Site) -> Vec<Fault> {
    // One of each sort: all that there are meet the catalogue, the accounts and the webhooks.
    let (sorts, answers): (&[&str], _) = match site.service {
        Service::Payments => (
            &[
                "over the rate limit",
                "the same key at once",
                "an internal error",
                "a page of HTML with status 200",
                "a key that is none",
            ],
            payment_refusals(),
        ),
        _ => (&["throttled", "an internal error", "half an answer"], refusals()),
    };
    let answers = answers.into_iter().filter(|(name, _)| sorts.contains(name));
    let mut faults: Vec<Fault> = vec![
        ("cut off", Box::new(Calls::refuse)),
        ("its answer lost", Box::new(Calls::lose_answer)),
        ("its answer lost once", Box::new(|calls: Calls| calls.times(1).lose_answer())),
    ];
    if site.operation == "TransactWriteItems" {
        faults.push(("a conflict", Box::new(|calls: Calls| calls.answer_with(Refusal::conflict()))));
    }
    for (name, refusal) in answers {
        faults.push((name, Box::new(move |calls: Calls| calls.answer(refusal.clone()))));
    }
    faults
}

/// The deeds that go on in one shop. What a schedule does, it does to all that is due: nobody else may be at work there.
const SHOPS: [&[&str]; 7] = [
    &["place", "pay", "capture", "fulfil", "cancel unpaid"],
    &["authorize", "refund", "cancel paid"],
    &["be asked by the bank", "cancel authorized", "hear of a payment"],
    &["cancel in doubt"],
    &["settle a doubt"],
    &["void a doubt"],
    &["expire"],
];

/// Does this for each function's deeds, one after the other, and for all functions at once.
async fn for_all(one: impl AsyncFn(&Shop, Deed, &'static str)) {
    let in_shop = async |names: &[&str]| {
        let deeds: Vec<Deed> = DEEDS.into_iter().filter(|deed| names.contains(&deed.name)).collect();
        let mut functions: Vec<&'static str> = deeds.iter().map(|deed| deed.function).collect();
        functions.dedup();
        let shop = shop().await;
        let lane = async |function: &'static str| {
            let twin = shop.open_twin(function).await;
            for deed in deeds.iter().filter(|deed| deed.function == function) {
                one(&shop, *deed, twin).await;
            }
        };
        join_all(functions.into_iter().map(lane)).await;
    };
    join_all(SHOPS.map(in_shop)).await;
}

/// Only the functions that the deeds need.
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
fn every_function_that_changes_orders_has_a_deed() {
    let functions = crate::shop::process::functions().into_iter();
    let reads = ["orders-get", "orders-list"];
    let writes = functions.filter(|name| name.starts_with("orders-") || name.starts_with("payments-"));
    for function in writes.filter(|name| !reads.contains(&&**name)) {
        assert!(DEEDS.iter().any(|deed| deed.function == function), "{function}");
    }
    assert!(DEEDS.iter().all(|deed| SHOPS.iter().any(|shop| shop.contains(&deed.name))));
}

#[tokio::test]
async fn i18_whatever_befalls_any_call_of_any_operation_the_books_balance_in_the_end() {
    let count = AtomicUsize::new(0);
    for_all(async |shop, deed, twin| {
        for site in sites(shop, deed, twin).await {
            for (name, rig) in faults(site) {
                let case = Case::of(shop, deed).await;
                let fault = rig(site.calls(shop, twin));
                let answer = case.act(shop, true).await;
                let told = format!("{site:?} {name}");
                assert!(fault.hits() > 0, "{deed:?}, {told}: {answer:?}");
                drop(fault);
                if let Some(answer) = &answer {
                    // I21: nobody is blamed for it. Nor may it pass for done what was not: the books will tell.
                    assert!(answer.status < 300 || answer.status >= 500, "{deed:?}, {told}: {answer:?}");
                    let patience = answer.status != 503 || answer.find_header("retry-after").is_some();
                    assert!(patience, "{answer:?}");
                }
                case.end(shop, answer, &told).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    })
    .await;
    let count = count.into_inner();
    println!("{count} mishaps");
    assert!(count >= 400, "only {count} mishaps");
}

#[tokio::test]
async fn i17_a_kill_at_any_step_of_any_operation_leaves_all_of_it_or_nothing() {
    let count = AtomicUsize::new(0);
    for_all(async |shop, deed, twin| {
        for site in sites(shop, deed, twin).await {
            for done in [false, true] {
                let case = Case::of(shop, deed).await;
                let calls = site.calls(shop, twin);
                let held = if done { calls.hold_answer() } else { calls.hold() };
                tokio::select! {
                    answer = case.act(shop, true) => panic!("{deed:?}, {site:?}: an answer from a function that hangs: {answer:?}"),
                    () = held.reached(1) => {}
                }
                shop.kill(twin).await;
                drop(held);
                shop.open_twin(deed.function).await;
                case.end(shop, None, &format!("killed {} {site:?}", if done { "after" } else { "before" })).await;
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
async fn i18_a_store_or_a_stripe_that_never_answers_is_given_up_before_the_gateway_does() {
    let shop = Shop::start(Options {
        // One for each that hangs.
        instances: vec![
            ("orders-pay", 16),
            ("orders-cancel", 20),
            ("orders-capture", 5),
            ("orders-refund", 5),
        ],
        only: Some(DEEDS.iter().map(|deed| deed.function).chain(["orders-get", "products-create"]).collect()),
        ..Options::default()
    })
    .await;
    let silence = async |deed: Deed, site: Site| {
        let case = Case::of(&shop, deed).await;
        // The calls about this order: by its own part of the id, or by its intent.
        let marks = match &case.order {
            Some(order)
                if site.service == Service::Payments && site.operation != "POST /v1/payment_intents" =>
            {
                shop.stripe()
                    .intents_of(order.id())
                    .first()
                    .cloned()
                    .map(|intent| (intent, order.id().to_owned()))
            }
            Some(order) => Some((mark_of(order), order.id().to_owned())),
            None => Some((case.buyer.trim_start_matches("usr_").to_owned(), String::new())),
        };
        // A payment's own intent is not known before it is there.
        let Some((mark, _)) = marks else { return };
        let silent = shop
            .calls(site.operation)
            .of(site.service)
            .by(deed.function)
            .about(mark)
            .after(site.number)
            .hold();
        let answer =
            timeout(Duration::from_secs(25), case.act(&shop, false)).await.expect("an answer in time");
        assert!(silent.hits() > 0, "{deed:?} {site:?}");
        if let Some(answer) = &answer {
            assert!([200, 201, 202, 503].contains(&answer.status), "{deed:?} {site:?}: {answer:?}");
        }
        drop(silent);
        case.end(&shop, answer, &format!("silence at {site:?}")).await;
    };
    let mut silences = Vec::new();
    let found = Mutex::new(Vec::new());
    for_all(async |shop, deed, twin| {
        let sites = sites(shop, deed, twin).await;
        found.lock().unwrap().extend(sites.into_iter().map(|site| (deed, site)));
    })
    .await;
    for (deed, site) in found.into_inner().unwrap() {
        // What a schedule does, it does to all that is due: one of those that hang would wait for the other.
        if !["orders-expire", "payments-reconcile"].contains(&deed.function) {
            silences.push(silence(deed, site));
        }
    }
    assert!(silences.len() >= 20, "only {} silences", silences.len());
    join_all(silences).await;
}

/// What a part of a transaction may have failed by.
const CODES: [&str; 5] = [
    "ConditionalCheckFailed",
    "TransactionConflict",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "ValidationError",
];

/// Each reason at each part of a transaction, and a failed condition beside what has nothing to do with the caller.
fn mixes(items: usize) -> Vec<Vec<&'static str>> {
    let with = |reasons: &[(usize, &'static str)]| {
        let mut all = vec!["None"; items];
        reasons.iter().for_each(|(item, reason)| all[*item] = reason);
        all
    };
    let alone = (0..items).flat_map(|item| CODES.map(|code| with(&[(item, code)])));
    let pairs = (0..items)
        .flat_map(|one| (0..items).filter(move |other| *other != one).map(move |other| (one, other)));
    let pairs = pairs
        .flat_map(|(one, other)| CODES[1..3].iter().map(move |code| with(&[(one, CODES[0]), (other, code)])));
    alone.chain(pairs).collect()
}

#[tokio::test]
async fn i21_no_mix_of_reasons_blames_who_has_to_do_with_an_order() {
    for_all(async |shop, deed, twin| {
        let case = Case::of(shop, deed).await;
        // One of each function, of those that have a client.
        let others =
            ["authorize", "be asked by the bank", "cancel unpaid", "cancel authorized", "cancel in doubt"];
        if matches!(case.act, Act::Event) || others.contains(&deed.name) {
            return;
        }
        let watched = shop.calls("TransactWriteItems").by(twin).observe();
        let first = case.act(shop, true).await;
        let writes: Vec<usize> = watched.observed().iter().map(|call| items_of(&call.request)).collect();
        drop(watched);
        case.end(shop, first, "undisturbed").await;
        for (number, items) in writes.into_iter().enumerate() {
            for reasons in mixes(items) {
                let case = Case::of(shop, deed).await;
                let injected = reasons.clone();
                let cancelled = shop.calls("TransactWriteItems").by(twin).after(number);
                let cancelled = cancelled.answer_with(move |_| Refusal::cancelled(injected.iter().copied()));
                let answer = case.act(shop, true).await.unwrap();
                assert!(cancelled.hits() > 0, "{answer:?}");
                drop(cancelled);
                // What stands against it is not shown, so that it may be anything where conditions alone have failed.
                let by_conditions = reasons.iter().all(|reason| ["None", CODES[0]].contains(reason));
                assert!(
                    by_conditions || answer.status >= 500 || answer.status < 300,
                    "{deed:?} {number} {reasons:?}: {answer:?}"
                );
                let answer = Some(answer).filter(|answer| answer.status < 300);
                case.end(shop, answer, &format!("{number} {reasons:?}")).await;
            }
        }
    })
    .await;
}
