//! Exact costs of each operation: its calls of DynamoDB in order, and their capacity units. An increase needs its reason in
//! the commit.

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    oauth::{STOREFRONT_CLIENT, code_for, machine, page},
    sessions::later,
    shop::{
        ADMIN, Answer, CUSTOMER, Person, Request, Shop,
        buyers::{ANSWER_LOST, VISA, mark_of},
        changed, eventually, new_product,
        people::Session,
        proxy::{
            Call,
            Capacity::{self, Read, Write},
        },
        unique, unique_user,
    },
};

/// Records all calls of a function for one request. No other request may reach it meanwhile.
async fn cost_of(
    shop: &Shop,
    function: &'static str,
    request: Request,
) -> (Answer, Vec<(String, Option<Capacity>)>) {
    let watched = shop.any_call().by(function).observe();
    let answer = request.send().await;
    (answer, watched.observed().into_iter().map(|call| (call.operation, call.capacity)).collect())
}

fn calls<const N: usize>(calls: [(&str, Option<Capacity>); N]) -> Vec<(String, Option<Capacity>)> {
    calls.map(|(operation, capacity)| (operation.to_owned(), capacity)).to_vec()
}

#[tokio::test]
async fn reading_a_product_costs_one_query_of_half_a_unit() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create(&new_product("cost")).await;
    let path = format!("/products/{}", product.id());
    shop.get(&path).send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "products-get", shop.get(&path)).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(0.5)))]));
    // With a token it is consistent, for the double.
    let (answer, cost) = cost_of(&shop, "products-get", shop.get(&path).staff()).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(1.0)))]));
    let (answer, cost) = cost_of(&shop, "products-get", shop.get(&path).if_none_match(product.etag())).await;
    answer.expect(304);
    assert_eq!(cost, calls([("Query", Some(Read(0.5)))]));
    // An id that is none is not asked for.
    let (answer, cost) = cost_of(&shop, "products-get", shop.get("/products/prod_1")).await;
    answer.expect(404);
    assert_eq!(cost, []);
}

#[tokio::test]
async fn listing_twenty_products_costs_one_query_of_two_and_a_half_units() {
    let (shop, _alone) = Shop::alone().await;
    let category = unique("cost");
    // Summaries just short of 1 KB; the description is long and not read.
    let news: Vec<_> = (0..30)
        .map(|_| {
            let changes = json!({
                "category": category,
                "description": "long ".repeat(1_000),
                "attributes": {"fact": "x".repeat(190), "another": "y".repeat(190)},
            });
            changed(new_product("cost"), changes)
        })
        .collect();
    join_all(news.iter().map(|new| shop.create(new))).await;
    shop.get("/products").send().await.expect(200);

    for sort in ["newest", "price", "-price", "name"] {
        let list = shop.get("/products").query("category", &category).query("sort", sort);
        let (answer, cost) = cost_of(&shop, "products-list", list.clone()).await;
        assert_eq!(answer.expect(200).items().len(), 20);
        assert_eq!(cost, calls([("Query", Some(Read(2.5)))]), "{sort}");
        // A range of prices is the key of its sort, and a filter of others.
        let (answer, cost) = cost_of(&shop, "products-list", list.query("min_price", 5_000)).await;
        assert!(answer.expect(200).items().is_empty());
        assert_eq!(cost.len(), 1, "{sort}: {cost:?}");
    }
    let all = shop.get("/products").query("sort", "price");
    let (answer, cost) = cost_of(&shop, "products-list", all).await;
    assert_eq!(answer.expect(200).items().len(), 20);
    assert_eq!(cost.len(), 1);
}

