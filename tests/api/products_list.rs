use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use shared::{
    domain::{listing::Listing, validation},
    http::cursor,
};

use crate::shop::{Answer, Request, Shop, changed, new_product, unique};

/// Creates a product in a new category for each of these. Returns the category and the ids.
async fn category(shop: &Shop, what: &str, products: &[Value]) -> (String, Vec<String>) {
    let category = unique(what);
    let mut ids = Vec::new();
    for product in products {
        let new = changed(changed(new_product(what), product.clone()), json!({"category": category}));
        ids.push(shop.create(&new).await.id().to_owned());
    }
    (category, ids)
}

fn named(name: &str) -> Value {
    json!({"name": name})
}

fn priced(amount: i64) -> Value {
    json!({"price": {"amount": amount, "currency": "EUR"}})
}

fn list(shop: &Shop, category: &str) -> Request {
    shop.get("/products").query("category", category)
}

pub fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Returns the path of the next page in the `Link` header, below the version.
pub fn next(page: &Answer) -> &str {
    let link = page.header("link");
    let target = link.strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="next""#)).unwrap();
    target.split_once("/v1").unwrap().1
}

#[tokio::test]
async fn a_list_shows_summaries_of_its_products() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("summary")).await;
    let page = list(&shop, created["category"].as_str().unwrap()).send().await.expect(200);
    assert_eq!(page.items(), [changed(created.json, json!({"description": null}))]);
    assert_eq!(page["next_cursor"], Value::Null);
    assert!(page.find_header("link").is_none());
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    let shop = Shop::shared().await;
    let page = list(&shop, &unique("empty")).send().await.expect(200);
    assert_eq!((page.items().len(), &page["next_cursor"]), (0, &Value::Null));
}

#[tokio::test]
async fn without_filters_all_products_are_listed() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("all")).await;
    let page = shop.get("/products").query("limit", 100).send().await.expect(200);
    assert!(page.all("id").contains(&created.id()));
    assert!(page.items().iter().all(|item| item["status"] == "active"));
}

#[tokio::test]
async fn a_list_is_sorted_as_asked() {
    let shop = Shop::shared().await;
    let product = |name: &str, amount: i64| changed(named(name), priced(amount));
    let products = [
        product("pear", 300),
        product("Apple", 900),
        product("äpfel", 5),
        product("apple pie", 300),
        product("Zucchini", 20),
    ];
    let (category, made) = category(&shop, "sorted", &products).await;
    let sorted = async |sort: &str| list(&shop, &category).query("sort", sort).send().await.expect(200);

    let newest: Vec<String> = made.iter().rev().cloned().collect();
    assert_eq!(ids(sorted("newest").await.items()), newest);
    assert_eq!(ids(list(&shop, &category).send().await.expect(200).items()), newest);

    let price = |item: &Value| item["price"]["amount"].as_i64().unwrap();
    let ascending: Vec<_> = sorted("price").await.items().iter().map(price).collect();
    assert_eq!(ascending, [5, 20, 300, 300, 900]);
    let descending: Vec<_> = sorted("-price").await.items().iter().map(price).collect();
    assert_eq!(descending, [900, 300, 300, 20, 5]);
    assert_eq!(sorted("name").await.all("name"), ["Apple", "apple pie", "pear", "Zucchini", "äpfel"]);
}

