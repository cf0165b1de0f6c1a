use std::collections::BTreeSet;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use shared::domain::{product::Editable, validation};

use crate::shop::{Shop, changed, deployed::skip_where_deployed, new_product, unique};

const NOBODY: &str = "prod_01jd8x2m9q5w3r7t1v6y4z0abc";

#[tokio::test]
async fn a_new_product_comes_back_whole_with_location_and_etag() {
    let shop = Shop::shared().await;
    let new = new_product("whole");
    let created = shop.create(&new).await;

    for field in ["sku", "name", "description", "category", "price", "images", "attributes"] {
        assert_eq!(created[field], new[field], "{field}");
    }
    assert_eq!((&created["status"], &created["availability"]), (&json!("active"), &json!("in_stock")));
    assert_eq!(created["created_at"], created["updated_at"]);
    assert_eq!(created.header("location"), format!("/v1/products/{}", created.id()));
    assert_eq!(created.etag(), r#""1-in_stock""#);
    assert!(!created.is_replayed());

    let read = shop.get(&format!("/products/{}", created.id())).send().await.expect(200);
    assert_eq!(read.json, created.json);
    assert_eq!(read.etag(), created.etag());
}

#[tokio::test]
async fn what_a_new_product_leaves_out_has_its_default() {
    let shop = Shop::shared().await;
    let name = unique("bare");
    let new =
        json!({"sku": name, "name": "Mug", "category": name, "price": {"amount": 1, "currency": "JPY"}});
    let created = shop.create(&new).await;
    assert_eq!(created["description"], "");
    assert_eq!((&created["images"], &created["attributes"]), (&json!([]), &json!({})));
    assert_eq!(created["availability"], "out_of_stock");

    let inventory = shop.inventory(created.id()).await;
    assert_eq!((&inventory["on_hand"], &inventory["low_stock_threshold"]), (&json!(0), &json!(5)));
    assert!(shop.movements(created.id()).await.is_empty());
}

#[tokio::test]
async fn text_of_every_script_and_every_limit_comes_back_as_it_was() {
    let shop = Shop::shared().await;
    let attributes: Value = (0..20)
        .map(|n| (format!("{n:0>50}"), json!("ü".repeat(200))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let images: Vec<_> = (0..10).map(|n| format!("/{n}{}", "i".repeat(498))).collect();
    let new = changed(
        new_product("limits"),
        json!({
            "sku": format!("{:.<64}", unique("Sku_")),
            "name": "🏺 Ваза 花瓶 مزهرية".chars().cycle().take(199).chain(['x']).collect::<String>(),
            "description": "行\n".repeat(5_000),
            "category": format!("{:-<64}", unique("limits")),
            "price": {"amount": 99_999_999_999_i64, "currency": "KWD"},
            "images": images,
            "attributes": attributes,
            "initial_stock": 1_000_000_000,
            "low_stock_threshold": 1_000_000,
        }),
    );
    let created = shop.create(&new).await;
    let read = shop.product(created.id()).await;
    for field in ["sku", "name", "description", "category", "price", "images", "attributes"] {
        assert_eq!(read[field], new[field], "{field}");
    }
}

#[tokio::test]
async fn a_sku_is_taken_once() {
    let shop = Shop::shared().await;
    let new = new_product("taken");
    let first = shop.create(&new).await;
    let again = changed(new, json!({"name": "Another", "category": unique("taken")}));
    let key = unique("key");
    let refused = shop.post("/products").staff().key(&key).json(&again).send().await;
    refused.expect_problem(409, "sku_taken");
    assert_eq!(shop.product(first.id()).await.json, first.json);

    // The refusal has left the key free.
    let other = changed(again, json!({"sku": unique("free")}));
    let created = shop.post("/products").staff().key(&key).json(&other).send().await.expect(201);
    assert!(!created.is_replayed());
}

#[tokio::test]
async fn skus_differ_by_case() {
    let shop = Shop::shared().await;
    let new = new_product("case");
    shop.create(&new).await;
    shop.create(&changed(new.clone(), json!({"sku": new["sku"].as_str().unwrap().to_uppercase()}))).await;
}

#[tokio::test]
async fn a_product_that_is_not_there_is_404_whatever_its_id_looks_like() {
    let shop = Shop::shared().await;
    let ids = [
        NOBODY,
        "prod_01JD8X2M9Q5W3R7T1V6Y4Z0ABC",
        "prod_01jd8x2m9q5w3r7t1v6y4z0ab",
        "prod_01jd8x2m9q5w3r7t1v6y4z0abcd",
        "prod_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "prod_",
        "mov_01jd8x2m9q5w3r7t1v6y4z0abc",
        "01jd8x2m9q5w3r7t1v6y4z0abc",
        "1",
        "%F0%9F%8F%BA",
        "%00",
        "..%2Fkeys",
        "prod_01jd8x2m9q5w3r7t1v6y4z0abc%23ENTRY",
    ];
    for id in ids {
        shop.get(&format!("/products/{id}")).send().await.expect_problem(404, "not_found");
        let patch = shop.patch(&format!("/products/{id}")).staff().if_match("*").json(&json!({"name": "x"}));
        patch.send().await.expect_problem(404, "not_found");
        shop.delete(&format!("/products/{id}"))
            .staff()
            .if_match("*")
            .send()
            .await
            .expect_problem(404, "not_found");
        shop.get(&format!("/products/{id}/inventory")).staff().send().await.expect_problem(404, "not_found");
        let movements = shop.get(&format!("/products/{id}/inventory/movements")).staff().send().await;
        movements.expect_problem(404, "not_found");
        shop.adjust(id, 1).send().await.expect_problem(404, "not_found");
        shop.adjust(id, -1).send().await.expect_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_read_without_token_may_be_cached_and_one_with_token_not() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("cache")).await;
    for path in [
        format!("/products/{}", created.id()),
        format!("/products?category={}", created["category"].as_str().unwrap()),
    ] {
        let public = shop.get(&path).send().await.expect(200);
        assert!(public.header("cache-control").starts_with("public, max-age="), "{public:?}");
        let staff = shop.get(&path).staff().send().await.expect(200);
        assert_eq!(staff.header("cache-control"), "private, no-store");
    }
}

#[tokio::test]
async fn if_none_match_answers_304_until_version_or_availability_change() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("etag", 4).await;
    let path = format!("/products/{}", created.id());
    let etag = created.etag();

    for known in [etag.to_owned(), format!("W/{etag}"), format!(r#""0-x", {etag}"#), "*".to_owned()] {
        let same = shop.get(&path).if_none_match(&known).send().await.expect(304);
        assert_eq!((same.etag(), &*same.text), (etag, ""), "{known}");
        assert!(same.header("cache-control").starts_with("public"));
    }
    for other in [r#""2-in_stock""#, r#""1-low_stock""#, "1-in_stock", r#""1""#, "", "nonsense"] {
        shop.get(&path).if_none_match(other).send().await.expect(200);
    }

    shop.adjust(created.id(), -1).send().await.expect(201);
    let lower = shop.get(&path).if_none_match(etag).send().await.expect(200);
    assert_eq!((lower.etag(), &lower["availability"]), (r#""1-low_stock""#, &json!("low_stock")));
}

#[tokio::test]
async fn availability_is_fresh_where_one_product_is_read() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("fresh", 5).await;
    for (delta, availability) in
        [(-1, "in_stock"), (-1, "low_stock"), (-3, "out_of_stock"), (1, "low_stock"), (3, "in_stock")]
    {
        shop.adjust(created.id(), delta).send().await.expect(201);
        assert_eq!(shop.product(created.id()).await["availability"], availability);
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("patch")).await;
    let path = format!("/products/{}", created.id());
    let patches = [
        json!({"name": "Teapot"}),
        json!({"description": "For two."}),
        json!({"category": unique("patched")}),
        json!({"images": ["/images/teapot.svg"]}),
        json!({"price": {"amount": 4200, "currency": "USD"}}),
        json!({"name": "Big teapot", "description": "For four."}),
    ];
    let mut before = created;
    for patch in patches {
        let request = shop.patch(&path).staff().if_match(before.etag());
        let after = request.body("application/merge-patch+json", patch.to_string()).send().await.expect(200);
        let unchanged = changed(after.json.clone(), json!({"updated_at": before["updated_at"]}));
        assert_eq!(unchanged, changed(before.json.clone(), patch));
        assert_ne!(after.etag(), before.etag());
        assert!(after["updated_at"].as_str() >= before["updated_at"].as_str());
        let read = shop.product(after.id()).await;
        assert_eq!((&read.json, read.etag()), (&after.json, after.etag()));
        before = after;
    }
}

#[tokio::test]
async fn a_patch_merges_objects_and_removes_by_null() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("merge")).await;
    let patch = async |etag: &str, patch: Value| {
        let request = shop.patch(&format!("/products/{}", created.id())).staff().if_match(etag);
        request.json(&patch).send().await.expect(200)
    };
    let cheaper = patch(created.etag(), json!({"price": {"amount": 990}})).await;
    assert_eq!(cheaper["price"], json!({"amount": 990, "currency": "EUR"}));
    let dollars = patch(cheaper.etag(), json!({"price": {"currency": "USD"}})).await;
    assert_eq!(dollars["price"], json!({"amount": 990, "currency": "USD"}));

    let blue =
        patch(dollars.etag(), json!({"attributes": {"colour": "blue", "volume": null, "glaze": "matt"}}))
            .await;
    assert_eq!(blue["attributes"], json!({"colour": "blue", "glaze": "matt"}));
    let plain = patch(blue.etag(), json!({"attributes": null, "images": null, "description": null})).await;
    assert_eq!(plain["attributes"], json!({}));
    assert_eq!((&plain["images"], &plain["description"]), (&json!([]), &json!("")));
}

/// Reference implementation of RFC 7396, section 2.
fn merge_patch(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = if let Value::Object(target) = target { target } else { serde_json::Map::new() };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let before = target.remove(name).unwrap_or_default();
            target.insert(name.clone(), merge_patch(before, value));
        }
    }
    Value::Object(target)
}

