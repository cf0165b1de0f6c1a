//! The audit trail: each privileged change, who made it, and nothing that is secret or personal.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    access::{Objects, Row, row},
    oauth::machine,
    shop::{ADMIN, Answer, CONTRACT, STAFF, Shop, new_product, unique, unique_user},
};

/// Operations that customers do for themselves, or that verify no token.
const NOT_PRIVILEGED: [&str; 6] = [
    "orders-create",
    "orders-pay",
    "profile-delete",
    "profile-password",
    "profile-update",
    "sessions-delete",
];

/// Lists the audit events of an object, newest first.
async fn events_of(shop: &Shop, object: &str) -> Vec<Value> {
    shop.get("/audit").query("object", object).scoped("audit:read").send().await.expect(200).items().to_vec()
}

#[tokio::test]
async fn every_privileged_operation_leaves_an_event_in_its_own_transaction() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let user = shop.user(&person).await.id().to_owned();
    let product = shop.create_stocked("audit", 10).await.id().to_owned();
    let pieces = shop.create_stocked("audit", 1_000).await.id().to_owned();
    let objects = Objects { product, pieces, person, user };
    let privileged = CONTRACT.operations().iter().filter(|one| !one.public && one.method != "GET");
    let privileged: Vec<_> = privileged.filter(|one| !NOT_PRIVILEGED.contains(&&*one.id)).collect();
    assert!(privileged.len() >= 11, "{privileged:?}");
    for operation in privileged {
        let Row { request, .. } = row(&shop, &objects, operation).await;
        let staff = unique_user();
        let answer = request.caller(&staff, ADMIN).send().await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
        let events = shop.get("/audit").query("actor", &staff).scoped("audit:read").send().await.expect(200);
        let [event] = events.items() else { panic!("{operation:?}: {events:?}") };
        assert_eq!((&event["action"], &event["client_id"]), (&json!(operation.id), &json!("tests")));
        assert_eq!(event["request_id"], answer.header("x-request-id"));
        assert!(event["before"].is_object() || event["after"].is_object(), "{event}");
        assert!(!event.to_string().contains("CANARY"), "{event}");
    }
}

#[tokio::test]
async fn an_event_tells_the_changed_fields_before_and_after() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("audit", 10).await;
    let path = format!("/products/{}", product.id());
    let patch = json!({"price": {"amount": 1, "currency": "EUR"}, "name": product["name"]});
    shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
    shop.adjust(product.id(), -3).send().await.expect(201);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);
    let events = events_of(&shop, product.id()).await;
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["products-archive", "inventory-adjust", "products-update", "products-create"]);
    let change = |event: &Value| (event["before"].clone(), event["after"].clone());
    assert_eq!(change(&events[0]), (json!({"status": "active"}), json!({"status": "archived"})));
    assert_eq!((&events[1]["after"]["delta"], &events[1]["before"]), (&json!(-3), &Value::Null));
    let price = |amount: &Value| json!({"price": {"amount": amount, "currency": "EUR"}});
    assert_eq!(change(&events[2]), (price(&product["price"]["amount"]), price(&json!(1))));
    assert_eq!(events[3]["after"]["price"], product["price"]);

    let person = shop.register_person().await;
    let id = shop.user(&person).await.id().to_owned();
    let patch = shop.patch(&format!("/users/{id}")).scoped("users:write").if_match("*");
    patch.clone().json(&json!({"role": "staff"})).send().await.expect(200);
    patch.json(&json!({"locked": false})).send().await.expect(200);
    let events = events_of(&shop, &id).await;
    assert_eq!(change(&events[0]), (Value::Null, json!({"locked": false})));
    assert_eq!(change(&events[1]), (json!({"role": "customer"}), json!({"role": "staff"})));

    let (client, secret) = machine(&shop, STAFF).await;
    shop.delete(&format!("/oauth/clients/{client}")).scoped(ADMIN).send().await.expect(204);
    let events = events_of(&shop, &client).await;
    assert_eq!((&events[0]["before"]["scope"], &events[0]["after"]), (&json!(STAFF), &Value::Null));
    assert_eq!((&events[1]["after"]["scope"], &events[1]["before"]), (&json!(STAFF), &Value::Null));
    assert!(!json!(events).to_string().contains(&secret));
}

