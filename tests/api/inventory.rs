use serde_json::json;

use crate::shop::{Shop, changed, new_product, unique, unique_user};

const STAFF: &str = "inventory:read inventory:write";

#[tokio::test]
async fn a_new_products_inventory_is_its_opening_stock() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("opening", 10).await;
    let inventory = shop.inventory(created.id()).await;
    let expected = json!({
        "product_id": created.id(),
        "on_hand": 10,
        "reserved": 0,
        "available": 10,
        "low_stock_threshold": 3,
        "updated_at": created["created_at"],
    });
    assert_eq!((&inventory.json, inventory.etag()), (&expected, r#""1""#));
    let same = shop.get(&format!("/products/{}/inventory", created.id())).staff().if_none_match(r#""1""#);
    same.send().await.expect(304);

    let [opening] = &shop.movements(created.id()).await[..] else { panic!("one movement, and no other") };
    assert_eq!((&opening["delta"], &opening["reason"]), (&json!(10), &json!("opening")));
    assert_eq!(opening["product_id"], created.id());
}

#[tokio::test]
async fn an_adjustment_moves_stock_and_answers_its_movement() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("adjust", 10).await;
    let path = format!("/products/{}/inventory", created.id());
    let user = unique_user();
    let cases = [
        (24, "received", Some("CANARY: delivery 4711")),
        (-2, "damaged", None),
        (1, "returned", None),
        (-3, "correction", Some("recount")),
    ];
    let (mut on_hand, mut ledger) = (10, Vec::new());
    for (delta, reason, note) in cases {
        let body = changed(json!({"delta": delta, "reason": reason}), json!({"note": note}));
        let request =
            shop.post(&format!("{path}/adjustments")).caller(&user, STAFF).key(&unique("key")).json(&body);
        let movement = request.send().await.expect(201);
        assert_eq!((&movement["delta"], &movement["reason"]), (&json!(delta), &json!(reason)));
        assert_eq!((movement["note"].as_str(), &movement["actor"]), (note, &json!(user)));
        assert_eq!(movement["product_id"], created.id());
        on_hand += delta;
        ledger.insert(0, movement.json);

        let inventory = shop.inventory(created.id()).await;
        assert_eq!((&inventory["on_hand"], &inventory["available"]), (&json!(on_hand), &json!(on_hand)));
        shop.assert_books_balance(created.id()).await;
    }
    // Ids sort by the millisecond: two of the same one may change places.
    let mut movements = shop.movements(created.id()).await;
    let opening = movements.pop().unwrap();
    assert_eq!(opening["reason"], "opening");
    movements.sort_by_key(|movement| movement["id"].as_str().unwrap().to_owned());
    ledger.sort_by_key(|movement| movement["id"].as_str().unwrap().to_owned());
    assert_eq!(movements, ledger);
}

#[tokio::test]
async fn stock_can_be_taken_to_nothing_and_no_further() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("nothing", 7).await;
    let refused = shop.adjust(created.id(), -8).send().await.expect_problem(409, "insufficient_stock");
    assert_eq!(refused["available"], 7);
    shop.assert_books_balance(created.id()).await;
    shop.adjust(created.id(), -7).send().await.expect(201);
    let refused = shop.adjust(created.id(), -1).send().await.expect_problem(409, "insufficient_stock");
    assert_eq!(refused["available"], 0);
    assert_eq!(shop.movements(created.id()).await.len(), 2);
    shop.assert_books_balance(created.id()).await;
}

#[tokio::test]
async fn a_refused_adjustment_leaves_its_key_free() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("free-key", 1).await;
    let taking = shop.adjust(created.id(), -2);
    taking.clone().send().await.expect_problem(409, "insufficient_stock");
    shop.adjust(created.id(), 1).send().await.expect(201);
    let taken = taking.send().await.expect(201);
    assert!(!taken.is_replayed());
    assert_eq!(shop.inventory(created.id()).await["on_hand"], 0);
}

#[tokio::test]
async fn an_archived_product_can_still_be_counted() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("counted", 3).await;
    shop.delete(&format!("/products/{}", created.id())).staff().if_match("*").send().await.expect(204);
    shop.adjust(created.id(), -1).send().await.expect(201);
    assert_eq!(shop.inventory(created.id()).await["on_hand"], 2);
    shop.assert_books_balance(created.id()).await;
}

#[tokio::test]
async fn movements_come_page_by_page_the_newest_first() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("pages", 1).await;
    for delta in 1..=6 {
        shop.adjust(created.id(), delta).send().await.expect(201);
    }
    let list = shop.get(&format!("/products/{}/inventory/movements", created.id())).staff();
    let whole = list.clone().send().await.expect(200);
    let ids = whole.all("id");
    assert_eq!((ids.len(), &whole["next_cursor"]), (7, &json!(null)));
    assert!(ids.is_sorted_by(|newer, older| newer > older));
    assert!(whole.find_header("link").is_none());

    for limit in [1, 2, 3, 6, 7, 8] {
        let walked = shop.walk(list.clone().query("limit", limit)).await;
        assert_eq!(walked, whole.items(), "{limit}");
    }
}

#[tokio::test]
async fn a_movements_cursor_is_good_for_its_product_alone() {
    let shop = Shop::shared().await;
    let (one, other) = (shop.create_stocked("cursor", 1).await, shop.create_stocked("cursor", 1).await);
    for product in [&one, &other] {
        shop.adjust(product.id(), 1).send().await.expect(201);
    }
    let path = |id: &str| format!("/products/{id}/inventory/movements");
    let page = shop.get(&path(one.id())).staff().query("limit", 1).send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let foreign = shop.get(&path(other.id())).staff().query("cursor", cursor).send().await;
    foreign.expect_problem(400, "invalid_cursor");
    // The list's length is none of the query's conditions.
    let rest =
        shop.get(&path(one.id())).staff().query("cursor", cursor).query("limit", 5).send().await.expect(200);
    assert_eq!(rest.items().len(), 1);
}

#[tokio::test]
async fn what_a_product_costs_does_not_touch_its_books() {
    let shop = Shop::shared().await;
    let created = shop.create(&changed(new_product("books"), json!({"initial_stock": 9}))).await;
    let path = format!("/products/{}", created.id());
    let patch = json!({"price": {"amount": 1}, "name": "Cheap", "low_stock_threshold": 100});
    shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
    shop.adjust(created.id(), 1).send().await.expect(201);
    let inventory = shop.inventory(created.id()).await;
    assert_eq!((&inventory["on_hand"], &inventory["low_stock_threshold"]), (&json!(10), &json!(100)));
    shop.assert_books_balance(created.id()).await;
}
