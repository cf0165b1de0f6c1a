//! The events on the bus: every committed change is published at least once, with a stable id and without personal data.

use std::{collections::BTreeMap, fs};

use emulators::event_bridge::{Event, Fault};

use crate::shop::{
    Answer, EVENT_BUS, ORDERS, Options, PRODUCTS, Shop, USERS,
    buyers::{ANSWER_LOST, VISA},
    eventually, new_product,
    proxy::{Service, refusals},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Fails unless an event matches its schema in docs/events and has no personal data.
#[track_caller]
pub fn assert_published_well(event: &Event) {
    let detail = &event.detail;
    let (kind, version) = (detail["aggregate"]["type"].as_str().unwrap(), &detail["version"]);
    let path = template::repository().join(format!("docs/events/{kind}.v{version}.json"));
    let schema = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(detail).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} {event:#?}");
    assert_eq!((&*event.source, &*event.bus), ("lambda-shop", EVENT_BUS));
    assert_eq!(event.detail_type, detail["type"]);
    let text = detail.to_string();
    for personal in ["CANARY", "canary", "5550199", "10969", "pm_", "pi_", "argon2", "@"] {
        assert!(!text.contains(personal), "{personal}: {event:#?}");
    }
}

/// Waits for a number of events about an aggregate, and returns them.
async fn events(shop: &Shop, aggregate: &str, count: usize) -> Vec<Event> {
    let published = async || {
        let mut events = shop.bus().events_of(aggregate);
        // At least once: what came again counts once.
        events.sort_by_key(|event| (event.detail["sequence"].as_i64(), event.detail["id"].to_string()));
        events.dedup_by_key(|event| event.detail["id"].clone());
        (events.len() >= count).then_some(events)
    };
    let events = eventually(&format!("{count} events about {aggregate}"), published).await;
    events.iter().for_each(assert_published_well);
    events
}

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.detail["type"].as_str().unwrap()).collect()
}

/// An order's events match its timeline.
async fn assert_told(shop: &Shop, order: &str) -> Vec<Event> {
    let read = shop.order(order).await;
    let timeline = read["timeline"].as_array().unwrap();
    let events = events(shop, order, timeline.len()).await;
    assert_eq!(events.len(), timeline.len(), "{timeline:#?} {events:#?}");
    for (number, (event, entry)) in events.iter().zip(timeline).enumerate() {
        let detail = &event.detail;
        assert_eq!(detail["type"], format!("order.{}", entry["type"].as_str().unwrap()));
        assert_eq!((&detail["sequence"], &detail["occurred_at"]), (&json!(number + 1), &entry["at"]));
        assert_eq!((&detail["request_id"], &detail["actor"]), (&entry["request_id"], &entry["actor"]));
        assert_eq!(
            (&detail["data"]["customer_id"], &detail["data"]["total"]),
            (&read["customer_id"], &read["total"])
        );
        for name in ["amount", "payment_id", "refund_id", "fulfilment_id"] {
            assert_eq!(detail["data"][name], entry[name], "{name} of {detail}");
        }
    }
    events
}

#[tokio::test]
async fn i14_every_entry_of_an_orders_timeline_is_an_event_in_sequence() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("events", 20).await;
    let order = shop.ordered(&[(mug.id(), 2)]).await;
    shop.pay(&order, "pm_card_visa_chargeDeclined").send().await.expect(402);
    shop.pay(&order, VISA).send().await.expect(201);
    let part = json!({"lines": [{"product_id": mug.id(), "quantity": 1}]});
    shop.fulfil(&order, &part).send().await.expect(201);
    shop.refund(&order, &json!({"amount": 100, "reason": "CANARY"})).send().await.expect(201);
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    let told = assert_told(&shop, order.id()).await;
    assert_eq!(told[0].detail["data"]["lines"], json!([{"product_id": mug.id(), "quantity": 2}]));
    for kind in [
        "order.created",
        "order.payment_failed",
        "order.paid",
        "order.fulfilled",
        "order.refunded",
        "order.completed",
    ] {
        assert!(types(&told).contains(&kind), "{kind} in {told:#?}");
    }
    let last = &told.last().unwrap().detail["data"];
    assert_eq!((&last["status"], &last["fulfilment_status"]), (&json!("completed"), &json!("fulfilled")));

    let cancelled = shop.authorized(&[(mug.id(), 1)]).await;
    shop.cancel(&cancelled).send().await.expect(200);
    assert!(types(&assert_told(&shop, cancelled.id()).await).contains(&"order.cancelled"));
    let doubtful = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&doubtful, ANSWER_LOST).send().await.expect(202);
    shop.settle(doubtful.id()).await;
    assert!(types(&assert_told(&shop, doubtful.id()).await).contains(&"order.paid"));
    let expired = shop.ordered(&[(mug.id(), 1)]).await;
    shop.settle(expired.id()).await;
    assert_eq!(types(&assert_told(&shop, expired.id()).await), ["order.created", "order.expired"]);
}