#[tokio::test]
async fn prices_filter_with_both_ends_included() {
    let shop = Shop::shared().await;
    let (category, _) = category(&shop, "priced", &[1, 99, 100, 101, 200, 99_999_999_999].map(priced)).await;
    type Filter<'a> = &'a [(&'a str, i64)];
    let cases: [(Filter, &[i64]); 6] = [
        (&[("min_price", 100)], &[100, 101, 200, 99_999_999_999]),
        (&[("max_price", 100)], &[1, 99, 100]),
        (&[("min_price", 100), ("max_price", 200)], &[100, 101, 200]),
        (&[("min_price", 100), ("max_price", 100)], &[100]),
        (&[("min_price", 0), ("max_price", 0)], &[]),
        (&[("min_price", 99_999_999_999)], &[99_999_999_999]),
    ];
    for (filter, expected) in cases {
        for sort in ["newest", "price", "-price", "name"] {
            let request = list(&shop, &category).query("sort", sort);
            let request = filter.iter().fold(request, |request, (name, price)| request.query(name, price));
            let page = request.send().await.expect(200);
            let found: BTreeSet<_> =
                page.items().iter().map(|item| item["price"]["amount"].as_i64().unwrap()).collect();
            assert_eq!(found, expected.iter().copied().collect(), "{filter:?} {sort}");
        }
    }
}

#[tokio::test]
async fn a_search_finds_the_beginnings_of_words_in_the_name() {
    let shop = Shop::shared().await;
    let names = [
        "Stoneware Coffee Mug",
        "Coffee-Grinder (large)",
        "Öl- und Essig-Set",
        "Mug for tea",
        "35mm film",
        "İstanbul",
    ];
    let (category, _) = category(&shop, "search", &names.map(named)).await;
    let cases: [(&str, &[&str]); 16] = [
        ("coffee", &["Stoneware Coffee Mug", "Coffee-Grinder (large)"]),
        ("COFF", &["Stoneware Coffee Mug", "Coffee-Grinder (large)"]),
        ("mug coffee", &["Stoneware Coffee Mug"]),
        ("cof mu", &["Stoneware Coffee Mug"]),
        ("coffee coffee", &["Stoneware Coffee Mug", "Coffee-Grinder (large)"]),
        ("ware", &[]),
        ("offee", &[]),
        ("grinder", &["Coffee-Grinder (large)"]),
        ("coffee-grinder", &["Coffee-Grinder (large)"]),
        ("(large)", &["Coffee-Grinder (large)"]),
        ("öl", &["Öl- und Essig-Set"]),
        ("ÖL ESSIG", &["Öl- und Essig-Set"]),
        ("35", &["35mm film"]),
        ("İstanbul", &["İstanbul"]),
        ("mug tea coffee", &[]),
        ("m", &["Stoneware Coffee Mug", "Mug for tea"]),
    ];
    for (query, expected) in cases {
        let page = list(&shop, &category).query("q", query).send().await.expect(200);
        let found: BTreeSet<_> = page.all("name").into_iter().collect();
        assert_eq!(found, expected.iter().copied().collect(), "{query}");
    }
}

#[tokio::test]
async fn a_search_follows_a_new_name() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("renamed")).await;
    let category = created["category"].as_str().unwrap();
    let renaming = shop.patch(&format!("/products/{}", created.id())).staff().if_match("*");
    renaming.json(&json!({"name": "Teapot", "price": {"amount": 7}})).send().await.expect(200);
    assert!(list(&shop, category).query("q", "mug").send().await.expect(200).items().is_empty());
    assert_eq!(list(&shop, category).query("q", "tea").send().await.expect(200).all("id"), [created.id()]);
    assert_eq!(
        list(&shop, category).query("max_price", 7).query("sort", "price").send().await.expect(200).all("id"),
        [created.id()]
    );
}

#[tokio::test]
async fn a_product_moves_with_its_category() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("moved")).await;
    let (old, new) = (created["category"].as_str().unwrap(), unique("moved"));
    let request = shop.patch(&format!("/products/{}", created.id())).staff().if_match("*");
    request.json(&json!({"category": new})).send().await.expect(200);
    assert!(list(&shop, old).send().await.expect(200).items().is_empty());
    assert_eq!(list(&shop, &new).send().await.expect(200).all("id"), [created.id()]);
}

#[tokio::test]
async fn in_stock_parts_what_can_be_bought_from_what_cannot() {
    let shop = Shop::shared().await;
    let stocks = [0, 1, 3, 4].map(|pieces| json!({"initial_stock": pieces}));
    let (category, ids) = category(&shop, "in-stock", &stocks).await;
    let bands = |page: &Answer| -> Vec<String> {
        page.items().iter().map(|item| item["availability"].as_str().unwrap().to_owned()).collect()
    };
    let there = list(&shop, &category).query("in_stock", true).send().await.expect(200);
    assert_eq!(bands(&there), ["in_stock", "low_stock", "low_stock"]);
    let gone = list(&shop, &category).query("in_stock", false).send().await.expect(200);
    assert_eq!((gone.all("id"), bands(&gone)), (vec![&*ids[0]], vec!["out_of_stock".to_owned()]));
}

