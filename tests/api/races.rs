use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::json;

use crate::shop::{Answer, Shop, changed, new_product, unique};

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn i01_stock_never_goes_below_nothing_under_64_writers() {
    let shop = Shop::with(&[
        ("inventory-adjust", 8),
        ("inventory-get", 2),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create_stocked("writers", 20).await;
    let ended = AtomicBool::new(false);
    let watcher = async {
        let mut looks = 0;
        while !ended.load(Ordering::Relaxed) {
            let inventory = shop.inventory(product.id()).await;
            let [on_hand, reserved, available] =
                ["on_hand", "reserved", "available"].map(|field| inventory[field].as_i64().unwrap());
            assert!(available >= 0 && reserved >= 0 && available + reserved == on_hand, "{inventory:?}");
            looks += 1;
        }
        looks
    };
    let writers = async {
        let answers = join_all((0..64).map(|_| shop.adjust(product.id(), -1).send())).await;
        ended.store(true, Ordering::Relaxed);
        answers
    };
    let (looks, answers) = tokio::join!(watcher, writers);
    assert!(looks > 0);
    assert_eq!((count(&answers, 201), count(&answers, 409)), (20, 44), "{answers:#?}");
    let refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.into_iter().all(|answer| answer["available"] == 0), "{answers:#?}");
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 0);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i01_books_balance_after_writers_who_add_and_take() {
    let shop = Shop::with(&[
        ("inventory-adjust", 8),
        ("inventory-get", 2),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create_stocked("books", 0).await;
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let deltas: Vec<i64> = (0..64).map(|n| if n % 3 == 0 { 5 } else { -3 }).collect();
    let writers = join_all(deltas.iter().map(|delta| shop.adjust(product.id(), *delta).send()));
    let (answers, ()) = tokio::join!(writers, async {
        // Every instance is in the middle of a write when the first goes through.
        start.reached(8).await;
        start.release();
    });
    let moved: i64 =
        deltas.iter().zip(&answers).filter(|(_, answer)| answer.status == 201).map(|(delta, _)| delta).sum();
    assert!(answers.iter().all(|answer| [201, 409].contains(&answer.status)), "{answers:#?}");
    assert_eq!(shop.inventory(product.id()).await["on_hand"], moved);
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn i13_of_writers_with_one_etag_one_wins() {
    let shop = Shop::with(&[
        ("products-update", 6),
        ("products-archive", 2),
        ("products-get", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create(&new_product("etag")).await;
    let path = format!("/products/{}", product.id());
    // All of them have read the version before the first writes.
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let patches = (0..6).map(|n| {
        let patch = json!({"name": format!("Mug {n}"), "price": {"amount": 100 + n}});
        shop.patch(&path).staff().if_match(product.etag()).json(&patch)
    });
    let deletes = (0..2).map(|_| shop.delete(&path).staff().if_match(product.etag()));
    let writers = join_all(patches.chain(deletes).map(|request| request.send()));
    let (answers, ()) = tokio::join!(writers, async {
        start.reached(8).await;
        start.release();
    });
    assert_eq!(count(&answers, 200) + count(&answers, 204), 1, "{answers:#?}");
    assert_eq!(count(&answers, 412), 7, "{answers:#?}");
    let read = shop.product(product.id()).await;
    assert!(read.etag().starts_with("\"2-"));
    match answers.iter().find(|answer| answer.status == 200) {
        Some(winner) => assert_eq!(read.json, winner.json),
        None => assert_eq!(read["status"], "archived"),
    }
}

#[tokio::test]
async fn i13_no_update_is_lost_among_writers_who_read_again() {
    let shop = Shop::with(&[("products-update", 4), ("products-get", 2), ("products-create", 1)]).await;
    let product = shop.create(&changed(new_product("lost-update"), json!({"attributes": {}}))).await;
    let path = format!("/products/{}", product.id());
    let writer = async |n: usize| {
        loop {
            let read = shop.product(product.id()).await;
            let counted = read["price"]["amount"].as_i64().unwrap() + 1;
            let patch =
                json!({"price": {"amount": counted}, "attributes": {format!("writer-{n}"): "was here"}});
            let answer = shop.patch(&path).staff().if_match(read.etag()).json(&patch).send().await;
            match answer.status {
                200 => return,
                _ => drop(answer.expect_problem(412, "stale_version")),
            }
        }
    };
    join_all((0..12).map(writer)).await;
    let read = shop.product(product.id()).await;
    assert_eq!(read["price"]["amount"], 1850 + 12);
    assert_eq!(read["attributes"].as_object().unwrap().len(), 12);
    assert_eq!(read.etag(), r#""13-in_stock""#);
}

#[tokio::test]
async fn of_products_with_one_sku_one_is_created() {
    let shop = Shop::with(&[("products-create", 8), ("products-list", 1)]).await;
    let new = new_product("one-sku");
    let start = shop.calls("TransactWriteItems").about(new["sku"].as_str().unwrap()).hold();
    let writers = join_all((0..8).map(|n| {
        let new = changed(new.clone(), json!({"name": format!("Mug {n}")}));
        shop.post("/products").staff().key(&unique("key")).json(&new).send()
    }));
    let (answers, ()) = tokio::join!(writers, async {
        start.reached(8).await;
        start.release();
    });
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 7), "{answers:#?}");
    let listed = shop.get("/products").query("category", new["category"].as_str().unwrap()).send().await;
    assert_eq!(listed.expect(200).items().len(), 1);
}

#[tokio::test]
async fn a_new_price_and_a_delivery_at_once_both_count() {
    let shop = Shop::with(&[
        ("products-update", 2),
        ("inventory-adjust", 2),
        ("products-get", 1),
        ("inventory-get", 1),
        ("inventory-movements", 1),
        ("products-create", 1),
    ])
    .await;
    let product = shop.create_stocked("both", 1).await;
    let start = shop.calls("TransactWriteItems").about(product.id()).hold();
    let patch = json!({"price": {"amount": 7}, "low_stock_threshold": 50});
    let patched =
        shop.patch(&format!("/products/{}", product.id())).staff().if_match("*").json(&patch).send();
    let adjusted = shop.adjust(product.id(), 41).send();
    let (patched, adjusted, ()) = tokio::join!(patched, adjusted, async {
        start.reached(2).await;
        start.release();
    });
    patched.expect(200);
    adjusted.expect(201);
    let inventory = shop.inventory(product.id()).await;
    assert_eq!((&inventory["on_hand"], &inventory["low_stock_threshold"]), (&json!(42), &json!(50)));
    let read = shop.product(product.id()).await;
    assert_eq!((&read["price"]["amount"], &read["availability"]), (&json!(7), &json!("low_stock")));
    shop.assert_books_balance(product.id()).await;
}

#[tokio::test]
async fn a_writer_who_meets_another_is_tried_again_and_gets_through() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("meets", 5).await;
    let path = format!("/products/{}", product.id());
    let met = |times| {
        shop.calls("TransactWriteItems")
            .about(product.id())
            .times(times)
            .answer_with(crate::shop::proxy::Refusal::conflict())
    };
    let conflicts = met(2);
    shop.adjust(product.id(), 1).send().await.expect(201);
    assert_eq!(conflicts.hits(), 2);
    drop(conflicts);
    let conflicts = met(2);
    shop.patch(&path).staff().if_match("*").json(&json!({"name": "Mug"})).send().await.expect(200);
    assert_eq!(conflicts.hits(), 2);
    drop(conflicts);
    let conflicts = met(2);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);
    assert_eq!(conflicts.hits(), 2);
}
