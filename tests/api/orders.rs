//! Orders: placement, reading, lists, cancellation, shipping. `payments` tests payments.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    idempotency::assert_replays,
    products_list::{ids, next},
    shop::{
        Answer, CUSTOMER, PRODUCTS, Request, STAFF, Shop,
        books::timeline,
        buyers::{ERROR_500, VISA, address, basket},
        changed, new_product, unique, unique_user,
    },
};

/// Id of an order that does not exist.
const NOBODYS: &str = "ord_01jd8x2m9q5w3r7t1v6y4z0abc01jd8x2m9q5w3r7t1v6y4z0abc";

fn statuses(order: &Answer) -> [&str; 3] {
    ["status", "payment_status", "fulfilment_status"].map(|axis| order[axis].as_str().unwrap())
}

async fn held(shop: &Shop, product: &str) -> [i64; 3] {
    let inventory = shop.inventory(product).await;
    ["on_hand", "reserved", "available"].map(|field| inventory[field].as_i64().unwrap())
}

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn an_order_reserves_what_it_is_for_and_shows_all_of_it() {
    let shop = Shop::shared().await;
    let (mug, bowl) = (shop.create_stocked("mug", 10).await, shop.create_stocked("bowl", 5).await);
    let buyer = unique_user();
    let placing = shop.place(&buyer, &[(mug.id(), 3), (bowl.id(), 5)]);
    let order = placing.send().await.expect(201);
    assert_eq!(order.header("location"), format!("/v1/orders/{}", order.id()));
    assert_eq!(order["customer_id"], *buyer);
    assert_eq!(statuses(&order), ["open", "unpaid", "unfulfilled"]);
    assert_eq!(order["total"], eur(8 * 1850));
    let line = |product: &Answer, quantity: i64| {
        json!({
            "product_id": product.id(), "sku": product["sku"], "name": product["name"],
            "unit_price": eur(1850), "quantity": quantity, "total": eur(1850 * quantity),
            "fulfilled": 0, "restocked": 0, "released": 0,
        })
    };
    assert_eq!(order["lines"], json!([line(&mug, 3), line(&bowl, 5)]));
    assert_eq!(order["shipping_address"], address());
    for nothing in ["payments", "refunds", "fulfilments"] {
        assert_eq!(order[nothing], json!([]), "{nothing}");
    }
    let entry = &order["timeline"][0];
    assert_eq!((&entry["type"], &entry["actor"]), (&json!("created"), &json!(buyer)));
    assert_eq!(entry["request_id"], order.header("x-request-id"));
    assert_eq!(entry["at"], order["created_at"]);
    assert_eq!(order["created_at"], order["updated_at"]);
    // 15 minutes to pay it.
    let minutes = |name: &str| {
        let time = order[name].as_str().unwrap();
        let part = |from: usize| time[from..from + 2].parse::<i64>().unwrap();
        part(11) * 60 + part(14)
    };
    assert_eq!((minutes("expires_at") - minutes("created_at")).rem_euclid(24 * 60), 15);

    assert_eq!((held(&shop, mug.id()).await, held(&shop, bowl.id()).await), ([10, 3, 7], [5, 5, 0]));
    assert_eq!(shop.order(order.id()).await.json, order.json);
    shop.assert_books(&[mug.id(), bowl.id()]);
    // Reservations are no movements.
    assert_eq!(shop.movements(mug.id()).await.len(), 1);
}

#[tokio::test]
async fn lines_of_one_product_are_merged() {
    let shop = Shop::shared().await;
    let (mug, bowl) = (shop.create_stocked("mug", 10).await, shop.create_stocked("bowl", 5).await);
    let order = shop.ordered(&[(mug.id(), 1), (bowl.id(), 1), (mug.id(), 4), (mug.id(), 5)]).await;
    let lines: Vec<_> = order["lines"].as_array().unwrap().iter().collect();
    assert_eq!((lines.len(), &lines[0]["quantity"], &lines[1]["quantity"]), (2, &json!(10), &json!(1)));
    assert_eq!(order["total"], eur(11 * 1850));
    assert_eq!(held(&shop, mug.id()).await, [10, 10, 0]);
    // Together they are more than there is, though none of them is.
    let short = shop.place(&unique_user(), &[(bowl.id(), 2), (bowl.id(), 3)]).send().await;
    let short = short.expect_problem(409, "out_of_stock");
    assert_eq!(
        short["lines"],
        json!([{"product_id": bowl.id(), "requested": 5, "availability": "in_stock"}])
    );
    shop.assert_books(&[mug.id(), bowl.id()]);
}

#[tokio::test]
async fn i03_where_one_line_is_short_nothing_is_reserved_and_each_short_line_is_named() {
    let shop = Shop::shared().await;
    let [plenty, low, none, some] = [
        shop.create_stocked("plenty", 50).await,
        shop.create_stocked("low", 2).await,
        shop.create_stocked("none", 0).await,
        shop.create_stocked("some", 5).await,
    ];
    let all = [(plenty.id(), 50), (low.id(), 3), (none.id(), 1), (some.id(), 6)];
    let key = unique("key");
    let placing = shop.place(&unique_user(), &all).key(&key);
    let refused = placing.clone().send().await.expect_problem(409, "out_of_stock");
    let line = |product: &Answer, requested: i64, availability: &str| json!({"product_id": product.id(), "requested": requested, "availability": availability});
    // The band, not the count.
    let lines = [line(&low, 3, "low_stock"), line(&none, 1, "out_of_stock"), line(&some, 6, "in_stock")];
    assert_eq!(refused["lines"], json!(lines));
    for product in [&plenty, &low, &none, &some] {
        assert_eq!(shop.inventory(product.id()).await["reserved"], 0);
    }
    assert!(shop.orders_with(&[plenty.id()]).is_empty());
    // Refused without effect: the key is free.
    for product in [&low, &none, &some] {
        shop.adjust(product.id(), 1).send().await.expect(201);
    }
    let placed = placing.send().await.expect(201);
    assert!(!placed.is_replayed());
    shop.assert_books(&[plenty.id(), low.id(), none.id(), some.id()]);
}

