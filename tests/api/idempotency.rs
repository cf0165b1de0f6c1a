use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::shop::{
    ADMIN, Answer, Request, STAFF, Shop, USERS, assert_statuses, changed, new_product, unique, unique_user,
};

/// Fails unless a response is repeated and marked as such.
#[track_caller]
pub fn assert_replays(first: &Answer, again: &Answer) {
    assert!(again.is_replayed(), "{again:?}");
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    for header in ["location", "etag", "content-type", "cache-control"] {
        assert_eq!(again.find_header(header), first.find_header(header), "{header}");
    }
}

async fn listed(shop: &Shop, new: &Value) -> usize {
    let list = shop.get("/products").query("category", new["category"].as_str().unwrap());
    list.send().await.expect(200).items().len()
}

#[tokio::test]
async fn i04_a_repeated_create_has_one_effect_and_the_same_answer() {
    let shop = Shop::shared().await;
    let new = new_product("once");
    let request = shop.post("/products").staff().key(&unique("key")).json(&new);
    let first = request.clone().send().await.expect(201);
    assert!(!first.is_replayed());
    for _ in 0..3 {
        assert_replays(&first, &request.clone().send().await);
    }
    assert_eq!(listed(&shop, &new).await, 1);
    shop.assert_books_balance(first.id()).await;
}

#[tokio::test]
async fn i04_the_same_payload_in_other_words_is_the_same() {
    let shop = Shop::shared().await;
    let new = new_product("words");
    let request = shop.post("/products").staff().key(&unique("key"));
    let first = request.clone().json(&new).send().await.expect(201);
    let pretty = serde_json::to_string_pretty(&new).unwrap();
    assert_replays(&first, &request.clone().body("application/json", pretty).send().await);
    let fields: Vec<String> = new
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{}:{value}", json!(name)))
        .rev()
        .collect();
    let backwards = format!("{{{}}}", fields.join(","));
    assert_replays(&first, &request.body("application/json; charset=utf-8", backwards).send().await);
}

#[tokio::test]
async fn i04_a_replay_succeeds_although_the_world_has_changed_since() {
    let shop = Shop::shared().await;
    let new = new_product("since");
    let create = shop.post("/products").staff().key(&unique("key")).json(&new);
    let created = create.clone().send().await.expect(201);
    let taking = shop.adjust(created.id(), -10);
    let taken = taking.clone().send().await.expect(201);
    let path = format!("/products/{}", created.id());
    let patch = json!({"name": "Another", "price": {"amount": 1}});
    shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);

    // The stock is gone, the name another, the SKU taken, the product archived.
    assert_replays(&taken, &taking.send().await);
    assert_replays(&created, &create.send().await);
    assert_eq!(shop.inventory(created.id()).await["on_hand"], 0);
    shop.assert_books_balance(created.id()).await;
}

#[tokio::test]
async fn i04_sixteen_twins_at_once_create_one_product() {
    let shop = Shop::with(&[
        ("products-create", 16),
        ("products-list", 1),
        ("inventory-get", 1),
        ("inventory-movements", 1),
    ])
    .await;
    let new = new_product("twins");
    let request = shop.post("/products").staff().key(&unique("key")).json(&new);
    let start = shop.calls("TransactWriteItems").about(new["sku"].as_str().unwrap()).hold();
    let twins = join_all((0..16).map(|_| request.clone().send()));
    let (answers, ()) = tokio::join!(twins, async {
        start.reached(16).await;
        start.release();
    });
    assert_one_effect(&answers);
    assert_eq!(listed(&shop, &new).await, 1);
    shop.assert_books_balance(answers[0].id()).await;
}

#[tokio::test]
async fn i04_sixteen_twins_at_once_adjust_once() {
    let shop = Shop::with(&[
        ("inventory-adjust", 16),
        ("products-create", 1),
        ("inventory-get", 1),
        ("inventory-movements", 1),
    ])
    .await;
    let product = shop.create_stocked("twins", 10).await;
    let request = shop.adjust(product.id(), -10);
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let twins = join_all((0..16).map(|_| request.clone().send()));
    let (answers, ()) = tokio::join!(twins, async {
        start.reached(16).await;
        start.release();
    });
    assert_one_effect(&answers);
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 0);
    shop.assert_books_balance(product.id()).await;
}