#[tokio::test]
async fn creating_a_product_costs_one_transaction() {
    let (shop, _alone) = Shop::alone().await;
    shop.create(&new_product("cost")).await;
    let request = shop.post("/products").staff().key(&unique("key")).json(&new_product("cost"));
    let (answer, cost) = cost_of(&shop, "products-create", request.clone()).await;
    answer.expect(201);
    // SKU, entry, stock, opening movement, record, audit event and the caller's withdrawal, 1 KB each at most, for
    // the double; six indexes, and the event's two, for the single.
    assert_eq!(cost, calls([("TransactWriteItems", Some(Write(22.0)))]));

    // A key that comes again is found by the transaction that it fails.
    let (answer, cost) = cost_of(&shop, "products-create", request).await;
    assert!(answer.expect(201).is_replayed());
    assert_eq!(cost.len(), 1);
    // Who may not, or says nothing sensible, costs nothing.
    let (answer, cost) = cost_of(&shop, "products-create", shop.post("/products").customer()).await;
    answer.expect(403);
    assert_eq!(cost, []);
    let invalid = shop.post("/products").staff().key("k").json(&json!({}));
    let (answer, cost) = cost_of(&shop, "products-create", invalid).await;
    answer.expect(422);
    assert_eq!(cost, []);
}

#[tokio::test]
async fn changing_a_product_costs_a_read_and_a_transaction() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create(&new_product("cost")).await;
    let path = format!("/products/{}", product.id());
    let patch = |patch| shop.patch(&path).staff().if_match("*").json(&patch);
    patch(json!({})).send().await.expect(200);

    // The description stands in no index.
    let (answer, cost) = cost_of(&shop, "products-update", patch(json!({"description": "New."}))).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(14.0)))]));
    // The price moves it in two of the six, and is copied to the stock.
    let (answer, cost) = cost_of(&shop, "products-update", patch(json!({"price": {"amount": 5}}))).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(18.0)))]));
    let stale = shop.patch(&path).staff().if_match("\"1\"").json(&json!({"name": "x"}));
    let (answer, cost) = cost_of(&shop, "products-update", stale).await;
    answer.expect(412);
    assert_eq!(cost, calls([("Query", Some(Read(1.0)))]));
}

#[tokio::test]
async fn archiving_a_product_costs_a_read_and_a_transaction() {
    let (shop, _alone) = Shop::alone().await;
    let archive = async || {
        let product = shop.create(&new_product("cost")).await;
        shop.delete(&format!("/products/{}", product.id())).staff().if_match("*")
    };
    // The first request may read the public keys, too.
    archive().await.send().await.expect(204);
    let (answer, cost) = cost_of(&shop, "products-archive", archive().await).await;
    answer.expect(204);
    assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(22.0)))]));
}

#[tokio::test]
async fn adjusting_inventory_costs_one_transaction() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create_stocked("cost", 10).await;
    shop.adjust(product.id(), 1).send().await.expect(201);
    // Stock, movement, record, audit event and the caller's withdrawal, 1 KB each at most, in a transaction for the double.
    let request = shop.adjust(product.id(), -1);
    let (answer, cost) = cost_of(&shop, "inventory-adjust", request.clone()).await;
    answer.expect(201);
    assert_eq!(cost, calls([("TransactWriteItems", Some(Write(12.0)))]));
    let (answer, cost) = cost_of(&shop, "inventory-adjust", request).await;
    assert!(answer.expect(201).is_replayed());
    assert_eq!(cost.len(), 1);
    let (answer, cost) = cost_of(&shop, "inventory-adjust", shop.adjust(product.id(), -100)).await;
    answer.expect(409);
    assert_eq!(cost.len(), 1);
}

#[tokio::test]
async fn reading_inventory_costs_one_call() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create_stocked("cost", 10).await;
    let path = format!("/products/{}/inventory", product.id());
    shop.get(&path).staff().send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "inventory-get", shop.get(&path).staff()).await;
    answer.expect(200);
    assert_eq!(cost, calls([("GetItem", Some(Read(1.0)))]));

    let path = format!("{path}/movements");
    shop.get(&path).staff().send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "inventory-movements", shop.get(&path).staff()).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(1.0)))]));
}

#[tokio::test]
async fn authorising_a_request_costs_nothing() {
    let (shop, _alone) = Shop::alone().await;
    shop.get("/products/x/inventory").staff().send().await.expect(404);
    for request in [shop.get("/products/x/inventory").staff(), shop.get("/products/x/inventory")] {
        let (_, cost) = cost_of(&shop, "inventory-get", request).await;
        assert_eq!(cost, []);
    }
    let unknown = shop.token("usr_01jd0000000000000000000000", "inventory:read").header("kid", "unknown");
    let request = shop.get("/products/x/inventory").bearer(&unknown.sign(shop.signer()));
    let (answer, cost) = cost_of(&shop, "inventory-get", request).await;
    answer.expect(401);
    assert!(cost.len() <= 1, "{cost:?}");
}