#[tokio::test]
async fn the_catalogue_and_its_stock_tell_what_becomes_of_them() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("catalogue", 10).await;
    let path = format!("/products/{}", mug.id());
    shop.patch(&path).staff().if_match("*").json(&json!({"price": {"amount": 7}})).send().await.expect(200);
    // Low, gone, and back.
    for delta in [-8, -2, 10] {
        shop.adjust(mug.id(), delta).send().await.expect(201);
    }
    shop.place("usr_01jd0000000000000000000000", &[(mug.id(), 1)]).send().await.expect(201);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);
    let archived = async || {
        let events = shop.bus().events_of(mug.id());
        events.iter().any(|event| event.detail["type"] == "product.archived").then_some(())
    };
    eventually("the product to be archived", archived).await;
    let all = events(&shop, mug.id(), 8).await;
    let of = |kind: &str| -> Vec<Event> {
        all.iter().filter(|event| event.detail["aggregate"]["type"] == kind).cloned().collect()
    };
    assert_eq!(types(&of("product")), ["product.created", "product.updated", "product.archived"]);
    let stock = of("inventory");
    // Each names who did it: the common user of the staff.
    for event in of("product").iter().chain(&stock) {
        assert_eq!(event.detail["actor"], "usr_01jd0000000000000000000000", "{event:#?}");
        assert!(event.detail["request_id"].is_string(), "{event:#?}");
    }
    for kind in ["product.low_stock", "product.out_of_stock", "product.back_in_stock", "inventory.changed"] {
        assert!(types(&stock).contains(&kind), "{kind} in {stock:#?}");
    }
    let last = &stock.iter().rfind(|event| event.detail["data"]["reserved"] == 1).unwrap().detail["data"];
    assert_eq!((&last["available"], &last["on_hand"]), (&json!(9), &json!(10)));
    let sequences: Vec<_> = stock.iter().map(|event| event.detail["sequence"].as_i64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
}

#[tokio::test]
async fn accounts_tell_that_they_were_opened_changed_and_deleted() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let path = format!("/users/{}", session.user);
    for role in ["staff", "customer"] {
        let patch = shop.patch(&path).scoped("users:write").if_match("*").json(&json!({"role": role}));
        patch.send().await.expect(200);
    }
    let session = shop.session(&person).await;
    let erase = shop.post("/users/me/delete").json(&json!({"password": person.password}));
    erase.bearer(&session.access_token).from(&person.address).send().await.expect(204);
    let all = events(&shop, &session.user, 4).await;
    assert_eq!(types(&all), ["user.registered", "user.updated", "user.updated", "user.deleted"]);
    assert_eq!(all[1].detail["data"]["role"], "staff");
    let actors: Vec<_> = all.iter().map(|event| event.detail["actor"].as_str().unwrap()).collect();
    let staff = "usr_01jd0000000000000000000000";
    assert_eq!(actors, [&session.user, staff, staff, &session.user]);
}