#[tokio::test]
async fn filters_hold_together() {
    let shop = Shop::shared().await;
    let product = |name: &str, amount: i64, pieces: i64| {
        changed(changed(named(name), priced(amount)), json!({"initial_stock": pieces}))
    };
    let products = [
        product("red mug", 5, 1),
        product("red mug", 50, 0),
        product("red mug", 50, 1),
        product("blue mug", 50, 1),
        product("red mug", 500, 1),
    ];
    let (category, ids) = category(&shop, "together", &products).await;
    for sort in ["newest", "price", "-price", "name"] {
        let request = list(&shop, &category).query("q", "red").query("min_price", 10).query("max_price", 100);
        let page = request.query("in_stock", true).query("sort", sort).send().await.expect(200);
        assert_eq!(page.all("id"), [&*ids[2]]);
    }
}

#[tokio::test]
async fn archived_products_are_listed_for_the_staff_alone() {
    let shop = Shop::shared().await;
    let (category, ids) = category(&shop, "archived", &[json!({}), json!({})]).await;
    shop.delete(&format!("/products/{}", ids[0])).staff().if_match("*").send().await.expect(204);
    let archived = list(&shop, &category).query("status", "archived");
    archived.clone().send().await.expect_problem(401, "token_required");
    archived.clone().customer().send().await.expect_problem(403, "insufficient_scope");
    archived.clone().bearer("nonsense").send().await.expect_problem(401, "invalid_token");
    assert_eq!(archived.staff().send().await.expect(200).all("id"), [&*ids[0]]);
    let active = list(&shop, &category).query("status", "active").send().await.expect(200);
    assert_eq!(active.all("id"), [&*ids[1]]);
    let everywhere =
        shop.get("/products").query("status", "archived").query("limit", 100).staff().send().await;
    let everywhere = everywhere.expect(200);
    assert!(
        everywhere.all("id").contains(&&*ids[0])
            && everywhere.items().iter().all(|item| item["status"] == "archived")
    );
}

#[tokio::test]
async fn a_page_holds_twenty_unless_asked_and_links_to_the_next() {
    let shop = Shop::shared().await;
    let category = unique("twenty");
    let new = || changed(new_product("twenty"), json!({"category": category}));
    let news: Vec<_> = (0..21).map(|_| new()).collect();
    join_all(news.iter().map(|new| shop.create(new))).await;

    let first = list(&shop, &category).send().await.expect(200);
    assert_eq!(first.items().len(), 20);
    assert!(first.header("link").contains(first["next_cursor"].as_str().unwrap()), "{first:?}");
    let second = shop.get(next(&first)).send().await.expect(200);
    assert_eq!((second.items().len(), &second["next_cursor"]), (1, &Value::Null));
    let all: BTreeSet<_> = first.all("id").into_iter().chain(second.all("id")).collect();
    assert_eq!(all.len(), 21);

    for limit in [1, 20, 21, 100] {
        let page = list(&shop, &category).query("limit", limit).send().await.expect(200);
        assert_eq!(
            (page.items().len(), page["next_cursor"].is_null()),
            (limit.min(21), limit >= 21),
            "{limit}"
        );
    }
}

#[tokio::test]
async fn a_link_leads_on_whatever_was_asked_for() {
    let shop = Shop::shared().await;
    let name = "Ögon & öron, 100% a+b=c #1";
    let (category, _) = category(&shop, "link", &[named(name), named(name), named("Mug")]).await;
    let request = list(&shop, &category).query("sort", "-price").query("limit", 1).query("max_price", 5_000);
    for request in [request.clone(), request.through_watch()] {
        let first = request.query("q", "ÖGON & 100% a+b=c #1").send().await.expect(200);
        let second = shop.get(next(&first)).send().await.expect(200);
        assert_eq!((first.all("name"), second.all("name")), (vec![name], vec![name]));
        assert_ne!(first.all("id"), second.all("id"));
        assert!(second["next_cursor"].is_null());
    }
}