#[tokio::test]
async fn i12_an_orders_prices_are_those_at_which_it_was_accepted() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("price", 10).await;
    let path = format!("/products/{}", mug.id());
    let with_total = |amount: i64| changed(basket(&[(mug.id(), 2)]), json!({"expected_total": eur(amount)}));
    let order = shop.order_of(&unique_user(), &with_total(3700)).send().await.expect(201);
    let patch = json!({"name": "Another mug", "price": {"amount": 2000}});
    shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
    assert_eq!(shop.order(order.id()).await.json, order.json);

    let changed_price = shop.order_of(&unique_user(), &with_total(3700)).send().await;
    assert_eq!(changed_price.expect_problem(409, "price_changed")["total"], eur(4000));
    assert_eq!(held(&shop, mug.id()).await, [10, 2, 8]);
    shop.order_of(&unique_user(), &with_total(4000)).send().await.expect(201);
    // In another currency it is another price, however alike the number.
    let dollars = json!({"expected_total": {"amount": 4000, "currency": "USD"}});
    let dollars = changed(basket(&[(mug.id(), 2)]), dollars);
    shop.order_of(&unique_user(), &dollars).send().await.expect_problem(409, "price_changed");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i12_a_price_that_changes_while_an_order_is_placed_is_never_mixed_up() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("between", 10).await;
    let placing = changed(basket(&[(mug.id(), 2)]), json!({"expected_total": eur(3700)}));
    let held_back = shop.calls("TransactWriteItems").by("orders-create").about(mug.id()).times(1).hold();
    let placing = shop.order_of(&unique_user(), &placing);
    let (answer, ()) = tokio::join!(placing.send(), async {
        held_back.reached(1).await;
        let patch = json!({"price": {"amount": 2000}});
        let path = format!("/products/{}", mug.id());
        shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
        held_back.release();
    });
    assert_eq!(answer.expect_problem(409, "price_changed")["total"], eur(4000));

    // Who has named no price gets the one that holds.
    let held_back = shop.calls("TransactWriteItems").by("orders-create").about(mug.id()).times(1).hold();
    let placing = shop.place(&unique_user(), &[(mug.id(), 1)]);
    let (answer, ()) = tokio::join!(placing.send(), async {
        held_back.reached(1).await;
        let patch = json!({"price": {"amount": 2100}});
        let path = format!("/products/{}", mug.id());
        shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
        held_back.release();
    });
    match answer.status {
        201 => assert_eq!(answer["total"], eur(2100)),
        _ => drop(answer.expect_problem(409, "price_changed")),
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_cannot_be_bought_is_named_by_its_line() {
    let shop = Shop::shared().await;
    let (mug, archived) = (shop.create_stocked("mug", 10).await, shop.create_stocked("gone", 10).await);
    shop.delete(&format!("/products/{}", archived.id())).staff().if_match("*").send().await.expect(204);
    let unknown = "prod_01jd8x2m9q5w3r7t1v6y4z0abc";
    let items = [(mug.id(), 1), (archived.id(), 1), (unknown, 1)];
    shop.place(&unique_user(), &items).send().await.expect_invalid(&[
        ("/items/1/product_id", "unknown_value"),
        ("/items/2/product_id", "unknown_value"),
    ]);
    let dollars = json!({"price": {"amount": 500, "currency": "USD"}});
    let dollars = shop.create(&changed(new_product("dollars"), dollars)).await;
    let mixed = shop.place(&unique_user(), &[(mug.id(), 1), (dollars.id(), 1)]).send().await;
    let mixed = mixed.expect_problem(422, "validation_failed");
    assert_eq!(mixed["errors"][0]["code"], "mixed_currencies", "{mixed:?}");
    assert_eq!(held(&shop, mug.id()).await, [10, 0, 10]);
    // One that is archived between the look and the order.
    let held_back = shop.calls("TransactWriteItems").by("orders-create").about(mug.id()).times(1).hold();
    let placing = shop.place(&unique_user(), &[(mug.id(), 1)]);
    let (answer, ()) = tokio::join!(placing.send(), async {
        held_back.reached(1).await;
        shop.delete(&format!("/products/{}", mug.id())).staff().if_match("*").send().await.expect(204);
        held_back.release();
    });
    answer.expect_invalid(&[("/items/0/product_id", "unknown_value")]);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn an_order_has_fifty_lines_at_most() {
    let shop = Shop::shared().await;
    let products = join_all((0..51).map(|_| shop.create_stocked("fifty", 2))).await;
    let items: Vec<_> = products.iter().map(|product| (product.id(), 1)).collect();
    let order = shop.ordered(&items[..50]).await;
    assert_eq!((order["lines"].as_array().unwrap().len(), &order["total"]), (50, &eur(50 * 1850)));
    let refused = shop.place(&unique_user(), &items).send().await;
    refused.expect_invalid(&[("/items", "too_many")]);
    // The last of fifty is short: the first is not reserved either.
    shop.adjust(products[49].id(), -1).send().await.expect(201);
    let short = shop.place(&unique_user(), &items[..50]).send().await.expect_problem(409, "out_of_stock");
    assert_eq!(short["lines"].as_array().unwrap().len(), 1);
    let all: Vec<_> = items.iter().map(|(product, _)| *product).collect();
    shop.assert_books(&all);
    // All of them go through: paid, sent out in two parts (a transaction has room for 49), and back.
    shop.pay(&order, VISA).send().await.expect(201);
    let some: Vec<_> =
        items[..25].iter().map(|(product, _)| json!({"product_id": product, "quantity": 1})).collect();
    shop.fulfil(&order, &json!({"lines": some})).send().await.expect(201);
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    assert_eq!(statuses(&shop.order(order.id()).await), ["completed", "paid", "fulfilled"]);
    shop.assert_books(&all);
    let order = shop.ordered(&items[..49]).await;
    shop.cancel(&order).send().await.expect(200);
    shop.assert_books(&all);
}

#[tokio::test]
async fn i12_the_largest_numbers_are_added_up_exactly_or_refused() {
    let shop = Shop::shared().await;
    let dear =
        json!({"price": {"amount": 99_999_999_999_i64, "currency": "EUR"}, "initial_stock": 1_000_000});
    let (one, other) = (changed(new_product("dear"), dear.clone()), changed(new_product("dear"), dear));
    let (one, other) = (shop.create(&one).await, shop.create(&other).await);
    let placing = shop.place(&unique_user(), &[(one.id(), 10_000), (other.id(), 10_000)]);
    let answer = placing.send().await;
    match answer.status {
        201 => assert_eq!(answer["total"], eur(2 * 10_000 * 99_999_999_999)),
        _ => drop(answer.expect_problem(422, "validation_failed")),
    }
    shop.assert_books(&[one.id(), other.id()]);
}

#[tokio::test]
async fn every_invalid_field_of_an_order_is_named() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("invalid", 10).await;
    let good = basket(&[(mug.id(), 1)]);
    let item = |item: Value| json!({"items": [item]});
    let many = vec![json!({"product_id": mug.id(), "quantity": 1}); 51];
    type Faults<'f> = &'f [(&'f str, &'f str)];
    let cases: Vec<(Value, Faults)> = vec![
        (json!({"items": null}), &[("/items", "required")]),
        (json!({"items": 5}), &[("/items", "invalid_type")]),
        (json!({"items": {}}), &[("/items", "invalid_type")]),
        (json!({"items": many}), &[("/items", "too_many")]),
        (json!({"items": ["mug"]}), &[("/items/0", "invalid_type")]),
        (json!({"items": [null]}), &[("/items/0", "invalid_type")]),
        (item(json!({})), &[("/items/0/product_id", "required"), ("/items/0/quantity", "required")]),
        (item(json!({"product_id": mug.id(), "quantity": 0})), &[("/items/0/quantity", "too_small")]),
        (item(json!({"product_id": mug.id(), "quantity": -1})), &[("/items/0/quantity", "too_small")]),
        (item(json!({"product_id": mug.id(), "quantity": 10_001})), &[("/items/0/quantity", "too_large")]),
        (item(json!({"product_id": mug.id(), "quantity": u64::MAX})), &[("/items/0/quantity", "too_large")]),
        (item(json!({"product_id": mug.id(), "quantity": i64::MIN})), &[("/items/0/quantity", "too_small")]),
        (item(json!({"product_id": mug.id(), "quantity": 1.5})), &[("/items/0/quantity", "invalid_type")]),
        (item(json!({"product_id": mug.id(), "quantity": "1"})), &[("/items/0/quantity", "invalid_type")]),
        (item(json!({"product_id": mug.id(), "quantity": null})), &[("/items/0/quantity", "invalid_type")]),
        (item(json!({"product_id": mug.id(), "quantity": true})), &[("/items/0/quantity", "invalid_type")]),
        (item(json!({"product_id": 5, "quantity": 1})), &[("/items/0/product_id", "invalid_type")]),
        (item(json!({"product_id": [mug.id()], "quantity": 1})), &[("/items/0/product_id", "invalid_type")]),
        (
            item(json!({"product_id": mug.id(), "quantity": 1, "unit_price": eur(1)})),
            &[("/items/0/unit_price", "unknown_field")],
        ),
        (json!({"total": eur(1)}), &[("/total", "unknown_field")]),
        (json!({"customer_id": "usr_1"}), &[("/customer_id", "unknown_field")]),
        (json!({"status": "completed"}), &[("/status", "unknown_field")]),
        (json!({"pk": "USER#1"}), &[("/pk", "unknown_field")]),
        (json!({"shipping_address": null}), &[("/shipping_address", "required")]),
        (json!({"shipping_address": "here"}), &[("/shipping_address", "invalid_type")]),
        (json!({"expected_total": 5}), &[("/expected_total", "invalid_type")]),
        (
            json!({"expected_total": {}}),
            &[("/expected_total/amount", "required"), ("/expected_total/currency", "required")],
        ),
        (
            json!({"expected_total": {"amount": "1", "currency": "euro"}}),
            &[("/expected_total/amount", "invalid_type"), ("/expected_total/currency", "unknown_value")],
        ),
    ];
    let send = async |body: &Value| shop.order_of(&unique_user(), body).send().await;
    for (change, expected) in cases {
        send(&changed(good.clone(), change)).await.expect_invalid(expected);
    }
    let empty = send(&changed(good.clone(), json!({"items": []}))).await;
    let empty = empty.expect_problem(422, "validation_failed");
    assert_eq!(empty["errors"][0]["pointer"], "/items", "{empty:?}");
    for id in ["", "x", "mug", "PROD_01jd8x2m9q5w3r7t1v6y4z0abc", "prod_🏺", "ord_01jd8x2m9q5w3r7t1v6y4z0abc"]
    {
        let refused = send(&basket(&[(mug.id(), 1), (id, 1)])).await.expect_problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], "/items/1/product_id", "{refused:?}");
    }
    let long = "x".repeat(201);
    let parts: [(&str, Value, &str); 9] = [
        ("name", json!(""), "too_short"),
        ("name", json!(long), "too_long"),
        ("line1", json!("two\nlines"), "invalid_format"),
        ("line1", json!("nul\u{0}"), "invalid_format"),
        ("city", json!(5), "invalid_type"),
        ("postal_code", json!("x".repeat(21)), "too_long"),
        ("country", json!("Germany"), "invalid_format"),
        ("phone", json!("call me"), "invalid_format"),
        ("planet", json!("Earth"), "unknown_field"),
    ];
    for (field, value, code) in parts {
        let address = changed(address(), json!({field: value}));
        let refused = send(&changed(good.clone(), json!({"shipping_address": address}))).await;
        refused.expect_invalid(&[(&format!("/shipping_address/{field}"), code)]);
    }
    for field in ["name", "line1", "city", "postal_code", "country"] {
        let address = changed(address(), json!({field: null}));
        let refused = send(&changed(good.clone(), json!({"shipping_address": address}))).await;
        refused.expect_invalid(&[(&format!("/shipping_address/{field}"), "required")]);
    }
    let all = json!({"items": [{"quantity": 0}, 7], "shipping_address": {"country": "de"}, "coupon": "FREE"});
    send(&all).await.expect_invalid(&[
        ("/items/0/product_id", "required"),
        ("/items/0/quantity", "too_small"),
        ("/items/1", "invalid_type"),
        ("/shipping_address/name", "required"),
        ("/shipping_address/line1", "required"),
        ("/shipping_address/city", "required"),
        ("/shipping_address/postal_code", "required"),
        ("/shipping_address/country", "invalid_format"),
        ("/coupon", "unknown_field"),
    ]);
    for body in [json!([]), json!("text"), json!(null), json!(5)] {
        send(&body).await.expect_invalid(&[("", "invalid_type")]);
    }
    let raw = |body: &[u8]| shop.order_of(&unique_user(), &good).body("application/json", body);
    for body in [&b""[..], b"{", b"{]", b"[1,]", b"null null", b"items=1"] {
        raw(body).send().await.expect_problem(400, "malformed_json");
    }
    raw(&vec![b' '; 70_000]).send().await.expect_problem(413, "body_too_large");
    let text = shop.order_of(&unique_user(), &good).body("text/plain", good.to_string());
    text.send().await.expect_problem(415, "unsupported_media_type");
    let bare = shop.post("/orders").caller(&unique_user(), CUSTOMER).json(&good).send().await;
    bare.expect_problem(400, "idempotency_key_required");
    assert_eq!(held(&shop, mug.id()).await, [10, 0, 10]);
}