#[track_caller]
fn assert_one_effect(answers: &[Answer]) {
    assert!(
        answers.iter().all(|answer| answer.status == 201 && answer.text == answers[0].text),
        "{answers:#?}"
    );
    assert_eq!(answers.iter().filter(|answer| !answer.is_replayed()).count(), 1);
}

#[tokio::test]
async fn i04_a_lost_answer_is_found_again() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("lost", 10).await;
    // Lost on the way to the function: the SDK asks again, with DynamoDB's own token.
    let adjust = shop.adjust(product.id(), -1);
    let lost = shop.calls("TransactWriteItems").about(product.id()).times(1).lose_answer();
    adjust.clone().send().await.expect(201);
    assert_eq!(lost.hits(), 1);
    drop(lost);
    assert!(adjust.send().await.expect(201).is_replayed());

    // Lost every time: the client asks again, with its key.
    let adjust = shop.adjust(product.id(), -1);
    let lost = shop.calls("TransactWriteItems").about(product.id()).lose_answer();
    adjust.clone().send().await.expect_problem(503, "temporarily_unavailable");
    drop(lost);
    let found = adjust.clone().send().await.expect(201);
    assert!(found.is_replayed());
    assert_replays(&found, &adjust.send().await);
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 8);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i04_a_storm_of_retries_through_faults_has_one_effect() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("storm", 100).await;
    let adjust = shop.adjust(product.id(), -7);
    let storm = async |request: &Request| {
        let lost = shop.calls("TransactWriteItems").about(product.id()).after(1).times(2).lose_answer();
        let refused = shop.calls("TransactWriteItems").about(product.id()).times(2).refuse();
        let answers = join_all((0..8).map(|_| request.clone().send())).await;
        drop((lost, refused));
        answers
    };
    let mut answers = storm(&adjust).await;
    answers.push(adjust.clone().send().await.expect(201));
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert!(done.iter().all(|answer| answer.text == done[0].text), "{answers:#?}");
    assert_statuses(&answers, &[201, 503]);
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 93);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i05_the_same_key_with_another_payload_is_refused_without_effect() {
    let shop = Shop::shared().await;
    let new = new_product("other");
    let request = shop.post("/products").staff().key(&unique("key"));
    let first = request.clone().json(&new).send().await.expect(201);
    let others = [
        json!({"sku": unique("other")}),
        json!({"name": "Stoneware Coffee Mug "}),
        json!({"name": "Stoneware coffee Mug"}),
        json!({"description": null}),
        json!({"description": "CANARY: thrown by hand"}),
        json!({"category": unique("other")}),
        json!({"price": {"amount": 1851, "currency": "EUR"}}),
        json!({"price": {"amount": 1850, "currency": "USD"}}),
        json!({"images": []}),
        json!({"images": ["https://images.shop.test/mug.jpg", "/images/mug.svg"]}),
        json!({"attributes": {"colour": "sand"}}),
        json!({"attributes": {"colour": "350 ml", "volume": "sand"}}),
        json!({"initial_stock": 11}),
        json!({"low_stock_threshold": 4}),
    ];
    for other in others {
        let other = changed(new.clone(), other);
        request.clone().json(&other).send().await.expect_problem(422, "idempotency_key_reused");
        if other["category"] != new["category"] {
            assert_eq!(listed(&shop, &other).await, 0);
        }
    }
    assert_eq!(listed(&shop, &new).await, 1);
    assert_eq!(shop.product(first.id()).await.json, first.json);

    let (one, two) = (shop.create_stocked("other", 9).await, shop.create_stocked("other", 9).await);
    let key = unique("key");
    let adjust = |id: &str, body: Value| shop.adjust(id, 1).key(&key).json(&body);
    let body = json!({"delta": 1, "reason": "received"});
    adjust(one.id(), body.clone()).send().await.expect(201);
    for other in
        [json!({"delta": 2}), json!({"delta": -1}), json!({"reason": "returned"}), json!({"note": "n"})]
    {
        let refused = adjust(one.id(), changed(body.clone(), other)).send().await;
        refused.expect_problem(422, "idempotency_key_reused");
    }
    // The product is part of what was asked for.
    adjust(two.id(), body).send().await.expect_problem(422, "idempotency_key_reused");
    assert_eq!(shop.inventory(one.id()).await["on_hand"], 10);
    assert_eq!(shop.inventory(two.id()).await["on_hand"], 9);
}