/// Makes a stream record.
fn record(number: usize, table: &str, before: Option<&Value>, after: Option<&Value>) -> Value {
    let item = after.or(before).unwrap();
    let mut change = json!({
        "ApproximateCreationDateTime": 1_763_888_400.0,
        "Keys": {"pk": item["pk"], "sk": item["sk"]},
        "SequenceNumber": format!("{number:021}"),
        "SizeBytes": 500,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    for (name, image) in [("OldImage", before), ("NewImage", after)] {
        if let Some(image) = image {
            change[name] = image.clone();
        }
    }
    let kind = match (before, after) {
        (None, _) => "INSERT",
        (_, None) => "REMOVE",
        _ => "MODIFY",
    };
    json!({
        "eventID": format!("event-{number}"),
        "eventName": kind,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{table}/stream/2025-01-01T00:00:00.000"),
        "dynamodb": change,
    })
}

/// Delivers a batch like Lambda. Returns the sequence numbers to deliver again.
async fn deliver(shop: &Shop, records: &[Value]) -> Vec<usize> {
    let answer = shop.invoke("events-publish", &json!({"Records": records})).await;
    let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}"));
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}

/// Returns an order's item.
fn item(shop: &Shop, order: &Answer) -> Value {
    shop.items(ORDERS).into_iter().find(|item| item["id"]["S"] == order.id()).unwrap()
}

/// Starts a shop whose streams only the test delivers. Returns it with an order's history as stream records.
async fn by_hand() -> (Shop, Answer, Vec<Value>) {
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    let mug = shop.create_stocked("by-hand", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let placed = item(&shop, &order);
    shop.pay(&order, VISA).send().await.expect(201);
    let paid = item(&shop, &order);
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    let sent = item(&shop, &order);
    let history = vec![
        record(1, ORDERS, None, Some(&placed)),
        record(2, ORDERS, Some(&placed), Some(&paid)),
        record(3, ORDERS, Some(&paid), Some(&sent)),
    ];
    (shop, order, history)
}

/// Counts the arrivals of each event, by its id, with its sequence.
fn arrivals(shop: &Shop, order: &Answer) -> BTreeMap<String, (i64, usize)> {
    let mut arrivals = BTreeMap::new();
    for event in shop.bus().events_of(order.id()) {
        let sequence = event.detail["sequence"].as_i64().unwrap();
        arrivals.entry(event.detail["id"].to_string()).or_insert((sequence, 0)).1 += 1;
    }
    arrivals
}

#[tokio::test]
async fn i14_what_is_delivered_again_has_the_ids_that_it_had() {
    let (shop, order, history) = by_hand().await;
    assert!(deliver(&shop, &history).await.is_empty());
    let first = arrivals(&shop, &order);
    let count = shop.order(order.id()).await["timeline"].as_array().unwrap().len();
    assert_eq!(first.len(), count);
    // Once more, in parts, back to front, and one record twice in a batch.
    assert!(deliver(&shop, &history).await.is_empty());
    for record in history.iter().rev() {
        assert!(deliver(&shop, std::slice::from_ref(record)).await.is_empty());
    }
    assert!(deliver(&shop, &[history[1].clone(), history[1].clone()]).await.is_empty());
    let again = arrivals(&shop, &order);
    assert_eq!(again.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
    assert!(again.values().all(|(_, times)| *times >= 3), "{again:?}");
    let sequences: Vec<i64> = {
        let mut all: Vec<_> = again.values().map(|(sequence, _)| *sequence).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(sequences, (1..=i64::try_from(count).unwrap()).collect::<Vec<_>>());
    for event in shop.bus().events() {
        assert_published_well(&event);
    }
}

#[tokio::test]
async fn i14_no_error_of_the_bus_loses_an_event() {
    let (shop, order, history) = by_hand().await;
    for fault in
        [Fault::Throttled, Fault::Broken, Fault::EntryThrottled, Fault::EntryFailed, Fault::AnswerLost]
    {
        // Often enough that no patience of the function's own gets over it.
        shop.bus().fail(order.id(), vec![fault; 12]);
        let mut rounds = 0;
        let mut rest = history.clone();
        while let Some(first) = deliver(&shop, &rest).await.first() {
            // Lambda brings the first that failed, and all after it.
            rest.drain(
                ..rest
                    .iter()
                    .position(|record| record["dynamodb"]["SequenceNumber"] == format!("{first:021}"))
                    .unwrap(),
            );
            rounds += 1;
            assert!(rounds < 40, "{fault:?}");
        }
    }
    let count = shop.order(order.id()).await["timeline"].as_array().unwrap().len();
    let arrived = arrivals(&shop, &order);
    assert_eq!(arrived.len(), count);
    assert!(arrived.values().all(|(_, times)| *times >= 5), "{arrived:?}");
}

#[tokio::test]
async fn i18_every_error_of_the_bus_brings_the_record_again() {
    let (shop, order, history) = by_hand().await;
    for (name, refusal) in refusals() {
        let fault = shop.calls("PutEvents").of(Service::EventBridge).answer(refusal);
        assert_eq!(deliver(&shop, &history).await, [1], "{name}");
        assert!(fault.hits() > 0, "{name}");
    }
    assert!(arrivals(&shop, &order).is_empty());
    assert!(deliver(&shop, &history).await.is_empty());
}

#[tokio::test]
async fn i15_a_record_that_cannot_be_read_is_named_and_what_came_before_is_told() {
    let (shop, order, mut history) = by_hand().await;
    history[2]["dynamodb"]["NewImage"]["timeline"] = json!({"S": "PLANTED"});
    history.push(history[1].clone());
    assert_eq!(deliver(&shop, &history).await, [3]);
    let told = arrivals(&shop, &order);
    assert!(!told.is_empty() && told.values().all(|(_, times)| *times == 1), "{told:?}");
}

#[tokio::test]
async fn i15_a_poison_record_becomes_a_dead_letter_and_blocks_no_other() {
    let shop = Shop::start(Options::default()).await;
    let mug = shop.create_stocked("poison", 10).await;
    let poison = |number: i64| {
        json!({
            "pk": {"S": "USER#usr_01jd8x2m9q5w3r7t1v6y4z0abc"},
            "sk": {"S": "ORDER#01jd8x2m9q5w3r7t1v6y4z0abc"},
            "number": {"N": number.to_string()},
            "timeline": {"S": "PLANTED"},
        })
    };
    shop.write(ORDERS, poison(1));
    shop.write(ORDERS, poison(2));
    let order = shop.paid(&[(mug.id(), 1)]).await;
    assert_told(&shop, order.id()).await;
    shop.log().wait_for(|line| line.program == "streams" && line.text.contains("dead letters")).await;
}

#[tokio::test]
async fn what_is_no_change_of_a_thing_is_no_event() {
    let (shop, order, history) = by_hand().await;
    let sent = item(&shop, &order);
    let mut due = sent.clone();
    due["due_at"] = json!({"S": "2025-01-01T00:00:00.000Z"});
    let records = shop.items(ORDERS).into_iter().chain(shop.items(USERS)).filter(|item| {
        let sk = item["sk"]["S"].as_str().unwrap();
        sk.starts_with("IDEM#") || sk.starts_with("SESSION#") || sk.starts_with("MAIL#")
    });
    let others: Vec<Value> =
        records.enumerate().map(|(number, item)| record(10 + number, ORDERS, None, Some(&item))).collect();
    assert!(!others.is_empty());
    assert!(deliver(&shop, &others).await.is_empty());
    assert!(
        deliver(&shop, &[record(5, ORDERS, Some(&sent), Some(&due)), record(6, ORDERS, Some(&sent), None)])
            .await
            .is_empty()
    );
    assert!(deliver(&shop, &[]).await.is_empty());
    let movements = shop
        .items(PRODUCTS)
        .into_iter()
        .filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("MOVE#"));
    let movements: Vec<Value> = movements.map(|item| record(30, PRODUCTS, None, Some(&item))).collect();
    assert!(deliver(&shop, &movements).await.is_empty());
    assert_eq!(shop.bus().events().len(), 0);
    assert!(deliver(&shop, &history).await.is_empty());
}

#[tokio::test]
async fn a_batch_of_many_changes_is_published_whole() {
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    let products = join_all((0..25).map(|_| async { shop.create(&new_product("batch")).await })).await;
    let entries: Vec<Value> =
        shop.items(PRODUCTS).into_iter().filter(|item| item["sk"]["S"] == "ENTRY").collect();
    let records: Vec<Value> = entries
        .iter()
        .enumerate()
        .map(|(number, item)| record(number + 1, PRODUCTS, None, Some(item)))
        .collect();
    let watched = shop.calls("PutEvents").observe();
    assert!(deliver(&shop, &records).await.is_empty());
    for product in products {
        assert_eq!(types(&shop.bus().events_of(product.id())), ["product.created"]);
    }
    assert!(watched.observed().iter().all(|call| call.request["Entries"].as_array().unwrap().len() <= 10));
}