/// Patches that change, remove or break fields.
fn any_patch() -> impl Strategy<Value = Value> {
    let or_null = |value: BoxedStrategy<Value>| prop_oneof![3 => value, 1 => Just(Value::Null)];
    let text = || prop_oneof![4 => "[a-zé ]{1,12}", 1 => Just(String::new())].prop_map(Value::from).boxed();
    let object = |names: &'static [&'static str], value: BoxedStrategy<Value>| {
        let name = prop::sample::select(names).prop_map(str::to_owned);
        let members = prop::collection::btree_map(name, or_null(value), 0..3);
        members.prop_map(|members| Value::Object(members.into_iter().collect())).boxed()
    };
    let amount = (0_i64..5).prop_map(Value::from).boxed();
    let images = prop::collection::vec("/[a-z]{1,5}", 0..3).prop_map(Value::from).boxed();
    let value = prop_oneof![
        or_null(text()).prop_map(|name| ("name", name)),
        or_null(text()).prop_map(|description| ("description", description)),
        or_null(object(&["amount"], amount)).prop_map(|price| ("price", price)),
        or_null(object(&["colour", "volume", "glaze"], text()))
            .prop_map(|attributes| ("attributes", attributes)),
        or_null(images).prop_map(|images| ("images", images)),
    ];
    prop::collection::vec(value, 0..4)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[tokio::test]