#[tokio::test]
async fn asking_for_health_costs_one_read() {
    let (shop, _alone) = Shop::alone().await;
    shop.get("/health").send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "health-get", shop.get("/health")).await;
    answer.expect(200);
    assert_eq!(cost, calls([("GetItem", Some(Read(0.5)))]));
}

#[tokio::test]
async fn the_availability_of_lists_costs_a_write_where_the_band_changes_and_nothing_else() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create_stocked("cost", 10).await;
    let watched = shop.any_call().by("products-availability").about(product.id()).observe();
    shop.adjust(product.id(), -1).send().await.expect(201);
    shop.adjust(product.id(), -1).send().await.expect(201);
    shop.adjust(product.id(), -8).send().await.expect(201);
    watched.reached(1).await;
    shop.adjust(product.id(), 1).send().await.expect(201);
    watched.reached(2).await;
    let calls: Vec<_> = watched.observed().into_iter().map(|call| call.operation).collect();
    assert_eq!(calls, ["UpdateItem", "UpdateItem"]);
}

/// Sends a request, and fails unless the function makes exactly these calls. Calls of a row are concurrent, rows are
/// sequential.
async fn assert_trips(shop: &Shop, function: &'static str, request: Request, rows: &[&[&str]]) -> Answer {
    let watched = shop.any_call().by(function).observe();
    let hold = |row: &[&str]| shop.any_call().by(function).times(row.len()).hold();
    let mut rows_held = rows.iter().map(|row| (row.len(), hold(row)));
    let mut held = rows_held.next();
    let sent = tokio::spawn(request.send());
    while let Some((count, calls)) = held {
        // All of the row are on their way before the first of them is answered.
        calls.reached(count).await;
        held = rows_held.next();
        calls.release();
    }
    let answer = sent.await.unwrap();
    let mut calls = watched.observed().into_iter().map(|call| call.operation);
    for row in rows {
        let mut row_made: Vec<_> = calls.by_ref().take(row.len()).collect();
        row_made.sort();
        assert_eq!(row_made, *row, "{function} {answer:?}");
    }
    assert_eq!(calls.collect::<Vec<_>>(), Vec::<String>::new(), "more calls of {function}: {answer:?}");
    answer
}

/// Counts the attempt per account and address, and reads the password hash.
const CHECK: &[&str] = &["GetItem", "UpdateItem", "UpdateItem"];
/// Performs the operation, and deletes the counters.
const DONE: &[&str] = &["BatchWriteItem", "TransactWriteItems", "UpdateItem"];

#[tokio::test]
async fn a_log_in_costs_two_round_trips_and_a_wrong_password_one() {
    let (shop, _alone) = Shop::alone().await;
    let person = shop.register_person().await;
    shop.log_in(&person).send().await.expect(200);
    assert_trips(&shop, "sessions-create", shop.log_in(&person), &[CHECK, DONE]).await.expect(200);
    let wrong = shop.log_in_with(&person, "CANARY no such password");
    assert_trips(&shop, "sessions-create", wrong, &[CHECK]).await.expect(401);
    assert_trips(&shop, "sessions-create", shop.log_in(&Person::new()), &[CHECK]).await.expect(401);
    let invalid = shop.post("/sessions").json(&json!({}));
    let (answer, cost) = cost_of(&shop, "sessions-create", invalid).await;
    answer.expect(422);
    assert_eq!(cost, []);
}