#[tokio::test]
async fn i06_a_key_belongs_to_its_caller_and_its_operation() {
    let shop = Shop::shared().await;
    let key = unique("key");
    let (alice, bob) = (unique_user(), unique_user());
    let mut answers = Vec::new();
    for user in [&alice, &bob] {
        let new = new_product("mine");
        let create = shop.post("/products").caller(user, STAFF).key(&key).json(&new);
        let created = create.clone().send().await.expect(201);
        let adjust = shop.adjust(created.id(), 5).caller(user, STAFF).key(&key);
        let adjusted = adjust.clone().send().await.expect(201);
        assert!(!created.is_replayed() && !adjusted.is_replayed());
        assert_eq!(adjusted["actor"], *user);
        answers.push((create, created, adjust, adjusted));
    }
    let distinct: std::collections::BTreeSet<_> =
        answers.iter().flat_map(|(_, created, _, adjusted)| [created.id(), adjusted.id()]).collect();
    assert_eq!(distinct.len(), 4);
    for (create, created, adjust, adjusted) in answers {
        assert_replays(&created, &create.send().await);
        assert_replays(&adjusted, &adjust.send().await);
    }
}

#[tokio::test]
async fn i06_a_foreign_payload_under_a_known_key_is_judged_on_its_own() {
    let shop = Shop::shared().await;
    let (key, new) = (unique("key"), new_product("foreign"));
    let create = |user: &str| shop.post("/products").caller(user, STAFF).key(&key).json(&new);
    create(&unique_user()).send().await.expect(201);
    // Not the other's answer: this caller's own create meets the SKU that is taken.
    create(&unique_user()).send().await.expect_problem(409, "sku_taken");
}

#[tokio::test]
async fn i06_a_replay_needs_the_scope_that_the_first_needed() {
    let shop = Shop::shared().await;
    let (user, key, new) = (unique_user(), unique("key"), new_product("scope"));
    let create = |scope: &str| shop.post("/products").caller(&user, scope).key(&key).json(&new);
    create(STAFF).send().await.expect(201);
    create("inventory:read").send().await.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn keys_that_differ_in_one_character_or_case_are_other_keys() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("alike", 0).await;
    let key = unique("Key");
    let keys = [key.clone(), key.to_lowercase(), format!("{key}."), format!("{key}#"), format!("#{key}")];
    for key in &keys {
        assert!(!shop.adjust(product.id(), 1).key(key).send().await.expect(201).is_replayed());
    }
    assert_eq!(shop.inventory(product.id()).await["on_hand"], keys.len());
}

/// Returns all clients with a name in the list.
async fn clients_named(shop: &Shop, name: &str) -> Vec<Value> {
    let all = shop.walk(shop.get("/oauth/clients").scoped(ADMIN).query("limit", 100)).await;
    all.into_iter().filter(|client| client["name"] == name).collect()
}

/// Fails unless `again` is a replay of the registration `first` without its secret, which is not stored.
#[track_caller]
fn assert_shows_no_secret(first: &Answer, again: &Answer) {
    assert!(first["client_secret"].is_string() && again.is_replayed(), "{first:?} {again:?}");
    assert_eq!(again.json, changed(first.json.clone(), json!({"client_secret": null})));
    assert_eq!(again.header("location"), first.header("location"));
}

fn new_client(name: &str) -> Value {
    json!({"name": name, "scope": "inventory:read orders:read"})
}

