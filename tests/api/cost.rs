//! What each operation costs, held exactly: its calls of DynamoDB, one after the other, and their capacity. A number
//! that rises here needs its reason in the commit.

use futures_util::future::join_all;
use serde_json::json;

use crate::shop::{
    Answer, Request, Shop, changed, new_product,
    proxy::Capacity::{self, Read, Write},
    unique,
};

/// Every call that the function makes for one request; nothing else asks it for anything meanwhile.
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
    // SKU, entry, stock, opening movement and record, 1 KB each at most, for the double; six indexes for the single.
    assert_eq!(cost, calls([("TransactWriteItems", Some(Write(16.0)))]));

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
    assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(8.0)))]));
    // The price moves it in two of the six, and is copied to the stock.
    let (answer, cost) = cost_of(&shop, "products-update", patch(json!({"price": {"amount": 5}}))).await;
    answer.expect(200);
    assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(12.0)))]));
    let stale = shop.patch(&path).staff().if_match("\"1\"").json(&json!({"name": "x"}));
    let (answer, cost) = cost_of(&shop, "products-update", stale).await;
    answer.expect(412);
    assert_eq!(cost, calls([("Query", Some(Read(1.0)))]));
}

#[tokio::test]
async fn archiving_a_product_costs_a_read_and_a_transaction() {
    let (shop, _alone) = Shop::alone().await;
    for _ in 0..2 {
        let product = shop.create(&new_product("cost")).await;
        let request = shop.delete(&format!("/products/{}", product.id())).staff().if_match("*");
        let (answer, cost) = cost_of(&shop, "products-archive", request).await;
        answer.expect(204);
        if shop.log().lines(|line| line.program == "products-archive").len() > 1 {
            assert_eq!(cost, calls([("Query", Some(Read(1.0))), ("TransactWriteItems", Some(Write(16.0)))]));
        }
    }
}

#[tokio::test]
async fn adjusting_inventory_costs_one_transaction() {
    let (shop, _alone) = Shop::alone().await;
    let product = shop.create_stocked("cost", 10).await;
    shop.adjust(product.id(), 1).send().await.expect(201);
    // Stock, movement and record, 1 KB each at most, in a transaction for the double.
    let request = shop.adjust(product.id(), -1);
    let (answer, cost) = cost_of(&shop, "inventory-adjust", request.clone()).await;
    answer.expect(201);
    assert_eq!(cost, calls([("TransactWriteItems", Some(Write(6.0)))]));
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