#[tokio::test]
async fn names_and_places_may_be_written_in_any_letters() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("letters", 10).await;
    let address = changed(
        address(),
        json!({"name": "CANARY 田中 さくら", "line1": "東京都渋谷区 🏺 1–2", "city": "Ωmega"}),
    );
    let order = changed(basket(&[(mug.id(), 1)]), json!({"shipping_address": address}));
    let order = shop.order_of(&unique_user(), &order).send().await.expect(201);
    assert_eq!(shop.order(order.id()).await["shipping_address"], address);
}

#[tokio::test]
async fn orders_are_placed_by_persons_and_read_by_whom_they_concern() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("own", 10).await;
    let (alice, bob) = (unique_user(), unique_user());
    let order = shop.place(&alice, &[(mug.id(), 1)]).send().await.expect(201);
    let path = format!("/orders/{}", order.id());
    shop.get(&path).caller(&alice, "orders:own").send().await.expect(200);
    shop.get(&path).caller(&bob, "orders:read").send().await.expect(200);
    // Another's is none, however good the scope, and whatever is done to it.
    for scope in ["orders:own", CUSTOMER] {
        shop.get(&path).caller(&bob, scope).send().await.expect_problem(404, "not_found");
        for (what, body) in [("cancel", json!({})), ("payments", json!({"payment_method": VISA}))] {
            let request =
                shop.post(&format!("{path}/{what}")).caller(&bob, scope).key(&unique("key")).json(&body);
            match (scope, what) {
                ("orders:own", "payments") => request.send().await.expect_problem(403, "insufficient_scope"),
                _ => request.send().await.expect_problem(404, "not_found"),
            };
        }
    }
    shop.pay(&order, VISA).caller(&bob, CUSTOMER).send().await.expect_problem(404, "not_found");
    // The staff may cancel it, but not pay it.
    shop.pay(&order, VISA).caller(&bob, STAFF).send().await.expect_problem(403, "insufficient_scope");
    for id in [NOBODYS, "ord_1", "x", mug.id(), &order.id()[..30], &order.id().to_uppercase()] {
        shop.get(&format!("/orders/{id}")).staff().send().await.expect_problem(404, "not_found");
        shop.get(&format!("/orders/{id}"))
            .caller(&alice, CUSTOMER)
            .send()
            .await
            .expect_problem(404, "not_found");
        let cancel = shop.post(&format!("/orders/{id}/cancel")).caller(&alice, CUSTOMER).key(&unique("key"));
        cancel.send().await.expect_problem(404, "not_found");
        let pay = shop.post(&format!("/orders/{id}/payments")).caller(&alice, CUSTOMER).key(&unique("key"));
        pay.json(&json!({"payment_method": VISA})).send().await.expect_problem(404, "not_found");
        for what in ["capture", "refunds", "fulfilments"] {
            let serve =
                shop.post(&format!("/orders/{id}/{what}")).staff().key(&unique("key")).json(&json!({}));
            serve.send().await.expect_problem(404, "not_found");
        }
    }
    // One's own part of the id does not make another's order one's own.
    let forged = format!("{}{}", &order.id()[..30], bob.trim_start_matches("usr_"));
    shop.get(&format!("/orders/{forged}"))
        .caller(&bob, CUSTOMER)
        .send()
        .await
        .expect_problem(404, "not_found");
    assert_eq!(shop.order(order.id()).await.json, order.json);
    assert_eq!(shop.provider_intents(order.id()), Vec::<Value>::new());
}