#[tokio::test]
async fn i16_a_walk_misses_nothing_where_the_store_stops_early() {
    let shop = Shop::shared().await;
    let category = unique("early");
    let product = |n: i64| {
        let words = if n % 5 == 0 { "red" } else { "blue" };
        let changes =
            json!({"name": format!("{words} mug {n:02}"), "category": category, "initial_stock": n % 3});
        changed(changed(new_product("early"), priced(1 + n % 4)), changes)
    };
    let news: Vec<_> = (0..30).map(product).collect();
    join_all(news.iter().map(|new| shop.create(new))).await;
    // As where items are many or large: DynamoDB ends a page before it is full, or even has anything.
    let queries = shop.calls("Query").by("products-list").about(&category);
    let early = queries.rewrite(|query| query["Limit"] = json!(2));
    for sort in ["newest", "price", "-price", "name"] {
        for (name, value, count) in [
            ("q", "red", 6),
            ("in_stock", "false", 10),
            ("q", "mug", 30),
            ("max_price", "2", 16),
            ("limit", "100", 30),
        ] {
            let request = list(&shop, &category).query("sort", sort).query(name, value);
            let walked = ids(&shop.walk(request).await);
            let distinct: BTreeSet<_> = walked.iter().collect();
            assert_eq!((walked.len(), distinct.len()), (count, count), "{sort} {name}={value}");
        }
    }
    assert!(early.hits() > 100);
    // A request goes through a few pages and no more, whatever it finds.
    let before = early.hits();
    list(&shop, &category).query("q", "green").send().await.expect(200);
    assert!(early.hits() - before <= 4);
}

#[tokio::test]
async fn every_bad_parameter_is_named() {
    let shop = Shop::shared().await;
    let cases: [(&str, &[(&str, &str)]); 22] = [
        ("limit=0", &[("/limit", "too_small")]),
        ("limit=-1", &[("/limit", "too_small")]),
        ("limit=101", &[("/limit", "too_large")]),
        ("limit=ten", &[("/limit", "invalid_type")]),
        ("limit=1.5", &[("/limit", "invalid_type")]),
        ("limit=", &[("/limit", "invalid_type")]),
        ("limit=99999999999999999999", &[("/limit", "too_large")]),
        ("limit=1&limit=2", &[("/limit", "invalid_type")]),
        ("category=Kitchen", &[("/category", "invalid_format")]),
        ("category=", &[("/category", "too_short")]),
        ("status=all", &[("/status", "unknown_value")]),
        ("min_price=-1", &[("/min_price", "too_small")]),
        ("min_price=200&max_price=100", &[("/max_price", "too_small")]),
        ("max_price=free", &[("/max_price", "invalid_type")]),
        ("in_stock=yes", &[("/in_stock", "invalid_type")]),
        ("sort=best", &[("/sort", "unknown_value")]),
        ("q=", &[("/q", "too_short")]),
        ("q=+", &[("/q", "too_short")]),
        ("q=%26-", &[("/q", "invalid_format")]),
        ("colour=blue", &[("/colour", "unknown_parameter")]),
        ("a~b/c=1", &[("/a~0b~1c", "unknown_parameter")]),
        (
            "limit=0&sort=x&in_stock=1&min_price=a&colour=b&status=c&category=D&q=%26",
            &[
                ("/limit", "too_small"),
                ("/sort", "unknown_value"),
                ("/in_stock", "invalid_type"),
                ("/min_price", "invalid_type"),
                ("/colour", "unknown_parameter"),
                ("/status", "unknown_value"),
                ("/category", "invalid_format"),
                ("/q", "invalid_format"),
            ],
        ),
    ];
    for (query, expected) in cases {
        shop.get(&format!("/products?{query}")).send().await.expect_invalid(expected);
    }
    let long = shop.get("/products").query("q", "x".repeat(101)).send().await;
    long.expect_invalid(&[("/q", "too_long")]);
}