async fn any_patch_does_what_the_standard_says() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("any-patch")).await;
    let path = format!("/products/{}", created.id());
    let editable = |product: &Value| {
        let names = ["name", "description", "category", "price", "images", "attributes"];
        names.map(|name| (name.to_owned(), product[name].clone())).into_iter().collect::<Value>()
    };
    let (patches, mut runner) = (any_patch(), TestRunner::deterministic());
    let (mut before, mut accepted) = (created, 0);
    for _ in 0..120 {
        let patch = patches.new_tree(&mut runner).unwrap().current();
        let answer = shop.patch(&path).staff().if_match(before.etag()).json(&patch).send().await;
        let merged = validation::read(merge_patch(editable(&before.json), &patch), Editable::read);
        match merged {
            Ok(expected) => {
                let answer = answer.expect(200);
                let expected = changed(json!(expected), json!({"low_stock_threshold": null}));
                assert_eq!(editable(&answer.json), expected, "{patch}");
                (before, accepted) = (answer, accepted + 1);
            }
            Err(faults) => {
                let faults: Vec<_> = faults.iter().map(|at| (&*at.pointer, at.violation.code())).collect();
                answer.expect_invalid(&faults);
            }
        }
    }
    assert!((20..100).contains(&accepted), "{accepted} accepted");
    assert_eq!(shop.product(before.id()).await.json, before.json);
}

#[tokio::test]
async fn an_empty_patch_is_accepted() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("empty")).await;
    let path = format!("/products/{}", created.id());
    let same = shop.patch(&path).staff().if_match(created.etag()).json(&json!({})).send().await.expect(200);
    assert_eq!(
        changed(same.json, json!({"updated_at": null})),
        changed(created.json, json!({"updated_at": null}))
    );
}