#[tokio::test]
async fn an_order_that_has_not_changed_is_304() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("etag", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let buyer = order["customer_id"].as_str().unwrap();
    let read = || shop.get(&format!("/orders/{}", order.id())).caller(buyer, CUSTOMER);
    let first = read().send().await.expect(200);
    assert_eq!((first.etag(), first.header("cache-control")), (order.etag(), "private, no-store"));
    let same = read().if_none_match(first.etag()).send().await.expect(304);
    assert_eq!((same.etag(), &*same.text), (first.etag(), ""));
    shop.pay(&order, VISA).send().await.expect(201);
    let second = read().if_none_match(first.etag()).send().await.expect(200);
    assert_ne!(second.etag(), first.etag());
    read().if_none_match(second.etag()).send().await.expect(304);
}

fn own(shop: &Shop, buyer: &str) -> Request {
    shop.get("/orders").caller(buyer, CUSTOMER)
}

fn as_staff(shop: &Shop, buyer: &str) -> Request {
    shop.get("/orders").scoped("orders:read").query("customer_id", buyer)
}

#[tokio::test]
async fn i16_a_walk_gives_every_order_exactly_once_the_newest_first() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("walk", 100).await;
    let buyer = unique_user();
    let mut placed = Vec::new();
    for number in 0..9 {
        let order = shop.place(&buyer, &[(mug.id(), 1)]).send().await.expect(201);
        match number % 3 {
            0 => drop(shop.cancel(&order).send().await.expect(200)),
            1 => drop(shop.pay(&order, VISA).send().await.expect(201)),
            _ => {}
        }
        placed.push(order.id().to_owned());
    }
    placed.reverse();
    for list in [own(&shop, &buyer), as_staff(&shop, &buyer), own(&shop, &buyer).query("customer_id", &buyer)]
    {
        for limit in [1, 4, 9, 10, 100] {
            assert_eq!(ids(&shop.walk(list.clone().query("limit", limit)).await), placed, "{limit}");
        }
        for (status, count) in [("open", 6), ("cancelled", 3), ("completed", 0), ("expired", 0)] {
            let of_status = shop.walk(list.clone().query("status", status).query("limit", 2)).await;
            assert_eq!(of_status.len(), count, "{status}");
            assert!(of_status.iter().all(|order| order["status"] == status));
        }
    }
    // What a list shows of an order is the order.
    let listed = own(&shop, &buyer).query("limit", 1).send().await.expect(200);
    assert_eq!(listed.items()[0], shop.order(&placed[0]).await.json);
    let further = own(&shop, &buyer).query("limit", 4).send().await.expect(200);
    let page = shop.get(next(&further)).caller(&buyer, CUSTOMER).send().await.expect(200);
    assert_eq!(ids(page.items()), placed[4..8]);

    // The staff sees everybody's.
    let everybody = shop.walk(shop.get("/orders").scoped("orders:read").query("limit", 100)).await;
    let everybody = ids(&everybody);
    assert!(everybody.is_sorted_by(|newer, older| newer > older));
    let mine: Vec<_> = everybody.iter().filter(|id| placed.contains(id)).cloned().collect();
    assert_eq!(mine, placed);
    let open = shop
        .walk(shop.get("/orders").scoped("orders:read").query("status", "open").query("limit", 100))
        .await;
    assert!(open.iter().all(|order| order["status"] == "open"));
    // As where items are large: DynamoDB ends a page before it is full.
    let early = shop.calls("Query").by("orders-list").about(buyer.trim_start_matches("usr_"));
    let early = early.rewrite(|query| query["Limit"] = json!(2));
    assert_eq!(ids(&shop.walk(own(&shop, &buyer).query("limit", 20)).await), placed);
    assert!(early.hits() > 3);
}