#[tokio::test]
async fn a_refused_or_repeated_change_leaves_no_event() {
    let shop = Shop::shared().await;
    let staff = unique_user();
    let create = shop.post("/products").caller(&staff, STAFF).key(&unique("key")).json(&new_product("audit"));
    let product = create.clone().send().await.expect(201);
    assert!(create.send().await.expect(201).is_replayed());
    shop.adjust(product.id(), -1_000_000).caller(&staff, STAFF).send().await.expect(409);
    let stale = shop.patch(&format!("/products/{}", product.id())).caller(&staff, STAFF).if_match("\"7\"");
    stale.json(&json!({"name": "Stale"})).send().await.expect(412);
    let events = events_of(&shop, product.id()).await;
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test]
async fn the_trail_is_found_by_object_actor_action_and_time_and_walked() {
    let shop = Shop::shared().await;
    let (staff, other) = (unique_user(), unique_user());
    let product = shop.create_stocked("audit", 10).await;
    let mut made: Vec<Answer> = Vec::new();
    for number in 0..9 {
        let by = if number % 3 == 0 { &other } else { &staff };
        made.push(shop.adjust(product.id(), 1).caller(by, STAFF).send().await.expect(201));
    }
    let list = || shop.get("/audit").scoped("audit:read");
    let movements = |events: &[Value]| -> Vec<Value> {
        events.iter().map(|event| event["after"]["movement_id"].clone()).collect()
    };
    let expected = |keep: &dyn Fn(usize) -> bool| -> Vec<Value> {
        let kept = made.iter().enumerate().filter(|(number, _)| keep(*number));
        kept.map(|(_, answer)| json!(answer.id())).rev().collect()
    };
    let by_staff = expected(&|number| number % 3 != 0);
    let found = list().query("actor", &staff).send().await.expect(200);
    assert_eq!(movements(found.items()), by_staff);
    let both = list().query("actor", &staff).query("object", product.id()).send().await.expect(200);
    assert_eq!(movements(both.items()), by_staff);
    let none = list().query("actor", &staff).query("action", "users-update").send().await.expect(200);
    assert_eq!(none.items(), &[] as &[Value]);
    // By pages, each event once.
    for filters in [[("actor", &*other), ("limit", "1")], [("object", product.id()), ("limit", "2")]] {
        let list = filters.iter().fold(list(), |list, (name, value)| list.query(name, value));
        let walked = shop.walk(list).await;
        let ids: BTreeSet<_> = walked.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), walked.len());
        assert_eq!(walked.len(), if filters[0].0 == "actor" { 3 } else { 10 });
    }
    // The period includes both ends.
    let events = events_of(&shop, product.id()).await;
    let (first, last) = (&events[7]["at"], &events[2]["at"]);
    let period = list().query("object", product.id()).query("from", first.as_str().unwrap());
    let period = period.query("to", last.as_str().unwrap()).send().await.expect(200);
    let within: Vec<_> = events
        .iter()
        .filter(|event| {
            let at = event["at"].as_str().unwrap();
            first.as_str().unwrap() <= at && at <= last.as_str().unwrap()
        })
        .cloned()
        .collect();
    assert!(within.len() >= 6);
    assert_eq!(period.items(), within);
    let all = list().query("limit", 100).send().await.expect(200);
    assert!(all.items().len() > 10);
    let sorted: Vec<_> = all.items().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(sorted.is_sorted_by(|one, next| one > next), "{sorted:?}");
}

#[tokio::test]
async fn wrong_filters_of_the_trail_are_named_and_only_admins_read_it() {
    let shop = Shop::shared().await;
    let list = || shop.get("/audit").scoped("audit:read");
    let wrong = list().query("from", "yesterday").query("to", "2026-13-01T00:00:00Z").query("actor", "me");
    let wrong = wrong.query("object", "").query("action", "x".repeat(101)).query("by", "me").send().await;
    wrong.expect_invalid(&[
        ("/object", "too_short"),
        ("/actor", "invalid_format"),
        ("/action", "too_long"),
        ("/from", "invalid_format"),
        ("/to", "invalid_format"),
        ("/by", "unknown_parameter"),
    ]);
    let page = list().query("limit", 1).send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let moved = list().query("limit", 1).query("cursor", cursor).query("action", "users-update").send().await;
    moved.expect_problem(400, "invalid_cursor");
    shop.get("/audit").staff().send().await.expect_problem(403, "insufficient_scope");
}

#[test]
fn no_function_may_change_the_trail() {
    let files = tidy::read(&template::repository()).unwrap();
    let rights = tidy::Repository::new(files).unwrap().rights();
    let of_trail: BTreeSet<_> = rights
        .values()
        .flatten()
        .filter(|(_, resource)| resource.starts_with("AuditTable"))
        .map(|(action, _)| action.as_str())
        .collect();
    assert_eq!(of_trail, BTreeSet::from(["dynamodb:PutItem", "dynamodb:Query"]));
}