#[tokio::test]
async fn a_refresh_costs_one_round_trip_and_a_reuse_two() {
    let (shop, _alone) = Shop::alone().await;
    let first = shop.session(&shop.register_person().await).await;
    shop.refresh("unknown").send().await.expect(400);
    let refresh = |session: &Session| shop.refresh(&session.refresh_token);
    let both: &[&str] = &["GetItem", "UpdateItem"];
    let second = Session::of(&assert_trips(&shop, "oauth-token", refresh(&first), &[both]).await);
    let (answer, mut cost) = cost_of(&shop, "oauth-token", refresh(&second)).await;
    answer.expect(200);
    cost.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(cost, calls([("GetItem", Some(Read(1.0))), ("UpdateItem", Some(Write(1.0)))]));
    // The same again at once finds what was made of it.
    assert_trips(&shop, "oauth-token", refresh(&second), &[both]).await.expect(200);
    later(&shop, &second, 60);
    assert_trips(&shop, "oauth-token", refresh(&first), &[both, &["TransactWriteItems"]]).await.expect(400);
    // What was not made here is not asked for.
    let (answer, cost) = cost_of(&shop, "oauth-token", shop.refresh(&"A".repeat(128))).await;
    answer.expect(400);
    assert_eq!(cost, []);
}

#[tokio::test]
async fn registering_costs_one_write_with_or_without_an_account() {
    let (shop, _alone) = Shop::alone().await;
    let person = shop.register_person().await;
    for one in [&person, &Person::new()] {
        let (answer, cost) = cost_of(&shop, "users-register", shop.register(one)).await;
        answer.expect(202);
        assert_eq!(cost, calls([("PutItem", Some(Write(1.0)))]));
        let (answer, cost) = cost_of(&shop, "users-forgot-password", shop.forget_password(one)).await;
        answer.expect(202);
        assert_eq!(cost, calls([("PutItem", Some(Write(1.0)))]));
    }
}