#[tokio::test]
async fn i16_a_cursor_belongs_to_its_list() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("cursor", 100).await;
    let (alice, bob) = (unique_user(), unique_user());
    for buyer in [&alice, &alice, &alice, &bob, &bob] {
        shop.place(buyer, &[(mug.id(), 1)]).send().await.expect(201);
    }
    let page = own(&shop, &alice).query("limit", 1).send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap().to_owned();
    own(&shop, &alice).query("cursor", &cursor).query("limit", 50).send().await.expect(200);
    for other in [own(&shop, &alice).query("status", "open"), as_staff(&shop, &alice).query("status", "open")]
    {
        other.query("cursor", &cursor).send().await.expect_problem(400, "invalid_cursor");
    }
    // It is good for one customer's orders, and one that is forged leads to no others.
    own(&shop, &bob).query("cursor", &cursor).send().await.expect_problem(400, "invalid_cursor");
    let place = |position: &str, whose: &str| {
        let query = json!({"customer_id": whose, "status": null});
        shared::http::cursor::encode(&json!(position), &query).unwrap()
    };
    let of_alice = page.items()[0]["id"].as_str().unwrap();
    let forged = own(&shop, &bob).query("cursor", place(of_alice, &bob)).send().await;
    forged.expect_problem(400, "invalid_cursor");
    let forged = own(&shop, &bob).query("cursor", place(of_alice, &alice)).send().await;
    forged.expect_problem(400, "invalid_cursor");
    for position in [NOBODYS, "ord_1", "USER#1"] {
        let forged = own(&shop, &alice).query("cursor", place(position, &alice)).send().await;
        forged.expect_problem(400, "invalid_cursor");
    }
    for damaged in ["", "x", "null", &cursor[1..], &format!("{cursor}A"), &"A".repeat(5_000)] {
        own(&shop, &alice).query("cursor", damaged).send().await.expect_problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn lists_are_asked_for_in_known_words() {
    let shop = Shop::shared().await;
    let (alice, bob) = (unique_user(), unique_user());
    assert!(own(&shop, &alice).send().await.expect(200).items().is_empty());
    let cases = [
        ("status", "paid", "/status", "unknown_value"),
        ("status", "", "/status", "unknown_value"),
        ("limit", "0", "/limit", "too_small"),
        ("limit", "101", "/limit", "too_large"),
        ("limit", "x", "/limit", "invalid_type"),
        ("payment_status", "paid", "/payment_status", "unknown_parameter"),
        ("sort", "newest", "/sort", "unknown_parameter"),
    ];
    for (name, value, pointer, code) in cases {
        own(&shop, &alice).query(name, value).send().await.expect_invalid(&[(pointer, code)]);
    }
    own(&shop, &alice).query("customer_id", &bob).send().await.expect_problem(403, "insufficient_scope");
    let unknown = as_staff(&shop, "nobody").send().await;
    unknown.expect_invalid(&[("/customer_id", "invalid_format")]);
}

#[tokio::test]
async fn an_unpaid_order_is_cancelled_by_its_customer_or_the_staff() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("cancel", 10).await;
    for by_staff in [false, true] {
        let order = shop.ordered(&[(mug.id(), 4)]).await;
        let cancel =
            if by_staff { shop.serve(&order, "cancel") } else { shop.cancel(&order).json(&json!({})) };
        let cancelled = cancel.clone().send().await.expect(200);
        assert_eq!(cancelled["status"], "cancelled");
        assert!(cancelled["expires_at"].is_null(), "{cancelled:?}");
        assert_eq!(shop.order(order.id()).await.json, cancelled.json);
        assert_eq!(held(&shop, mug.id()).await, [10, 0, 10]);
        assert!(cancel.send().await.expect(200).is_replayed());
        // With another key it is asked for again, and has been done.
        shop.cancel(&order).send().await.expect_problem(409, "not_cancellable");
        shop.pay(&order, VISA).send().await.expect_problem(409, "not_payable");
        shop.fulfil(&order, &json!({})).send().await.expect_problem(409, "not_fulfillable");
        shop.capture(&order, None).send().await.expect_problem(409, "not_capturable");
        shop.refund(&order, &json!({})).send().await.expect_problem(409, "not_refundable");
        assert_eq!(shop.order(order.id()).await.json, cancelled.json);
    }
    let order = shop.ordered(&[(mug.id(), 4)]).await;
    shop.cancel(&order)
        .json(&json!({"reason": "x"}))
        .send()
        .await
        .expect_invalid(&[("/reason", "unknown_field")]);
    shop.cancel(&order).body("application/json", "{").send().await.expect_problem(400, "malformed_json");
    let bare = shop
        .post(&format!("/orders/{}/cancel", order.id()))
        .caller(order["customer_id"].as_str().unwrap(), CUSTOMER);
    bare.send().await.expect_problem(400, "idempotency_key_required");
    assert_eq!(statuses(&shop.order(order.id()).await), ["open", "unpaid", "unfulfilled"]);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn cancelling_gives_back_what_was_paid_before_it_gives_back_the_stock() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("cancel-paid", 10).await;
    let paid = shop.paid(&[(mug.id(), 3)]).await;
    let cancelled = shop.cancel(&paid).send().await.expect(200);
    assert_eq!(statuses(&cancelled), ["cancelled", "refunded", "unfulfilled"]);
    assert_eq!(cancelled["refunds"][0]["amount"], eur(3 * 1850));
    let authorized = shop.authorized(&[(mug.id(), 3)]).await;
    let cancelled = shop.cancel(&authorized).send().await.expect(200);
    assert_eq!(statuses(&cancelled), ["cancelled", "voided", "unfulfilled"]);
    assert_eq!(shop.provider_intents(authorized.id())[0]["status"], "canceled");
    // While a payment is in doubt, Stripe is asked.
    let doubtful = shop.ordered(&[(mug.id(), 3)]).await;
    shop.pay(&doubtful, ERROR_500).send().await.expect(202);
    shop.cancel(&doubtful).send().await.expect(200);
    assert_eq!(shop.settle(doubtful.id()).await["status"], "cancelled");
    assert_eq!(held(&shop, mug.id()).await, [10, 0, 10]);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_was_shipped_is_not_cancelled() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("shipped", 10).await;
    let order = shop.paid(&[(mug.id(), 3)]).await;
    let one = json!({"lines": [{"product_id": mug.id(), "quantity": 1}]});
    shop.fulfil(&order, &one).send().await.expect(201);
    shop.cancel(&order).send().await.expect_problem(409, "not_cancellable");
    shop.serve(&order, "cancel").send().await.expect_problem(409, "not_cancellable");
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    shop.cancel(&order).send().await.expect_problem(409, "not_cancellable");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_paid_order_is_sent_out_whole_or_in_parts() {
    let shop = Shop::shared().await;
    let (mug, bowl) = (shop.create_stocked("mug", 10).await, shop.create_stocked("bowl", 10).await);
    let order = shop.paid(&[(mug.id(), 3), (bowl.id(), 2)]).await;
    let tracking = json!({"carrier": "DHL", "number": "JD014600003"});
    let part = json!({"lines": [{"product_id": mug.id(), "quantity": 2}], "tracking": tracking});
    let sending = shop.fulfil(&order, &part);
    let sent = sending.clone().send().await.expect(201);
    assert_eq!((&sent["lines"], &sent["tracking"]), (&part["lines"], &tracking));
    assert!(sending.send().await.expect(201).is_replayed());
    let partly = shop.order(order.id()).await;
    assert_eq!(statuses(&partly), ["open", "paid", "partially_fulfilled"]);
    assert_eq!((&partly["lines"][0]["fulfilled"], &partly["fulfilments"]), (&json!(2), &json!([sent.json])));
    assert_eq!(held(&shop, mug.id()).await, [8, 1, 7]);
    let shipped = shop.movements(mug.id()).await.remove(0);
    assert_eq!((&shipped["reason"], &shipped["delta"]), (&json!("shipped"), &json!(-2)));
    assert_eq!(shipped["order_id"], order.id());

    let rest = shop.fulfil(&order, &json!({})).send().await.expect(201);
    let left = json!([{"product_id": mug.id(), "quantity": 1}, {"product_id": bowl.id(), "quantity": 2}]);
    assert_eq!((&rest["lines"], &rest["tracking"]), (&left, &Value::Null));
    let completed = shop.order(order.id()).await;
    assert_eq!(statuses(&completed), ["completed", "paid", "fulfilled"]);
    assert_eq!(timeline(&completed.json)["fulfilled"], 2);
    assert_eq!(timeline(&completed.json)["completed"], 1);
    shop.fulfil(&order, &json!({})).send().await.expect_problem(409, "not_fulfillable");
    shop.assert_books(&[mug.id(), bowl.id()]);
}

#[tokio::test]
async fn only_what_is_paid_or_authorized_and_left_is_sent_out() {
    let shop = Shop::shared().await;
    let (mug, bowl) = (shop.create_stocked("mug", 20).await, shop.create_stocked("bowl", 10).await);
    let unpaid = shop.ordered(&[(mug.id(), 3)]).await;
    shop.fulfil(&unpaid, &json!({})).send().await.expect_problem(409, "not_fulfillable");
    shop.pay(&unpaid, ERROR_500).send().await.expect(202);
    shop.fulfil(&unpaid, &json!({})).send().await.expect_problem(409, "not_fulfillable");
    let authorized = shop.authorized(&[(mug.id(), 3)]).await;
    shop.fulfil(&authorized, &json!({})).send().await.expect(201);

    let order = shop.paid(&[(mug.id(), 3)]).await;
    let lines = |lines: Value| json!({"lines": lines});
    let line = |product: &str, quantity: Value| json!({"product_id": product, "quantity": quantity});
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({"lines": 5}), "/lines", "invalid_type"),
        (lines(json!([5])), "/lines/0", "invalid_type"),
        (lines(json!([line(mug.id(), json!(0))])), "/lines/0/quantity", "too_small"),
        (lines(json!([line(mug.id(), json!(-1))])), "/lines/0/quantity", "too_small"),
        (lines(json!([line(mug.id(), json!(4))])), "/lines/0/quantity", "too_large"),
        (lines(json!([line(mug.id(), json!("1"))])), "/lines/0/quantity", "invalid_type"),
        (lines(json!([line(bowl.id(), json!(1))])), "/lines/0/product_id", "unknown_value"),
        (lines(json!([{"quantity": 1}])), "/lines/0/product_id", "required"),
        (json!({"tracking": 5}), "/tracking", "invalid_type"),
        (json!({"tracking": {"carrier": "DHL"}}), "/tracking/number", "required"),
        (json!({"tracking": {"number": "1"}}), "/tracking/carrier", "required"),
        (json!({"tracking": {"carrier": "", "number": "1"}}), "/tracking/carrier", "too_short"),
        (json!({"tracking": {"carrier": "DHL", "number": "1\n2"}}), "/tracking/number", "invalid_format"),
        (
            json!({"tracking": {"carrier": "DHL", "number": "1", "url": "x"}}),
            "/tracking/url",
            "unknown_field",
        ),
        (json!({"status": "fulfilled"}), "/status", "unknown_field"),
    ];
    for (body, pointer, code) in cases {
        shop.fulfil(&order, &body).send().await.expect_invalid(&[(pointer, code)]);
    }
    // Together they are more than is left.
    let twice = lines(json!([line(mug.id(), json!(2)), line(mug.id(), json!(2))]));
    shop.fulfil(&order, &twice).send().await.expect_problem(422, "validation_failed");
    assert_eq!(statuses(&shop.order(order.id()).await), ["open", "paid", "unfulfilled"]);
    // Without a body, all of it.
    shop.serve(&order, "fulfilments").send().await.expect(201);
    shop.settle(unpaid.id()).await;
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn who_has_an_open_order_keeps_the_account_and_who_leaves_takes_the_address_along() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("leaving", 10).await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let leave = || {
        let erase = shop.post("/users/me/delete").json(&json!({"password": person.password}));
        erase.bearer(&session.access_token).from(&person.address)
    };
    let done = shop.place(&session.user, &[(mug.id(), 1)]).send().await.expect(201);
    shop.pay(&done, VISA).send().await.expect(201);
    shop.fulfil(&done, &json!({})).send().await.expect(201);
    let open = shop.place(&session.user, &[(mug.id(), 1)]).send().await.expect(201);
    leave().send().await.expect_problem(409, "order_open");
    shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    shop.cancel(&open).send().await.expect(200);
    leave().send().await.expect(204);

    let orders = shop.orders_with(&[mug.id()]);
    assert_eq!(orders.len(), 2);
    let kept = json!(orders).to_string();
    for personal in ["CANARY", "5550199", "10969"] {
        assert!(!kept.contains(personal), "{personal} is kept: {kept}");
    }
    // The books are kept.
    let order = shop.order(done.id()).await;
    assert_eq!((&order["total"], timeline(&order.json)["erased"]), (&eur(1850), 1));
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i23_no_address_of_an_order_stands_anywhere_but_in_the_order() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("addresses", 10).await;
    let order = shop.paid(&[(mug.id(), 1)]).await;
    let told: BTreeSet<_> = shop.items(PRODUCTS).iter().map(Value::to_string).collect();
    assert!(told.iter().all(|item| !item.contains("Lane 7")));
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    shop.log().assert_clean();
}