#[tokio::test]
async fn i04_a_repeated_registration_of_a_client_has_one_effect_and_shows_the_secret_once() {
    let shop = Shop::shared().await;
    let name = unique("client");
    let request = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key"));
    let first = request.clone().json(&new_client(&name)).send().await.expect(201);
    assert!(!first.is_replayed() && first["client_secret"].is_string());
    for _ in 0..3 {
        assert_shows_no_secret(&first, &request.clone().json(&new_client(&name)).send().await);
    }
    let pretty = serde_json::to_string_pretty(&new_client(&name)).unwrap();
    assert_shows_no_secret(&first, &request.clone().body("application/json", pretty).send().await);
    assert_eq!(clients_named(&shop, &name).await.len(), 1);
    // What is kept of the answer has no secret in it.
    let secret = first["client_secret"].as_str().unwrap();
    assert!(!json!(shop.items(USERS)).to_string().contains(secret));
    // Although it is gone since.
    let path = format!("/oauth/clients/{}", first["client_id"].as_str().unwrap());
    shop.delete(&path).scoped(ADMIN).send().await.expect(204);
    assert_shows_no_secret(&first, &request.json(&new_client(&name)).send().await);
    assert_eq!(clients_named(&shop, &name).await.len(), 0);

    let app = json!({"name": name, "scope": "profile:read", "redirect_uris": ["https://parcels.test/"]});
    let request = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&app);
    let first = request.clone().send().await.expect(201);
    assert!(first["client_secret"].is_null());
    assert_replays(&first, &request.send().await);
}

#[tokio::test]
async fn i04_sixteen_twins_and_lost_answers_register_one_client() {
    let shop = Shop::with(&[("oauth-clients-create", 16), ("oauth-clients-list", 1)]).await;
    let name = unique("client");
    let request = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&new_client(&name));
    let start = shop.calls("TransactWriteItems").about(&name).hold();
    let twins = join_all((0..16).map(|_| request.clone().send()));
    let (answers, ()) = tokio::join!(twins, async {
        start.reached(16).await;
        start.release();
    });
    let (first, replays): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| !answer.is_replayed());
    assert_eq!((first.len(), replays.len()), (1, 15), "{answers:#?}");
    replays.into_iter().for_each(|again| assert_shows_no_secret(first[0], again));
    drop(start);
    let name = unique("client");
    let request = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key")).json(&new_client(&name));
    let lost = shop.calls("TransactWriteItems").about(&name).lose_answer();
    request.clone().send().await.expect_problem(503, "temporarily_unavailable");
    drop(lost);
    let found = request.clone().send().await.expect(201);
    assert!(found.is_replayed() && found["client_secret"].is_null());
    assert_replays(&found, &request.send().await);
    assert_eq!(clients_named(&shop, &name).await.len(), 1);
}

#[tokio::test]
async fn i05_the_same_key_for_another_client_is_refused_without_effect() {
    let shop = Shop::shared().await;
    let name = unique("client");
    let request = shop.post("/oauth/clients").scoped(ADMIN).key(&unique("key"));
    request.clone().json(&new_client(&name)).send().await.expect(201);
    let other = unique("client");
    for change in [
        json!({"name": other}),
        json!({"name": other, "scope": "inventory:read"}),
        json!({"scope": "orders:read inventory:read users:read"}),
        json!({"scope": "profile:read", "redirect_uris": ["https://parcels.test/"]}),
    ] {
        let refused = request.clone().json(&changed(new_client(&name), change)).send().await;
        refused.expect_problem(422, "idempotency_key_reused");
    }
    assert_eq!((clients_named(&shop, &name).await.len(), clients_named(&shop, &other).await.len()), (1, 0));
}

#[tokio::test]
async fn i06_the_key_of_another_shows_no_secret() {
    let shop = Shop::shared().await;
    let (key, name) = (unique("key"), unique("client"));
    let create = |user: &str, scope: &str| {
        shop.post("/oauth/clients").caller(user, scope).key(&key).json(&new_client(&name))
    };
    let (alice, bob) = (unique_user(), unique_user());
    let of_alice = create(&alice, ADMIN).send().await.expect(201);
    let of_bob = create(&bob, ADMIN).send().await.expect(201);
    assert!(!of_bob.is_replayed());
    assert_ne!(of_bob["client_id"], of_alice["client_id"]);
    assert_ne!(of_bob["client_secret"], of_alice["client_secret"]);
    create(&alice, STAFF).send().await.expect_problem(403, "insufficient_scope");
    assert_shows_no_secret(&of_alice, &create(&alice, ADMIN).send().await);
    let bare = shop.post("/oauth/clients").scoped(ADMIN).json(&new_client(&name)).send().await;
    bare.expect_problem(400, "idempotency_key_required");
}