#[tokio::test]
async fn answering_a_mail_costs_two_round_trips_or_three() {
    let (shop, _alone) = Shop::alone().await;
    let person = Person::new();
    shop.register(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    assert_trips(&shop, "users-verify-email", shop.verify(&person, &token), &[CHECK, DONE]).await.expect(204);
    shop.forget_password(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "reset-password", 1).await;
    let reset = shop.reset_password(&person, &token, &Person::new().password);
    // The last one lifts what others did to the account.
    let rows: [&[&str]; 3] = [&["BatchGetItem"], &["TransactWriteItems"], &["BatchWriteItem"]];
    assert_trips(&shop, "users-reset-password", reset, &rows).await.expect(204);
}

#[tokio::test]
async fn what_people_do_with_their_account_costs_a_read_and_a_write() {
    let (shop, _alone) = Shop::alone().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let own = |request: Request| request.bearer(&session.access_token).from(&person.address);
    assert_trips(&shop, "profile-get", own(shop.get("/users/me")), &[&["GetItem"]]).await.expect(200);
    let patch = own(shop.patch("/users/me").if_match("*").json(&json!({"name": "CANARY Jane"})));
    assert_trips(&shop, "profile-update", patch, &[&["GetItem"], &["TransactWriteItems"]]).await.expect(200);
    let renewed = Person::new().password;
    let put = json!({"current_password": person.password, "new_password": renewed});
    let put = own(shop.put("/users/me/password").json(&put));
    assert_trips(&shop, "profile-password", put, &[&["GetItem"], CHECK, DONE]).await.expect(204);
    let rows: [&[&str]; 2] = [&["GetItem"], &["TransactWriteItems"]];
    assert_trips(&shop, "sessions-delete", own(shop.delete("/sessions")), &rows).await.expect(204);
}

#[tokio::test]
async fn what_the_staff_does_with_users_costs_as_much() {
    let (shop, _alone) = Shop::alone().await;
    let person = shop.register_person().await;
    let id = shop.user(&person).await.id().to_owned();
    let path = format!("/users/{id}");
    let list = shop.get("/users").scoped("users:read");
    assert_trips(&shop, "users-list", list, &[&["Query"]]).await.expect(200);
    let get = shop.get(&path).scoped("users:read");
    assert_trips(&shop, "users-get", get, &[&["GetItem"]]).await.expect(200);
    let patch = shop.patch(&path).scoped("users:write").if_match("*").json(&json!({"role": "staff"}));
    let rows: [&[&str]; 2] = [&["GetItem"], &["TransactWriteItems"]];
    assert_trips(&shop, "users-update", patch.clone(), &rows).await.expect(200);
    let list = shop.get("/audit").scoped("audit:read");
    assert_trips(&shop, "audit-list", list, &[&["Query"]]).await.expect(200);
    // What is so already is not written.
    assert_trips(&shop, "users-update", patch, &[&["GetItem"]]).await.expect(200);
}

#[tokio::test]
async fn oauth_costs_what_it_must() {
    let (shop, _alone) = Shop::alone().await;
    let person = shop.register_person().await;
    for path in
        [&*STOREFRONT_CLIENT.path(None), "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"]
    {
        shop.get(path).send().await.expect(200);
        let watched = shop.any_call().observe();
        shop.get(path).send().await.expect(200);
        let functions = ["oauth-authorize", "oauth-metadata", "oauth-jwks"];
        let made = watched.observed().into_iter().filter(|call| functions.contains(&&*call.function)).count();
        assert_eq!(made, 0, "{path}");
    }
    let form = page(&shop, &STOREFRONT_CLIENT).await;
    let submit = form.submit(&shop, &person.email, &person.password, true).from(&person.address);
    assert_trips(&shop, "oauth-authorize", submit, &[CHECK, DONE]).await.expect(303);
    let code = code_for(&shop, &STOREFRONT_CLIENT, &person).await;
    let rows: [&[&str]; 2] = [&["GetItem"], &["TransactWriteItems"]];
    let tokens = assert_trips(&shop, "oauth-token", STOREFRONT_CLIENT.exchange(&shop, &code), &rows).await;
    let revoke = [("token", tokens["refresh_token"].as_str().unwrap()), ("client_id", "storefront")];
    let revoke = shop.post("/oauth/revoke").form(&revoke);
    assert_trips(&shop, "oauth-revoke", revoke, &[&["TransactWriteItems"]]).await.expect(200);

    let (id, secret) = machine(&shop, "inventory:read").await;
    let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    assert_trips(&shop, "oauth-token", shop.token_request(&fields), &[&["GetItem"]]).await.expect(200);
    let new = json!({"name": "Warehouse", "scope": "inventory:read"});
    let create = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&new);
    assert_trips(&shop, "oauth-clients-create", create, &[&["TransactWriteItems"]]).await.expect(201);
    let secrets = format!("/oauth/clients/{id}/secrets");
    let add = shop.post(&secrets).scoped(ADMIN);
    let secret = assert_trips(&shop, "oauth-secrets-create", add, &rows).await.expect(201);
    let delete = shop.delete(&format!("{secrets}/{}", secret.id())).scoped(ADMIN);
    assert_trips(&shop, "oauth-secrets-delete", delete, &rows).await.expect(204);
    let list = shop.get("/oauth/clients").scoped(ADMIN);
    assert_trips(&shop, "oauth-clients-list", list, &[&["Query"]]).await.expect(200);
    let delete = shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN);
    assert_trips(&shop, "oauth-clients-delete", delete, &rows).await.expect(204);
}

const READ: &[&str] = &["BatchGetItem"];
const WRITE: &[&str] = &["TransactWriteItems"];

#[tokio::test]
async fn placing_an_order_costs_a_read_and_a_transaction() {
    let (shop, _alone) = Shop::alone().await;
    let (mug, bowl) = (shop.create_stocked("cost", 100).await, shop.create_stocked("cost", 100).await);
    shop.ordered(&[(mug.id(), 1)]).await;
    let request = shop.place(&unique_user(), &[(mug.id(), 1), (bowl.id(), 1)]);
    assert_trips(&shop, "orders-create", request.clone(), &[READ, WRITE]).await.expect(201);
    // A key that comes again is found by the read.
    assert!(assert_trips(&shop, "orders-create", request, &[READ]).await.expect(201).is_replayed());
    let request = shop.place(&unique_user(), &[(mug.id(), 1), (bowl.id(), 1)]);
    let (answer, cost) = cost_of(&shop, "orders-create", request).await;
    answer.expect(201);
    // Two entries and the record. Then two stocks, order, record and the customer's withdrawal, for
    // the double; the order's two indexes.
    assert_eq!(cost, calls([("BatchGetItem", Some(Read(3.0))), ("TransactWriteItems", Some(Write(16.0)))]));
    let short = shop.place(&unique_user(), &[(mug.id(), 101)]);
    let (answer, cost) = cost_of(&shop, "orders-create", short).await;
    answer.expect(409);
    assert!(cost.len() <= 2, "{cost:?}");
    let invalid = shop.order_of(&unique_user(), &json!({}));
    let (answer, cost) = cost_of(&shop, "orders-create", invalid).await;
    answer.expect(422);
    assert_eq!(cost, []);
}