#[tokio::test]
async fn i06_the_same_order_under_the_same_key_of_two_customers_is_two_orders() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("callers", 10).await;
    let (alice, bob, key) = (unique_user(), unique_user(), unique("key"));
    let place = |buyer: &str| shop.place(buyer, &[(mug.id(), 2)]).key(&key);
    let (first, second) = (place(&alice).send().await.expect(201), place(&bob).send().await.expect(201));
    assert!(!second.is_replayed() && first.id() != second.id());
    assert_replays(&first, &place(&alice).send().await);
    assert_replays(&second, &place(&bob).send().await);
    // Another payload under it, however little differs, has no effect.
    for other in [
        shop.place(&alice, &[(mug.id(), 3)]),
        shop.place(&alice, &[(mug.id(), 2), (mug.id(), 1)]),
        shop.order_of(&alice, &changed(basket(&[(mug.id(), 2)]), json!({"expected_total": eur(3700)}))),
        shop.order_of(
            &alice,
            &changed(
                basket(&[(mug.id(), 2)]),
                json!({"shipping_address": changed(address(), json!({"name": "CANARY Jane"}))}),
            ),
        ),
    ] {
        other.key(&key).send().await.expect_problem(422, "idempotency_key_reused");
    }
    assert_eq!(held(&shop, mug.id()).await, [10, 4, 6]);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_with_a_request_about_an_order_decides() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("first", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let buyer = order["customer_id"].as_str().unwrap();
    let garbage = |request: Request| request.body("text/plain", vec![b'{'; 70_000]);
    for what in ["payments", "capture", "refunds", "fulfilments"] {
        let post = |id: &str| shop.post(&format!("/orders/{id}/{what}"));
        let by = |request: Request| match what {
            "payments" => request.caller(buyer, CUSTOMER),
            _ => request.staff(),
        };
        // Who is calling, before all else; then what it is about; then the key; then the body as such.
        garbage(post("x")).send().await.expect_problem(401, "token_required");
        garbage(post("x")).bearer("x").send().await.expect_problem(401, "invalid_token");
        garbage(post("x")).scoped("profile:read").send().await.expect_problem(403, "insufficient_scope");
        garbage(by(post("x"))).send().await.expect_problem(404, "not_found");
        garbage(by(post(order.id()))).send().await.expect_problem(400, "idempotency_key_required");
        let keyed = || by(post(order.id())).key(&unique("key"));
        garbage(keyed()).send().await.expect_problem(415, "unsupported_media_type");
        keyed()
            .body("application/json", vec![b'{'; 70_000])
            .send()
            .await
            .expect_problem(413, "body_too_large");
        keyed().body("application/json", "{").send().await.expect_problem(400, "malformed_json");
        // What is asked for, before whether it is there.
        let invalid = by(post(NOBODYS)).key(&unique("key")).json(&json!({"unknown": 1})).send().await;
        invalid.expect_problem(422, "validation_failed");
        for key in ["", "two words", "schl\u{fc}ssel", &"k".repeat(256)] {
            by(post(order.id()))
                .key(key)
                .json(&json!({}))
                .send()
                .await
                .expect_problem(400, "invalid_idempotency_key");
        }
    }
    assert_eq!(shop.order(order.id()).await.json, order.json);
}