#[tokio::test]
async fn a_patch_of_the_low_stock_threshold_moves_the_band() {
    let shop = Shop::shared().await;
    let created = shop.create_stocked("threshold", 10).await;
    let path = format!("/products/{}", created.id());
    let request =
        shop.patch(&path).staff().if_match(created.etag()).json(&json!({"low_stock_threshold": 10}));
    let patched = request.send().await.expect(200);
    let read = shop.product(created.id()).await;
    assert_eq!((&read["availability"], read.etag()), (&json!("low_stock"), r#""2-low_stock""#));
    assert_eq!((&patched.json, patched.etag()), (&read.json, read.etag()));
    assert_eq!(shop.inventory(created.id()).await["low_stock_threshold"], 10);

    let request =
        shop.patch(&path).staff().if_match(patched.etag()).json(&json!({"low_stock_threshold": null}));
    request.send().await.expect(200);
    assert_eq!(shop.inventory(created.id()).await["low_stock_threshold"], 5);
}

#[tokio::test]
async fn a_patch_that_breaks_the_product_is_refused_field_by_field() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("broken")).await;
    let path = format!("/products/{}", created.id());
    let cases = [
        (json!({"name": null}), vec![("/name", "required")]),
        (json!({"price": null}), vec![("/price", "required")]),
        (json!({"category": null, "name": ""}), vec![("/category", "required"), ("/name", "too_short")]),
        (json!({"price": {"amount": null}}), vec![("/price/amount", "required")]),
        (
            json!({"price": {"amount": 0, "cents": 1}}),
            vec![("/price/amount", "too_small"), ("/price/cents", "unknown_field")],
        ),
        (json!({"price": 5}), vec![("/price", "invalid_type")]),
        (json!({"sku": "other"}), vec![("/sku", "unknown_field")]),
        (
            json!({"id": created.id(), "status": "archived"}),
            vec![("/id", "unknown_field"), ("/status", "unknown_field")],
        ),
        (json!({"availability": "in_stock"}), vec![("/availability", "unknown_field")]),
        (json!({"initial_stock": 5}), vec![("/initial_stock", "unknown_field")]),
        (json!({"created_at": "2020-01-01T00:00:00.000Z"}), vec![("/created_at", "unknown_field")]),
        (json!({"version": 9}), vec![("/version", "unknown_field")]),
        (json!({"low_stock_threshold": -1}), vec![("/low_stock_threshold", "too_small")]),
        (json!({"attributes": {"colour": 5}}), vec![("/attributes/colour", "invalid_type")]),
        (json!([1]), vec![("", "invalid_type")]),
        (json!("text"), vec![("", "invalid_type")]),
        (json!(null), vec![("", "invalid_type")]),
    ];
    for (patch, expected) in cases {
        let request = shop.patch(&path).staff().if_match(created.etag()).json(&patch);
        request.send().await.expect_invalid(&expected);
    }
    let read = shop.product(created.id()).await;
    assert_eq!((&read.json, read.etag()), (&created.json, created.etag()));
}

#[tokio::test]
async fn a_field_that_cannot_be_set_is_refused_even_as_null() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("null")).await;
    let path = format!("/products/{}", created.id());
    let request =
        shop.patch(&path).staff().if_match(created.etag()).json(&json!({"sku": null, "colour": null}));
    request.send().await.expect_invalid(&[("/sku", "unknown_field"), ("/colour", "unknown_field")]);
}