#[tokio::test]
async fn reading_orders_costs_one_call_and_the_staffs_list_two() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 100).await;
    let buyer = unique_user();
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(shop.place(&buyer, &[(mug.id(), 1)]).send().await.expect(201));
    }
    let get = shop.get(&format!("/orders/{}", orders[0].id())).caller(&buyer, CUSTOMER);
    get.clone().send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "orders-get", get).await;
    answer.expect(200);
    assert_eq!(cost, calls([("GetItem", Some(Read(1.0)))]));
    shop.get("/orders").caller(&buyer, CUSTOMER).send().await.expect(200);
    let (answer, cost) = cost_of(&shop, "orders-list", shop.get("/orders").caller(&buyer, CUSTOMER)).await;
    assert_eq!(answer.expect(200).items().len(), 20);
    // Whole orders, of 1 KB each.
    assert_eq!(cost, calls([("Query", Some(Read(5.0)))]));
    let (answer, cost) = cost_of(&shop, "orders-list", shop.get("/orders").scoped("orders:read")).await;
    assert_eq!(answer.expect(200).items().len(), 20);
    // The index has no more than the keys: orders change often, and their list only with their status.
    assert_eq!(cost, calls([("Query", Some(Read(0.5))), ("BatchGetItem", Some(Read(20.0)))]));
}

#[tokio::test]
async fn a_payment_costs_three_round_trips_beside_stripes_two() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 100).await;
    shop.paid(&[(mug.id(), 1)]).await;
    let (create, confirm): (&[&str], &[&str]) =
        (&["POST /v1/payment_intents"], &["POST /v1/payment_intents/{id}/confirm"]);
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let request = shop.pay(&order, VISA);
    let rows: &[&[&str]] = &[READ, create, WRITE, confirm, WRITE];
    assert_trips(&shop, "orders-pay", request.clone(), rows).await.expect(201);
    assert!(assert_trips(&shop, "orders-pay", request, &[READ]).await.expect(201).is_replayed());
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let declined = shop.pay(&order, "pm_card_visa_chargeDeclined");
    assert_trips(&shop, "orders-pay", declined, rows).await.expect(402);
    let (answer, cost) = cost_of(&shop, "orders-pay", shop.pay(&order, VISA)).await;
    answer.expect(201);
    let writes: Vec<_> = cost.iter().filter_map(|(_, capacity)| *capacity).collect();
    assert_eq!(writes, [Read(2.0), Write(12.0), Write(9.0)]);
    // What can't be paid costs the read, and a second look: a twin may have committed between order and record.
    assert_trips(&shop, "orders-pay", shop.pay(&order, VISA), &[READ, READ]).await.expect(409);
}

#[tokio::test]
async fn what_becomes_of_an_order_costs_a_read_and_a_transaction_and_one_more_where_stripe_is_asked() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 1_000).await;
    let goods = [(mug.id(), 2)];
    // What is read once at the start, is.
    for order in [shop.authorized(&goods).await, shop.paid(&goods).await] {
        shop.cancel(&order).send().await.expect(200);
    }
    let authorized = shop.authorized(&goods).await;
    shop.capture(&authorized, None).send().await.expect(200);
    shop.refund(&authorized, &json!({"amount": 1})).send().await.expect(201);
    shop.fulfil(&authorized, &json!({})).send().await.expect(201);

    let order = shop.ordered(&goods).await;
    assert_trips(&shop, "orders-cancel", shop.cancel(&order), &[READ, WRITE]).await.expect(200);
    let order = shop.authorized(&goods).await;
    let capture: &[&str] = &["POST /v1/payment_intents/{id}/capture"];
    let rows: &[&[&str]] = &[READ, WRITE, capture, WRITE];
    assert_trips(&shop, "orders-capture", shop.capture(&order, None), rows).await.expect(200);
    let refund: &[&str] = &["POST /v1/refunds"];
    let rows: &[&[&str]] = &[READ, WRITE, refund, WRITE];
    let part = shop.refund(&order, &json!({"amount": 1}));
    assert_trips(&shop, "orders-refund", part.clone(), rows).await.expect(201);
    assert!(assert_trips(&shop, "orders-refund", part, &[READ]).await.expect(201).is_replayed());
    let sending = shop.fulfil(&order, &json!({}));
    assert_trips(&shop, "orders-fulfil", sending.clone(), &[READ, WRITE]).await.expect(201);
    assert!(assert_trips(&shop, "orders-fulfil", sending, &[READ]).await.expect(201).is_replayed());
}

