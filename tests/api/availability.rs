use serde_json::{Value, json};

use crate::shop::{Options, PRODUCTS, Shop, eventually, new_product, proxy::Refusal};

/// Returns a product's availability in lists.
async fn listed(shop: &Shop, id: &str) -> Option<String> {
    let page = shop.get("/products").query("limit", 100).send().await.expect(200);
    let item = page.items().iter().find(|item| item["id"] == id)?;
    Some(item["availability"].as_str().unwrap().to_owned())
}

async fn becomes(shop: &Shop, id: &str, availability: &str) {
    let shown = async || listed(shop, id).await.filter(|shown| shown == availability);
    eventually("lists to show it", shown).await;
}

/// Makes the stream record of a stock change from `before` to `after`, with a version.
fn change(stock: &Value, version: i64, before: i64, after: i64) -> Value {
    let image = |pieces: i64, version: i64| {
        let mut image = stock.clone();
        for (name, value) in [("on_hand", pieces), ("available", pieces), ("version", version)] {
            image[name] = json!({"N": value.to_string()});
        }
        image
    };
    json!({
        "eventID": format!("event-{version}"),
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/ProductsTable/stream/2025-01-01T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_763_888_400.0,
            "Keys": {"pk": stock["pk"], "sk": stock["sk"]},
            "OldImage": image(before, version - 1),
            "NewImage": image(after, version),
            "SequenceNumber": format!("{version:021}"),
            "SizeBytes": 500,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}

/// Delivers a batch like Lambda. Returns the sequence numbers to deliver again.
async fn deliver(shop: &Shop, records: &[Value]) -> Vec<String> {
    let answer = shop.invoke("products-availability", &json!({"Records": records})).await;
    let failures = answer["batchItemFailures"].as_array().unwrap_or_else(|| panic!("{answer}"));
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// Starts a shop whose stream only the test delivers. Returns it with a product of ten pieces and its stock item.
async fn by_hand() -> (Shop, String, Value) {
    let shop = Shop::start(Options { without_streams: true, ..Options::default() }).await;
    let product = shop.create(&new_product("by-hand")).await;
    let stock = shop.item(PRODUCTS, &format!("PRODUCT#{}", product.id()), "ENTRY#STOCK");
    (shop, product.id().to_owned(), stock)
}

#[tokio::test]
async fn lists_and_their_filter_follow_the_stock() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("follow", 5).await;
    let category = product["category"].as_str().unwrap();
    let list = |in_stock: bool| shop.get("/products").query("category", category).query("in_stock", in_stock);
    for (delta, availability) in [(-2, "low_stock"), (-3, "out_of_stock"), (1, "low_stock"), (9, "in_stock")]
    {
        shop.adjust(product.id(), delta).send().await.expect(201);
        let shown = async || {
            let there = list(true).send().await.expect(200);
            let gone = list(false).send().await.expect(200);
            let (one, none) = if availability == "out_of_stock" { (gone, there) } else { (there, gone) };
            (none.items().is_empty() && one.items().iter().any(|item| item["availability"] == availability))
                .then_some(())
        };
        eventually("lists to show it", shown).await;
    }
}

#[tokio::test]
async fn a_new_threshold_moves_the_band_in_lists() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("band", 10).await;
    let path = format!("/products/{}", product.id());
    shop.patch(&path)
        .staff()
        .if_match("*")
        .json(&json!({"low_stock_threshold": 10}))
        .send()
        .await
        .expect(200);
    let category = product["category"].as_str().unwrap();
    let shown = async || {
        let page = shop.get("/products").query("category", category).send().await.expect(200);
        (page.items()[0]["availability"] == "low_stock").then_some(())
    };
    eventually("lists to show it", shown).await;
}

#[tokio::test]
async fn the_band_of_a_list_is_no_change_of_the_product() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("no-change", 5).await;
    shop.adjust(product.id(), -5).send().await.expect(201);
    let category = product["category"].as_str().unwrap();
    let shown = async || {
        let page = shop.get("/products").query("category", category).send().await.expect(200);
        (page.items()[0]["availability"] == "out_of_stock").then(|| page.items()[0].clone())
    };
    let item = eventually("lists to show it", shown).await;
    assert_eq!(item["updated_at"], product["updated_at"]);
    let path = format!("/products/{}", product.id());
    let patch = json!({"name": "Mug"});
    let patched = shop.patch(&path).staff().if_match(product.etag()).json(&patch).send().await.expect(200);
    assert_eq!(patched.etag(), r#""2-out_of_stock""#);
}

#[tokio::test]
async fn i14_duplicates_and_late_records_never_put_an_old_band_over_a_newer() {
    let (shop, id, stock) = by_hand().await;
    let (gone, back, low) = (change(&stock, 2, 10, 0), change(&stock, 3, 0, 10), change(&stock, 4, 10, 2));
    assert!(deliver(&shop, std::slice::from_ref(&gone)).await.is_empty());
    assert_eq!(listed(&shop, &id).await.unwrap(), "out_of_stock");
    // Once more, all together, then back to front.
    assert!(deliver(&shop, &[gone.clone(), gone.clone(), back.clone(), low.clone()]).await.is_empty());
    assert_eq!(listed(&shop, &id).await.unwrap(), "low_stock");
    for old in [&back, &gone, &low, &gone] {
        assert!(deliver(&shop, std::slice::from_ref(old)).await.is_empty());
        assert_eq!(listed(&shop, &id).await.unwrap(), "low_stock");
    }
    assert!(deliver(&shop, &[low, back, gone]).await.is_empty());
    assert_eq!(listed(&shop, &id).await.unwrap(), "low_stock");
}

#[tokio::test]
async fn i14_records_in_any_order_end_with_the_newest_band() {
    let (shop, id, stock) = by_hand().await;
    let history = [change(&stock, 2, 10, 3), change(&stock, 3, 3, 0), change(&stock, 4, 0, 2)];
    let orders = [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for (round, order) in orders.into_iter().enumerate() {
        // Each round higher than all before.
        let shift = 10 * (i64::try_from(round).unwrap() + 1);
        let newer = |record: &Value| {
            let version: i64 =
                record["dynamodb"]["NewImage"]["version"]["N"].as_str().unwrap().parse().unwrap();
            let mut record = record.clone();
            record["dynamodb"]["NewImage"]["version"]["N"] = json!((version + shift).to_string());
            record
        };
        for index in order {
            assert!(deliver(&shop, &[newer(&history[index])]).await.is_empty());
        }
        assert_eq!(listed(&shop, &id).await.unwrap(), "low_stock");
    }
}

#[tokio::test]
async fn what_is_no_change_of_stock_is_passed_over() {
    let (shop, id, stock) = by_hand().await;
    let mut made = change(&stock, 1, 0, 10);
    made["eventName"] = json!("INSERT");
    made["dynamodb"].as_object_mut().unwrap().remove("OldImage");
    let mut removed = change(&stock, 1, 10, 0);
    removed["eventName"] = json!("REMOVE");
    removed["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let mut other = change(&stock, 2, 10, 0);
    for part in ["Keys", "OldImage", "NewImage"] {
        other["dynamodb"][part]["sk"] = json!({"S": "MOVE#mov_1"});
    }
    assert!(deliver(&shop, &[made, removed, other]).await.is_empty());
    assert_eq!(listed(&shop, &id).await.unwrap(), "in_stock");
    assert!(deliver(&shop, &[]).await.is_empty());
}

#[tokio::test]
async fn i15_a_record_that_cannot_be_read_is_named_and_what_came_before_is_done() {
    let (shop, id, stock) = by_hand().await;
    let good = change(&stock, 2, 10, 0);
    let mut poison = change(&stock, 3, 0, 10);
    poison["dynamodb"]["NewImage"]["available"] = json!({"S": "many"});
    let failed = deliver(&shop, &[good, poison.clone(), change(&stock, 4, 0, 1)]).await;
    assert_eq!(failed, [poison["dynamodb"]["SequenceNumber"].as_str().unwrap()]);
    assert_eq!(listed(&shop, &id).await.unwrap(), "out_of_stock");
}

#[tokio::test]
async fn i15_a_poison_record_holds_up_nothing_else() {
    let shop = Shop::start(Options::default()).await;
    let product = shop.create_stocked("held-up", 10).await;
    let poison = |pieces: &str| {
        json!({
            "pk": {"S": "PRODUCT#prod_01jd8x2m9q5w3r7t1v6y4z0abc"},
            "sk": {"S": "ENTRY#STOCK"},
            "available": {"S": pieces},
        })
    };
    shop.adjust(product.id(), -8).send().await.expect(201);
    shop.write(PRODUCTS, poison("many"));
    shop.write(PRODUCTS, poison("few"));
    shop.adjust(product.id(), -2).send().await.expect(201);
    becomes(&shop, product.id(), "out_of_stock").await;
    shop.log().wait_for(|line| line.program == "streams" && line.text.contains("dead letters")).await;
}

#[tokio::test]
async fn i14_a_failing_store_delays_the_band_and_loses_nothing() {
    let shop = Shop::start(Options::default()).await;
    let product = shop.create_stocked("delayed", 10).await;
    let writes = || shop.calls("UpdateItem").by("products-availability").about(product.id());
    let throttled = writes().answer(Refusal::error(400, "ThrottlingException"));
    shop.adjust(product.id(), -10).send().await.expect(201);
    throttled.reached(1).await;
    drop(throttled);
    becomes(&shop, product.id(), "out_of_stock").await;

    let lost = writes().times(1).lose_answer();
    shop.adjust(product.id(), 2).send().await.expect(201);
    becomes(&shop, product.id(), "low_stock").await;
    // The write is visible before the rule has counted it.
    lost.reached(1).await;
}

#[tokio::test]
async fn i18_where_the_store_fails_the_record_is_to_come_again() {
    let (shop, id, stock) = by_hand().await;
    let gone = change(&stock, 2, 10, 0);
    for (name, refusal) in crate::shop::proxy::refusals() {
        let fault = shop.calls("UpdateItem").about(&id).answer(refusal);
        let failed = deliver(&shop, std::slice::from_ref(&gone)).await;
        assert_eq!(failed, [gone["dynamodb"]["SequenceNumber"].as_str().unwrap()], "{name}");
        drop(fault);
    }
    assert!(deliver(&shop, &[gone]).await.is_empty());
    assert_eq!(listed(&shop, &id).await.unwrap(), "out_of_stock");
}