#[tokio::test]
async fn a_change_needs_if_match_and_compares_the_version_alone() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("if-match")).await;
    let path = format!("/products/{}", created.id());
    shop.patch(&path)
        .staff()
        .json(&json!({"name": "x"}))
        .send()
        .await
        .expect_problem(428, "if_match_required");
    shop.delete(&path).staff().send().await.expect_problem(428, "if_match_required");

    let stale = [
        r#""2-in_stock""#,
        r#""0""#,
        r#"W/"1-in_stock""#,
        "1-in_stock",
        "1",
        "",
        r#""""#,
        r#""-1""#,
        r#""+1""#,
        r#""01x""#,
    ];
    for etag in stale {
        let patched = shop.patch(&path).staff().if_match(etag).json(&json!({"name": "x"})).send().await;
        patched.expect_problem(412, "stale_version");
        shop.delete(&path).staff().if_match(etag).send().await.expect_problem(412, "stale_version");
    }
    let mut version = 1;
    for tag in [r#""V-in_stock""#, r#""V-out_of_stock""#, r#""V""#, "*", r#""99", "V-in_stock""#] {
        let etag = tag.replace('V', &version.to_string());
        let patch = json!({"name": format!("Mug {version}")});
        shop.patch(&path).staff().if_match(&etag).json(&patch).send().await.expect(200);
        version += 1;
    }
    shop.delete(&path).staff().if_match(&format!(r#""{version}""#)).send().await.expect(204);
}

#[tokio::test]
async fn an_archived_product_leaves_the_lists_and_stays_readable() {
    let shop = Shop::shared().await;
    let created = shop.create(&new_product("archive")).await;
    let (path, category) = (format!("/products/{}", created.id()), created["category"].as_str().unwrap());
    let gone = shop.delete(&path).staff().if_match(created.etag()).send().await.expect(204);
    assert_eq!(gone.text, "");

    let read = shop.product(created.id()).await;
    assert_eq!((&read["status"], read.etag()), (&json!("archived"), r#""2-in_stock""#));
    shop.delete(&path).staff().if_match(created.etag()).send().await.expect_problem(412, "stale_version");

    let listed = shop.get("/products").query("category", category).send().await.expect(200);
    assert!(listed.items().is_empty());
    let archived = shop.get("/products").query("category", category).query("status", "archived").staff();
    assert_eq!(archived.send().await.expect(200).all("id"), [created.id()]);

    // The SKU stays taken: old orders name it.
    let again = changed(new_product("archive"), json!({"sku": created["sku"]}));
    let refused = shop.post("/products").staff().key(&unique("key")).json(&again).send().await;
    refused.expect_problem(409, "sku_taken");
    // Archived again is archived still.
    shop.delete(&path).staff().if_match(read.etag()).send().await.expect(204);
}

#[tokio::test]
async fn through_watch_itself_the_answers_are_the_same() {
    skip_where_deployed("cargo lambda watch");
    let shop = Shop::shared().await;
    let new = new_product("rest");
    let request = shop.post("/products").staff().key(&unique("key")).json(&new);
    let created = request.clone().through_watch().send().await.expect(201);
    assert_eq!(created.header("location"), format!("/v1/products/{}", created.id()));
    let replayed = request.send().await.expect(201);
    assert!(replayed.is_replayed());
    assert_eq!(replayed.json, created.json);

    let path = format!("/products/{}", created.id());
    let same = |through_gateway: crate::shop::Answer, through_watch: crate::shop::Answer| {
        let without_id =
            |json: Value| if json.is_object() { changed(json, json!({"request_id": null})) } else { json };
        assert_eq!(through_gateway.status, through_watch.status, "{through_gateway:?} {through_watch:?}");
        assert_eq!(without_id(through_gateway.json.clone()), without_id(through_watch.json.clone()));
        assert_eq!(through_gateway.headers.get("etag"), through_watch.headers.get("etag"));
        // Events hold a query in no order.
        let link = |answer: &crate::shop::Answer| -> Option<BTreeSet<String>> {
            let link = answer.find_header("link")?;
            Some(link.split(['?', '&', '>']).map(str::to_owned).collect())
        };
        assert_eq!(link(&through_gateway), link(&through_watch));
    };
    let category = created["category"].as_str().unwrap();
    shop.create(&changed(new_product("rest"), json!({"category": category, "name": "Ögon & öron 100%"})))
        .await;
    let requests = [
        shop.get(&path),
        shop.get(&path).if_none_match(created.etag()),
        shop.get("/products/prod_x"),
        shop.get("/products").query("category", category).query("limit", 1),
        shop.get("/products")
            .query("category", category)
            .query("q", "ögon 100")
            .query("sort", "-price")
            .query("limit", 1),
        shop.get("/products?limit=0&limit=1&colour=blue&sort=up"),
        shop.get("/products").query("q", "a+b &=?#ü").query("limit", 1),
        shop.get("/products?status=archived"),
        shop.patch(&path).staff().json(&json!({})),
        shop.patch(&path).staff().if_match("\"9\"").json(&json!({})),
        shop.patch(&path).staff().if_match("*").json(&json!({"name": 1})),
        shop.delete(&path).customer().if_match("*"),
        shop.adjust(created.id(), -1_000),
        shop.get(&format!("{path}/inventory")).staff(),
        shop.get(&format!("{path}/inventory/movements")).staff(),
        shop.get("/health"),
    ];
    for request in requests {
        let through_watch = request.clone().through_watch().send().await;
        same(request.send().await, through_watch);
    }
}