#[tokio::test]
async fn an_order_that_expires_costs_a_read_and_a_transaction_beside_the_look_for_what_is_due() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 100).await;
    shop.run("orders-expire").await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.later(order.id());
    let watched = shop.any_call().by("orders-expire").observe();
    shop.run("orders-expire").await;
    let calls = watched.observed();
    let count = |operation: &str| calls.iter().filter(|call| call.operation == operation).count();
    // One look at each part of the index.
    assert_eq!((count("Query"), count("TransactWriteItems"), calls.len()), (4, 1, 6), "{calls:#?}");
    assert_eq!(shop.order(order.id()).await["status"], "expired");
}

#[tokio::test]
async fn deleting_an_account_costs_nine_round_trips() {
    let (shop, _alone) = Shop::alone().await;
    let delete = async || {
        let person = shop.register_person().await;
        let session = shop.session(&person).await;
        let request = shop.post("/users/me/delete").json(&json!({"password": person.password}));
        request.bearer(&session.access_token).from(&person.address)
    };
    delete().await.send().await.expect(204);
    let query: &[&str] = &["Query"];
    // Queries of the orders, the account, the log-in and the attempts, and of the orders again.
    let rows = [&["GetItem"], CHECK, query, query, query, query, &["BatchWriteItem"], WRITE, query];
    assert_trips(&shop, "profile-delete", delete().await, &rows).await.expect(204);
}

#[tokio::test]
async fn a_webhook_costs_a_read_and_a_transaction_and_one_call_of_stripe() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 100).await;
    let webhook = async || {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        shop.pay(&order, ANSWER_LOST).send().await.expect(202);
        shop.webhook_of("payment_intent.succeeded", order.id(), 0)
    };
    webhook().await.send().await.expect(204);
    let rows: [&[&str]; 3] = [&["GET /v1/payment_intents/{id}"], &["GetItem"], WRITE];
    assert_trips(&shop, "payments-webhook", webhook().await, &rows).await.expect(204);
}

#[tokio::test]
async fn a_payment_that_is_reconciled_costs_as_much_as_by_a_webhook() {
    let (shop, _alone) = Shop::alone().await;
    let mug = shop.create_stocked("cost", 100).await;
    shop.run("payments-reconcile").await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    shop.later(order.id());
    let watched = shop.any_call().by("payments-reconcile").about(mark_of(&order)).observe();
    shop.run("payments-reconcile").await;
    let calls: Vec<_> = watched.observed().into_iter().map(|call| call.operation).collect();
    assert_eq!(calls, ["GetItem", "TransactWriteItems"]);
    assert_eq!(shop.order(order.id()).await["payment_status"], "paid");
}

#[tokio::test]
async fn sending_a_mail_costs_two_reads_and_a_write() {
    let (shop, _alone) = Shop::alone().await;
    let person = Person::new();
    let watched = shop.any_call().by("mail-send").observe();
    shop.register(&person).send().await.expect(202);
    // The function may still be at work on the mails of earlier tests: this mail's calls are those around its sending.
    let mine = |call: &Call| call.operation == "SendEmail" && call.text.contains(&person.email);
    let sent = eventually("the mail is sent", async || watched.observed().iter().position(mine)).await;
    watched.reached(sent + 2).await;
    let calls: Vec<_> = watched.observed().into_iter().map(|call| call.operation).collect();
    assert_eq!(calls[sent - 2..=sent + 1], ["GetItem", "Query", "SendEmail", "PutItem"]);
}