#[tokio::test]
async fn i16_a_walk_gives_every_product_exactly_once_whatever_the_sort_and_the_page() {
    let shop = Shop::shared().await;
    let category = unique("walk");
    // Names and prices with many ties: the keys of an index are not unique.
    let products: Vec<_> = (0..24_i64)
        .map(|n| {
            changed(
                changed(new_product("walk"), priced(1 + n % 3)),
                json!({"name": format!("Mug {}", n % 4), "category": category, "initial_stock": n % 2}),
            )
        })
        .collect();
    let made = join_all(products.iter().map(|new| shop.create(new))).await;
    let all: BTreeSet<String> = made.iter().map(|answer| answer.id().to_owned()).collect();
    for sort in ["newest", "price", "-price", "name"] {
        for limit in [1, 5, 23, 24, 25] {
            let walked =
                ids(&shop.walk(list(&shop, &category).query("sort", sort).query("limit", limit)).await);
            assert_eq!(
                (walked.len(), walked.into_iter().collect()),
                (all.len(), all.clone()),
                "{sort} {limit}"
            );
        }
        for (name, value, count) in [
            ("q", "mug", 24),
            ("q", "3", 6),
            ("in_stock", "true", 12),
            ("min_price", "2", 16),
            ("max_price", "1", 8),
        ] {
            let request = list(&shop, &category).query("sort", sort).query("limit", 5).query(name, value);
            let walked = ids(&shop.walk(request).await);
            let distinct: BTreeSet<_> = walked.iter().collect();
            assert_eq!((walked.len(), distinct.len()), (count, count), "{sort} {name}={value}");
        }
    }
}

#[tokio::test]
async fn i16_a_walk_gives_every_product_that_stood_still_exactly_once_while_others_come_and_go() {
    let shop = Shop::shared().await;
    let category = unique("moving");
    let product = |n: i64| {
        changed(
            changed(new_product("moving"), priced(n)),
            json!({"name": format!("Mug {n:03}"), "category": category}),
        )
    };
    let news: Vec<_> = (0..16).map(|n| product(n * 10 + 5)).collect();
    let made = join_all(news.iter().map(|new| shop.create(new))).await;
    let (still, going) = made.split_at(12);
    let still: BTreeSet<String> = still.iter().map(|answer| answer.id().to_owned()).collect();

    for (round, sort) in ["newest", "price", "-price", "name"].into_iter().enumerate() {
        let (mut walked, mut cursor, mut step) = (Vec::new(), None::<String>, 0);
        loop {
            let request = list(&shop, &category).query("sort", sort).query("limit", 3);
            let request = match &cursor {
                Some(cursor) => request.query("cursor", cursor),
                None => request,
            };
            let page = request.send().await.expect(200);
            walked.extend(ids(page.items()));
            // Meanwhile one comes, before or behind the walker, one goes, and one changes its place.
            shop.create(&product((step * 37) % 160 + 1)).await;
            if step == 0 {
                let path = format!("/products/{}", going[round].id());
                shop.delete(&path).staff().if_match("*").send().await.expect(204);
            }
            step += 1;
            match page["next_cursor"].as_str() {
                Some(next) if step < 60 => cursor = Some(next.to_owned()),
                _ => break,
            }
        }
        let seen: Vec<_> = walked.iter().filter(|id| still.contains(*id)).cloned().collect();
        assert_eq!((seen.len(), seen.into_iter().collect()), (still.len(), still.clone()), "{sort}");
        let distinct: BTreeSet<_> = walked.iter().collect();
        assert_eq!(distinct.len(), walked.len(), "{sort}: some came twice");
    }
}

#[tokio::test]
async fn i16_a_damaged_or_foreign_cursor_is_refused() {
    let shop = Shop::shared().await;
    let (category, _) = category(&shop, "damaged", &[priced(5), priced(6)]).await;
    let page = list(&shop, &category).query("limit", 1).send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();

    // Moved to another query.
    let queries = [
        shop.get("/products"),
        list(&shop, "other"),
        list(&shop, &category).query("sort", "price"),
        list(&shop, &category).query("sort", "-price"),
        list(&shop, &category).query("sort", "name"),
        list(&shop, &category).query("q", "mug"),
        list(&shop, &category).query("min_price", 1),
        list(&shop, &category).query("max_price", 100),
        list(&shop, &category).query("in_stock", true),
        list(&shop, &category).query("status", "archived").staff(),
    ];
    for request in queries {
        request.query("cursor", cursor).send().await.expect_problem(400, "invalid_cursor");
    }
    // What stands for the same query stays the same.
    let same = list(&shop, &category).query("sort", "newest").query("status", "active").query("limit", 50);
    assert_eq!(same.query("cursor", cursor).send().await.expect(200).items().len(), 1);

    let mut damaged: Vec<String> = ["", "x", "=", "%", "null", "eyJpZCI6MX0", "ü", "AAAAAAAAAAA"]
        .iter()
        .map(|text| (*text).to_owned())
        .collect();
    damaged.extend((1..cursor.len()).step_by(7).map(|length| cursor[..length].to_owned()));
    damaged.extend([format!("{cursor}A"), format!("{cursor}="), format!(" {cursor}"), "A".repeat(5_000)]);
    for index in (0..cursor.len()).step_by(3) {
        let other = if &cursor[index..=index] == "A" { "B" } else { "A" };
        damaged.push(format!("{}{other}{}", &cursor[..index], &cursor[index + 1..]));
    }
    for damaged in damaged {
        list(&shop, &category).query("cursor", damaged).send().await.expect_problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn i16_a_forged_cursor_shows_nothing_that_the_query_could_not() {
    let shop = Shop::shared().await;
    let (category, own) = category(&shop, "forged", &[priced(50), priced(60), priced(500)]).await;
    let foreign = shop.create(&new_product("foreign")).await;
    let archived = &own[1];
    shop.delete(&format!("/products/{archived}")).staff().if_match("*").send().await.expect(204);

    let positions = |id: &str| {
        vec![
            json!({"id": id}),
            json!({"id": id, "amount": 1}),
            json!({"id": id, "amount": 60}),
            json!({"id": id, "amount": 100_000}),
            json!({"id": id, "amount": -1}),
            json!({"id": id, "amount": i64::MAX}),
            json!({"id": id, "name": ""}),
            json!({"id": id, "name": "zzz"}),
            json!({"id": id, "name": "x".repeat(3_000)}),
            json!({"id": id, "amount": 1, "name": "a"}),
            json!({"id": id, "status": "archived", "pk": "USER#1", "sk": "IDEM#1"}),
            json!({"id": "usr_01jd8x2m9q5w3r7t1v6y4z0abc"}),
            json!([id]),
            json!(id),
            json!(null),
        ]
    };
    let (mut accepted, mut refused) = (0, 0);
    for sort in ["newest", "price", "-price", "name"] {
        let query = json!({"category": category, "sort": sort, "max_price": "100"});
        let parameters: Map<String, Value> = query.as_object().unwrap().clone();
        let listing = validation::read_query(parameters, Listing::read).unwrap();
        for id in [&*own[0], archived, &*own[2], foreign.id()] {
            for position in positions(id) {
                let forged = cursor::encode(&position, &listing).unwrap();
                let request = list(&shop, &category).query("sort", sort).query("max_price", 100);
                let answer = request.query("cursor", forged).send().await;
                match answer.status {
                    200 => {
                        assert!(ids(answer.items()).iter().all(|id| *id == own[0]), "{position} {answer:?}");
                        accepted += answer.items().len();
                    }
                    _ => {
                        answer.expect_problem(400, "invalid_cursor");
                        refused += 1;
                    }
                }
            }
        }
    }
    // Both branches have been checked.
    assert!(accepted > 0 && refused > 0, "{accepted} items, {refused} refusals");
}
