use serde_json::{Value, json};

use crate::shop::{ADMIN, Person, Request, Shop, changed, new_product, unique};

#[tokio::test]
async fn every_invalid_field_of_a_new_product_is_named() {
    let shop = Shop::shared().await;
    let x = |count: usize| "x".repeat(count);
    let many =
        |count: usize| (0..count).map(|n| (format!("a{n}"), json!("b"))).collect::<serde_json::Map<_, _>>();
    let cases: Vec<(&str, Value, &str)> = vec![
        ("sku", json!(5), "invalid_type"),
        ("sku", json!(""), "too_short"),
        ("sku", json!(x(65)), "too_long"),
        ("sku", json!("MUG 1"), "invalid_format"),
        ("sku", json!("MUG#1"), "invalid_format"),
        ("sku", json!("müg"), "invalid_format"),
        ("sku", json!("mug\n"), "invalid_format"),
        ("sku", json!("mug\u{0}"), "invalid_format"),
        ("name", json!({}), "invalid_type"),
        ("name", json!(""), "too_short"),
        ("name", json!("   "), "too_short"),
        ("name", json!("\u{a0}\u{2003}"), "too_short"),
        ("name", json!(x(201)), "too_long"),
        ("name", json!("🏺".repeat(201)), "too_long"),
        ("name", json!("two\nlines"), "invalid_format"),
        ("name", json!("tab\there"), "invalid_format"),
        ("name", json!("nul\u{0}"), "invalid_format"),
        ("description", json!(["text"]), "invalid_type"),
        ("description", json!(x(10_001)), "too_long"),
        ("description", json!("bell\u{7}"), "invalid_format"),
        ("category", json!(true), "invalid_type"),
        ("category", json!(""), "too_short"),
        ("category", json!(x(65)), "too_long"),
        ("category", json!("Kitchen"), "invalid_format"),
        ("category", json!("kitchen#1"), "invalid_format"),
        ("category", json!("küche"), "invalid_format"),
        ("price", json!(1850), "invalid_type"),
        ("price", json!("18.50 EUR"), "invalid_type"),
        ("images", json!("/mug.svg"), "invalid_type"),
        ("images", json!(vec!["/mug.svg"; 11]), "too_many"),
        ("attributes", json!([]), "invalid_type"),
        ("attributes", json!(many(21)), "too_many"),
        ("initial_stock", json!("10"), "invalid_type"),
        ("initial_stock", json!(1.5), "invalid_type"),
        ("initial_stock", json!(-1), "too_small"),
        ("initial_stock", json!(1_000_000_001), "too_large"),
        ("initial_stock", json!(u64::MAX), "too_large"),
        ("initial_stock", json!(i64::MIN), "too_small"),
        ("low_stock_threshold", json!(-1), "too_small"),
        ("low_stock_threshold", json!(1_000_001), "too_large"),
        ("low_stock_threshold", json!(false), "invalid_type"),
    ];
    for (field, value, code) in cases {
        let new = changed(new_product("invalid"), json!({field: value}));
        let refused = shop.post("/products").staff().key(&unique("key")).json(&new).send().await;
        refused.expect_invalid(&[(&format!("/{field}"), code)]);
    }

    let nested: Vec<(Value, &str, &str)> = vec![
        (json!({"price": {}}), "/price/amount", "required"),
        (json!({"price": {"amount": 0, "currency": "EUR"}}), "/price/amount", "too_small"),
        (json!({"price": {"amount": -5, "currency": "EUR"}}), "/price/amount", "too_small"),
        (json!({"price": {"amount": 100_000_000_000_i64, "currency": "EUR"}}), "/price/amount", "too_large"),
        (json!({"price": {"amount": u64::MAX, "currency": "EUR"}}), "/price/amount", "too_large"),
        (json!({"price": {"amount": 18.5, "currency": "EUR"}}), "/price/amount", "invalid_type"),
        (json!({"price": {"amount": "1850", "currency": "EUR"}}), "/price/amount", "invalid_type"),
        (json!({"price": {"amount": 5, "currency": "eur"}}), "/price/currency", "unknown_value"),
        (json!({"price": {"amount": 5, "currency": "XXX"}}), "/price/currency", "unknown_value"),
        (json!({"price": {"amount": 5, "currency": 978}}), "/price/currency", "invalid_type"),
        (json!({"price": {"amount": 5, "currency": "EUR", "tax": 1}}), "/price/tax", "unknown_field"),
        (json!({"images": ["/a.svg", 5]}), "/images/1", "invalid_type"),
        (json!({"images": ["javascript:alert(1)"]}), "/images/0", "invalid_format"),
        (json!({"images": ["//evil.test/a.svg"]}), "/images/0", "invalid_format"),
        (json!({"images": ["mug.svg"]}), "/images/0", "invalid_format"),
        (json!({"images": [format!("/{}", x(500))]}), "/images/0", "too_long"),
        (json!({"images": [""]}), "/images/0", "too_short"),
        (json!({"attributes": {"colour": 5}}), "/attributes/colour", "invalid_type"),
        (json!({"attributes": {"colour": null}}), "/attributes/colour", "invalid_type"),
        (json!({"attributes": {"colour": x(201)}}), "/attributes/colour", "too_long"),
        (json!({"attributes": {"colour": ""}}), "/attributes/colour", "too_short"),
        (json!({"attributes": {"": "red"}}), "/attributes/", "too_short"),
        (json!({"attributes": {"a/b~c": 1}}), "/attributes/a~1b~0c", "invalid_type"),
        (json!({"colour": "red"}), "/colour", "unknown_field"),
        (json!({"id": "prod_01jd8x2m9q5w3r7t1v6y4z0abc"}), "/id", "unknown_field"),
        (json!({"status": "archived"}), "/status", "unknown_field"),
        (json!({"Name": "x"}), "/Name", "unknown_field"),
        (json!({"pk": "PRODUCT#1"}), "/pk", "unknown_field"),
    ];
    for (change, pointer, code) in nested {
        let mut expected = vec![(pointer, code)];
        if change == json!({"price": {}}) {
            expected.push(("/price/currency", "required"));
        }
        let new = changed(new_product("invalid"), change);
        let refused = shop.post("/products").staff().key(&unique("key")).json(&new).send().await;
        refused.expect_invalid(&expected);
    }

    for field in ["sku", "name", "category", "price"] {
        let new = changed(new_product("missing"), json!({field: null}));
        let refused = shop.post("/products").staff().key(&unique("key")).json(&new).send().await;
        refused.expect_invalid(&[(&format!("/{field}"), "required")]);
    }
}

#[tokio::test]
async fn null_is_no_value_for_a_field() {
    let shop = Shop::shared().await;
    for field in ["sku", "name", "price", "description", "images", "attributes", "initial_stock"] {
        let mut new = new_product("null");
        new[field] = Value::Null;
        let refused = shop.post("/products").staff().key(&unique("key")).json(&new).send().await;
        refused.expect_invalid(&[(&format!("/{field}"), "invalid_type")]);
    }
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let shop = Shop::shared().await;
    let new = json!({
        "sku": "a b",
        "price": {"amount": 0, "currency": "EURO", "vat": 19},
        "images": ["ok", "/fine", 7],
        "attributes": {"a": 1, "b": ""},
        "initial_stock": -1,
        "colour": "red",
    });
    let refused = shop.post("/products").staff().key(&unique("key")).json(&new).send().await;
    refused.expect_invalid(&[
        ("/sku", "invalid_format"),
        ("/name", "required"),
        ("/category", "required"),
        ("/price/amount", "too_small"),
        ("/price/currency", "unknown_value"),
        ("/price/vat", "unknown_field"),
        ("/images/0", "invalid_format"),
        ("/images/2", "invalid_type"),
        ("/attributes/a", "invalid_type"),
        ("/attributes/b", "too_short"),
        ("/initial_stock", "too_small"),
        ("/colour", "unknown_field"),
    ]);
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_point() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("point", 5).await;
    let path = format!("/products/{}/inventory/adjustments", product.id());

    let body = json!({"delta": 24.0, "reason": "received"});
    let adjusted = shop.post(&path).staff().key(&unique("key")).json(&body);

    assert_eq!(adjusted.send().await.expect(201)["delta"], 24);
}

#[tokio::test]
async fn every_invalid_field_of_an_adjustment_is_named() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("adjustment", 5).await;
    let cases: Vec<(Value, Vec<(&str, &str)>)> = vec![
        (json!({}), vec![("/delta", "required"), ("/reason", "required")]),
        (json!({"delta": 0, "reason": "correction"}), vec![("/delta", "invalid_format")]),
        (json!({"delta": 1.5, "reason": "correction"}), vec![("/delta", "invalid_type")]),
        (json!({"delta": "1", "reason": "correction"}), vec![("/delta", "invalid_type")]),
        (
            json!({"delta": null, "reason": null}),
            vec![("/delta", "invalid_type"), ("/reason", "invalid_type")],
        ),
        (json!({"delta": 1_000_000_001, "reason": "received"}), vec![("/delta", "too_large")]),
        (json!({"delta": -1_000_000_001, "reason": "damaged"}), vec![("/delta", "too_small")]),
        (json!({"delta": i64::MIN, "reason": "damaged"}), vec![("/delta", "too_small")]),
        (json!({"delta": i64::MAX, "reason": "damaged"}), vec![("/delta", "too_large")]),
        (json!({"delta": 1, "reason": "opening"}), vec![("/reason", "unknown_value")]),
        (json!({"delta": 1, "reason": "shipped"}), vec![("/reason", "unknown_value")]),
        (json!({"delta": 1, "reason": "stolen"}), vec![("/reason", "unknown_value")]),
        (json!({"delta": 1, "reason": "received", "note": ""}), vec![("/note", "too_short")]),
        (json!({"delta": 1, "reason": "received", "note": "n".repeat(501)}), vec![("/note", "too_long")]),
        (json!({"delta": 1, "reason": "received", "note": 5}), vec![("/note", "invalid_type")]),
        (json!({"delta": 1, "reason": "received", "actor": "usr_1"}), vec![("/actor", "unknown_field")]),
        (json!([]), vec![("", "invalid_type")]),
        (json!("text"), vec![("", "invalid_type")]),
        (json!(null), vec![("", "invalid_type")]),
        (json!(5), vec![("", "invalid_type")]),
    ];
    for (body, expected) in cases {
        shop.adjust(product.id(), 1).json(&body).send().await.expect_invalid(&expected);
    }
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 5);
}

#[tokio::test]
async fn a_number_that_no_integer_holds_is_out_of_bounds() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("numbers", 5).await;
    let huge =
        [("1e30", "too_large"), ("-1e30", "too_small"), ("123456789012345678901234567890", "too_large")];
    for (number, code) in huge {
        let body = format!(r#"{{"delta": {number}, "reason": "received"}}"#);
        let refused = shop.adjust(product.id(), 1).body("application/json", body).send().await;
        refused.expect_invalid(&[("/delta", code)]);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_400() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("not-json")).await;
    let bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "}",
        "{]",
        r#"{"delta": 1"#,
        r#"{"delta": 1} {"#,
        r#"{"delta": 1}}"#,
        r#"{"delta": 1}null"#,
        r#"{"delta": 1,}"#,
        "{'delta': 1}",
        r#"{"delta": 01}"#,
        r#"{"delta": +1}"#,
        r#"{"delta": NaN}"#,
        r#"{"delta": 1e999}"#,
        "delta=1",
        "<a/>",
        "\u{feff}{}",
        r#"{"note": "\ud800"}"#,
        "{\"note\": \"a\nb\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain(["[".repeat(200).into_bytes(), b"{\"a\":".repeat(20_000)[..60_000].to_vec()])
    .collect();
    let path = format!("/products/{}", product.id());
    for body in bodies {
        let adjust = shop.adjust(product.id(), 1).body("application/json", body.clone());
        adjust.send().await.expect_problem(400, "malformed_json");
        let patch =
            shop.patch(&path).staff().if_match("*").body("application/merge-patch+json", body.clone());
        patch.send().await.expect_problem(400, "malformed_json");
        let create = shop.post("/products").staff().key(&unique("key")).body("application/json", body);
        create.send().await.expect_problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn a_name_twice_in_an_object_is_400_at_any_depth() {
    let shop = Shop::shared().await;
    let whole = new_product("twice").to_string();
    let price = whole.replace("\"amount\":", "\"amount\":1,\"amount\":");
    let escaped = whole.replace("\"sku\":", "\"\\u0073ku\":\"x\",\"sku\":");
    let attribute = whole.replace("\"colour\":", "\"colour\":\"red\",\"colour\":");
    for body in [&price, &escaped, &attribute, &whole.replacen('{', "{\"name\":1,", 1)] {
        assert_ne!(body, &whole);
        let create =
            shop.post("/products").staff().key(&unique("key")).body("application/json", body.clone());
        create.send().await.expect_problem(400, "malformed_json");
    }
    let create = shop.post("/products").staff().key(&unique("key")).body("application/json", whole);
    create.send().await.expect(201);
}

#[tokio::test]
async fn a_response_names_a_hundred_mistakes_at_most() {
    let shop = Shop::shared().await;
    let many: serde_json::Map<_, _> = (0..5_000).map(|number| (format!("x{number}"), json!(1))).collect();
    let create = shop.post("/products").staff().key(&unique("key")).json(&json!(many));
    let refused = create.send().await.expect_problem(422, "validation_failed");
    assert_eq!(refused["errors"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn text_that_hides_what_it_says_is_refused() {
    let shop = Shop::shared().await;
    // Right-to-left override, isolate, mark, line separator, zero-width space, byte order mark.
    for hidden in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}', '\u{200b}', '\u{feff}'] {
        let new = changed(new_product("hidden"), json!({"name": format!("Mug {hidden}gum")}));
        let create = shop.post("/products").staff().key(&unique("key")).json(&new);
        create.send().await.expect_invalid(&[("/name", "invalid_format")]);
    }
    // Scripts and emoji need some that join.
    for shown in ["می\u{200c}خواهم", "👩\u{200d}🚀", "עברית"] {
        shop.create(&changed(new_product("shown"), json!({"name": shown}))).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_400() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("not-utf-8")).await;
    for body in [&b"{\"delta\": 1, \"reason\": \"\xff\"}"[..], b"\xff\xfe{\0}\0", b"\xc3\x28"] {
        let adjust = shop.adjust(product.id(), 1).body("application/json", body);
        adjust.send().await.expect_problem(400, "malformed_json");
    }
}

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_a_larger_one_refused() {
    let shop = Shop::shared().await;
    let body = |length: usize| {
        let text = new_product("large").to_string();
        let padding = " ".repeat(length - text.len());
        text + &padding
    };
    let create = || shop.post("/products").staff().key(&unique("key"));
    create().body("application/json", body(65_536)).send().await.expect(201);
    for length in [65_537, 200_000] {
        create().body("application/json", body(length)).send().await.expect_problem(413, "body_too_large");
    }
    // Large in bytes, not in characters.
    let wide = changed(new_product("wide"), json!({"colour": "🏺".repeat(16_384)}));
    create().json(&wide).send().await.expect_problem(413, "body_too_large");
    let garbage = create().body("application/json", vec![b'x'; 70_000]).send().await;
    garbage.expect_problem(413, "body_too_large");
    let bytes = create().body("application/json", vec![0xff; 65_537]).send().await;
    bytes.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("media")).await;
    let path = format!("/products/{}", product.id());
    let create = || shop.post("/products").staff().key(&unique("key"));
    let patch = || shop.patch(&path).staff().if_match("*");
    for media_type in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json ;charset=UTF-8",
    ] {
        create().body(media_type, new_product("media").to_string()).send().await.expect(201);
        patch().body(media_type, r#"{"name": "Mug"}"#).send().await.expect(200);
    }
    patch().body("application/merge-patch+json", r#"{"name": "Mug"}"#).send().await.expect(200);
    let others = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json-patch+json",
        "json",
        "*/*",
        "",
    ];
    for media_type in others {
        let refused = create().body(media_type, new_product("media").to_string()).send().await;
        refused.expect_problem(415, "unsupported_media_type");
        patch().body(media_type, "{}").send().await.expect_problem(415, "unsupported_media_type");
    }
    let merge_patch =
        create().body("application/merge-patch+json", new_product("media").to_string()).send().await;
    merge_patch.expect_problem(415, "unsupported_media_type");
    create()
        .untyped_body(new_product("media").to_string())
        .send()
        .await
        .expect_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_post_needs_a_key_of_1_to_255_visible_characters() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("keys", 5).await;
    let adjust = || {
        let path = format!("/products/{}/inventory/adjustments", product.id());
        shop.post(&path).staff().json(&json!({"delta": 1, "reason": "received"}))
    };
    adjust().send().await.expect_problem(400, "idempotency_key_required");
    let bare = shop.post("/products").staff().json(&new_product("keys")).send().await;
    bare.expect_problem(400, "idempotency_key_required");
    for key in ["", "two words", "tab\tkey", "schlüssel", &"k".repeat(256)] {
        adjust().key(key).send().await.expect_problem(400, "invalid_idempotency_key");
    }
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 5);
    for key in
        [&"k".repeat(255), "!", "~", r#""6f1e2b1c""#, "a#b/c%20d", "🔑".escape_unicode().to_string().as_str()]
    {
        adjust().key(key).send().await.expect(201);
    }
}

#[tokio::test]
async fn the_first_thing_that_is_wrong_decides() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("order")).await;
    let path = format!("/products/{}", product.id());
    let nobody = "/products/prod_01jd8x2m9q5w3r7t1v6y4z0abc";
    let garbage = |request: Request| request.body("text/plain", vec![b'{'; 70_000]);

    // Who is calling, before all else.
    garbage(shop.patch("/products/x")).send().await.expect_problem(401, "token_required");
    garbage(shop.post("/products")).bearer("x").send().await.expect_problem(401, "invalid_token");
    garbage(shop.patch("/products/x")).customer().send().await.expect_problem(403, "insufficient_scope");
    // An id that is none, before the headers.
    garbage(shop.patch("/products/x")).staff().send().await.expect_problem(404, "not_found");
    shop.delete("/products/x").staff().send().await.expect_problem(404, "not_found");
    // The headers, before the body.
    garbage(shop.patch(&path)).staff().send().await.expect_problem(428, "if_match_required");
    garbage(shop.post("/products")).staff().send().await.expect_problem(400, "idempotency_key_required");
    // The body as such, before what is stored.
    garbage(shop.patch(&path))
        .staff()
        .if_match("*")
        .send()
        .await
        .expect_problem(415, "unsupported_media_type");
    let large = shop.patch(nobody).staff().if_match("*").body("application/json", vec![b'{'; 70_000]);
    large.send().await.expect_problem(413, "body_too_large");
    let malformed = shop.patch(nobody).staff().if_match("*").body("application/json", "{");
    malformed.send().await.expect_problem(400, "malformed_json");
    // What is stored, before what a patch would make of it.
    let absent = shop.patch(nobody).staff().if_match("*").json(&json!({"name": ""}));
    absent.send().await.expect_problem(404, "not_found");
    let stale = shop.patch(&path).staff().if_match(r#""9""#).json(&json!({"name": ""}));
    stale.send().await.expect_problem(412, "stale_version");
    shop.delete(nobody).staff().send().await.expect_problem(428, "if_match_required");
    shop.delete(nobody).staff().if_match("*").send().await.expect_problem(404, "not_found");
    // What is asked for, before whether it is there.
    let request = shop.post(&format!("{nobody}/inventory/adjustments")).staff().key(&unique("key"));
    request.json(&json!({})).send().await.expect(422);
}

/// Invalid bodies: field, value and code.
async fn refuse(request: impl Fn() -> Request, good: &Value, cases: &[(&str, Value, &str)]) {
    for (field, value, code) in cases {
        let mut body = good.clone();
        body[*field] = value.clone();
        request().json(&body).send().await.expect_invalid(&[(&format!("/{field}"), code)]);
    }
    for field in good.as_object().unwrap().keys() {
        let missing = changed(good.clone(), json!({field: null}));
        request().json(&missing).send().await.expect_invalid(&[(&format!("/{field}"), "required")]);
        let mut null = good.clone();
        null[field] = Value::Null;
        request().json(&null).send().await.expect_invalid(&[(&format!("/{field}"), "invalid_type")]);
    }
    for (name, value) in
        [("id", json!("usr_1")), ("pk", json!("USER#1")), ("", json!(1)), ("__proto__", json!({}))]
    {
        let mut more = good.clone();
        more[name] = value;
        request().json(&more).send().await.expect_invalid(&[(&format!("/{name}"), "unknown_field")]);
    }
    for body in [json!([]), json!("text"), json!(null), json!(5)] {
        request().json(&body).send().await.expect_invalid(&[("", "invalid_type")]);
    }
    request().body("application/json", "{").send().await.expect_problem(400, "malformed_json");
    request().body("application/json", "").send().await.expect_problem(400, "malformed_json");
    request().body("text/plain", good.to_string()).send().await.expect_problem(415, "unsupported_media_type");
    let form = request().form(&[("email", "jane@canary.test")]).send().await;
    form.expect_problem(415, "unsupported_media_type");
    request().body("application/json", vec![b' '; 70_000]).send().await.expect_problem(413, "body_too_large");
}

/// Invalid e-mail addresses.
fn no_emails() -> Vec<(&'static str, Value, &'static str)> {
    let long = |local: usize, domain: usize| format!("{}@{}.test", "a".repeat(local), "b".repeat(domain));
    let texts = [
        "",
        " ",
        "@",
        "jane",
        "jane@",
        "@canary.test",
        "jane@canary",
        "jane@@canary.test",
        "jane@canary.test@x.test",
        "jane doe@canary.test",
        " jane@canary.test",
        "jane@canary.test ",
        "jane@canary..test",
        "jane@.canary.test",
        "jane@canary.test.",
        "jane@-canary.test",
        "jane@canary-.test",
        "jane@can ary.test",
        "jane@canary.test\n",
        "jane@canary.test\u{0}",
        "j\u{e4}ne@canary.test",
        "jane@c\u{430}nary.test",
        "Jane <jane@canary.test>",
        "jane@canary.test,joe@canary.test",
        "jane@canary.test;joe@canary.test",
        "\"jane\"@canary.test",
        "jane@[127.0.0.1]",
        "jane\r\nBcc: joe@canary.test",
        "(jane)@canary.test",
        "jane#LOGIN",
    ];
    let mut cases: Vec<_> = texts.into_iter().map(|text| ("email", json!(text), "invalid_format")).collect();
    cases.extend([
        ("email", json!(long(65, 10)), "invalid_format"),
        ("email", json!(long(10, 64)), "invalid_format"),
        ("email", json!(long(60, 250)), "too_long"),
        ("email", json!("a".repeat(60_000)), "too_long"),
        ("email", json!(5), "invalid_type"),
        ("email", json!(true), "invalid_type"),
        ("email", json!(["jane@canary.test"]), "invalid_type"),
        ("email", json!({"address": "jane@canary.test"}), "invalid_type"),
    ]);
    cases
}

/// Forbidden passwords. The filter has its own tests of common and personal ones.
fn bad_passwords(field: &'static str) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (field, json!(""), "too_short"),
        (field, json!("CANARY-qz7Kd0v"), "too_short"),
        (field, json!("🏺".repeat(14)), "too_short"),
        (field, json!(format!("CANARY-{}", "qz7Kd0vWx3L".repeat(12))), "too_long"),
        (field, json!("a".repeat(20)), "repetitive_password"),
        (field, json!("passwordpassword"), "common_password"),
        (field, json!(5), "invalid_type"),
        (field, json!(["CANARY-qz7Kd0vWx3Lp9TjR"]), "invalid_type"),
        (field, json!({}), "invalid_type"),
        (field, json!(false), "invalid_type"),
    ]
}

#[tokio::test]
async fn every_invalid_field_of_a_registration_is_named() {
    let shop = Shop::shared().await;
    let person = Person::new();
    let good = json!({"email": person.email, "password": person.password, "name": person.name});
    let names = [
        ("name", json!(""), "too_short"),
        ("name", json!("   "), "too_short"),
        ("name", json!("🏺".repeat(101)), "too_long"),
        ("name", json!("two\nlines"), "invalid_format"),
        ("name", json!("nul\u{0}"), "invalid_format"),
        ("name", json!(5), "invalid_type"),
        ("name", json!({"first": "Jane"}), "invalid_type"),
    ];
    let cases = [no_emails(), bad_passwords("password"), names.to_vec()].concat();
    refuse(|| shop.post("/users"), &good, &cases).await;
    let all = json!({"email": "jane", "password": "short", "name": "", "role": "admin"});
    shop.post("/users").json(&all).send().await.expect_invalid(&[
        ("/email", "invalid_format"),
        ("/password", "too_short"),
        ("/name", "too_short"),
        ("/role", "unknown_field"),
    ]);
    let personal = changed(good, json!({"password": person.email}));
    shop.post("/users").json(&personal).send().await.expect_invalid(&[("/password", "personal_password")]);
    assert!(shop.mailbox().sent_to(&person.email).is_empty());
}

#[tokio::test]
async fn every_invalid_field_of_a_log_in_is_named() {
    let shop = Shop::shared().await;
    let good = json!({"email": Person::new().email, "password": Person::new().password});
    let passwords = [
        ("password", json!(5), "invalid_type"),
        ("password", json!(["x"]), "invalid_type"),
        ("password", json!({"$ne": null}), "invalid_type"),
    ];
    refuse(|| shop.post("/sessions"), &good, &[no_emails(), passwords.to_vec()].concat()).await;
}

#[tokio::test]
async fn every_invalid_field_of_what_a_mail_is_answered_with_is_named() {
    let shop = Shop::shared().await;
    let (registered, person) = (Person::new(), shop.register_person().await);
    shop.register(&registered).send().await.expect(202);
    let token = shop.mailed_token(&registered.email, "verify-email", 1).await;
    let tokens = [
        ("token", json!(""), "invalid_format"),
        ("token", json!("x"), "invalid_format"),
        ("token", json!("x".repeat(60_000)), "invalid_format"),
        ("token", json!("🏺"), "invalid_format"),
        ("token", json!(5), "invalid_type"),
        ("token", json!([token]), "invalid_type"),
    ];
    let good = json!({"token": token, "password": registered.password});
    let passwords = [("password", json!(5), "invalid_type"), ("password", json!([]), "invalid_type")];
    let cases = [&tokens[..], &passwords].concat();
    refuse(|| shop.post("/users/verify-email"), &good, &cases).await;
    shop.verify(&registered, &token).send().await.expect(204);

    refuse(|| shop.post("/users/password-reset"), &json!({"email": person.email}), &no_emails()).await;
    shop.forget_password(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "reset-password", 1).await;
    let good = json!({"token": token, "new_password": Person::new().password});
    let cases = [&tokens[..], &bad_passwords("new_password")].concat();
    refuse(|| shop.post("/users/password-reset/confirm"), &good, &cases).await;
    // Whatever was refused, the mail is good still.
    shop.reset_password(&person, &token, &Person::new().password).send().await.expect(204);
}

#[tokio::test]
async fn every_invalid_field_of_a_new_password_is_named() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let good = json!({"current_password": person.password, "new_password": Person::new().password});
    let currents =
        [("current_password", json!(5), "invalid_type"), ("current_password", json!({}), "invalid_type")];
    let cases = [&currents[..], &bad_passwords("new_password")].concat();
    refuse(|| shop.put("/users/me/password").bearer(&session.access_token), &good, &cases).await;
    let personal = json!({"current_password": person.password, "new_password": person.email});
    let put = shop.put("/users/me/password").bearer(&session.access_token).json(&personal).send().await;
    put.expect_invalid(&[("/new_password", "personal_password")]);
    let good = json!({"password": person.password});
    let passwords = [("password", json!(5), "invalid_type"), ("password", json!([]), "invalid_type")];
    refuse(|| shop.post("/users/me/delete").bearer(&session.access_token), &good, &passwords).await;
    shop.log_in(&person).send().await.expect(200);
}

#[tokio::test]
async fn every_invalid_field_of_a_profile_is_named() {
    let shop = Shop::shared().await;
    let session = shop.session(&shop.register_person().await).await;
    let patch =
        |patch: Value| shop.patch("/users/me").bearer(&session.access_token).if_match("*").json(&patch);
    let x = |count: usize| "x".repeat(count);
    let address = json!({
        "name": "CANARY Jane", "line1": "CANARY Lane 7", "city": "Berlin", "postal_code": "10969", "country": "DE",
    });
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({"name": null}), "/name", "required"),
        (json!({"name": ""}), "/name", "too_short"),
        (json!({"name": x(101)}), "/name", "too_long"),
        (json!({"name": "two\nlines"}), "/name", "invalid_format"),
        (json!({"name": 5}), "/name", "invalid_type"),
        (json!({"phone": ""}), "/phone", "too_short"),
        (json!({"phone": "12"}), "/phone", "too_short"),
        (json!({"phone": "1".repeat(31)}), "/phone", "too_long"),
        (json!({"phone": "1234567890123456"}), "/phone", "invalid_format"),
        (json!({"phone": "call me"}), "/phone", "invalid_format"),
        (json!({"phone": "+49+30"}), "/phone", "invalid_format"),
        (json!({"phone": "\u{661}\u{662}\u{663}"}), "/phone", "invalid_format"),
        (json!({"phone": "12\n34"}), "/phone", "invalid_format"),
        (json!({"phone": 49_301_234_567_i64}), "/phone", "invalid_type"),
        (json!({"addresses": {}}), "/addresses", "invalid_type"),
        (json!({"addresses": vec![address.clone(); 21]}), "/addresses", "too_many"),
        (json!({"addresses": ["here"]}), "/addresses/0", "invalid_type"),
        (json!({"addresses": [null]}), "/addresses/0", "invalid_type"),
        (json!({"email": "other@canary.test"}), "/email", "unknown_field"),
        (json!({"role": "admin"}), "/role", "unknown_field"),
        (json!({"status": "disabled"}), "/status", "unknown_field"),
        (json!({"id": "usr_1"}), "/id", "unknown_field"),
        (json!({"version": 7}), "/version", "unknown_field"),
        (json!({"epoch": null}), "/epoch", "unknown_field"),
        (json!({"password": "x"}), "/password", "unknown_field"),
        (json!({"email_verified": true}), "/email_verified", "unknown_field"),
    ];
    for (change, pointer, code) in cases {
        patch(change).send().await.expect_invalid(&[(pointer, code)]);
    }
    let parts: Vec<(&str, Value, &str)> = vec![
        ("name", json!(x(101)), "too_long"),
        ("name", json!(""), "too_short"),
        ("line1", json!(x(201)), "too_long"),
        ("line1", json!("a\tb"), "invalid_format"),
        ("line2", json!(""), "too_short"),
        ("line2", json!(x(201)), "too_long"),
        ("line2", json!(5), "invalid_type"),
        ("city", json!(x(101)), "too_long"),
        ("region", json!(x(101)), "too_long"),
        ("postal_code", json!(x(21)), "too_long"),
        ("postal_code", json!(10_969), "invalid_type"),
        ("country", json!("de"), "invalid_format"),
        ("country", json!("DEU"), "invalid_format"),
        ("country", json!("XX"), "invalid_format"),
        ("country", json!(""), "invalid_format"),
        ("country", json!("Germany"), "invalid_format"),
        ("country", json!("\u{ff24}\u{ff25}"), "invalid_format"),
        ("country", json!(276), "invalid_type"),
        ("phone", json!("x"), "too_short"),
        ("phone", json!("none"), "invalid_format"),
        ("planet", json!("Earth"), "unknown_field"),
        ("email", json!("jane@canary.test"), "unknown_field"),
    ];
    for (field, value, code) in parts {
        let mut wrong = address.clone();
        wrong[field] = value;
        let refused = patch(json!({"addresses": [address, wrong]})).send().await;
        refused.expect_invalid(&[(&format!("/addresses/1/{field}"), code)]);
    }
    for field in ["name", "line1", "city", "postal_code", "country"] {
        let refused =
            patch(json!({"addresses": [changed(address.clone(), json!({field: null}))]})).send().await;
        refused.expect_invalid(&[(&format!("/addresses/0/{field}"), "required")]);
    }
    let all = json!({"name": "", "phone": "x", "addresses": [{"country": "de"}], "role": "admin"});
    patch(all).send().await.expect_invalid(&[
        ("/name", "too_short"),
        ("/phone", "too_short"),
        ("/addresses/0/name", "required"),
        ("/addresses/0/line1", "required"),
        ("/addresses/0/city", "required"),
        ("/addresses/0/postal_code", "required"),
        ("/addresses/0/country", "invalid_format"),
        ("/role", "unknown_field"),
    ]);
    let bare = shop.patch("/users/me").bearer(&session.access_token).json(&json!({"name": "x"}));
    bare.send().await.expect_problem(428, "if_match_required");
}

#[tokio::test]
async fn every_invalid_field_of_what_the_staff_changes_of_a_user_is_named() {
    let shop = Shop::shared().await;
    let path = format!("/users/{}", shop.user(&shop.register_person().await).await.id());
    let patch = |patch: Value| shop.patch(&path).scoped("users:write").if_match("*").json(&patch);
    for (change, pointer, code) in [
        (json!({"role": "owner"}), "/role", "unknown_value"),
        (json!({"role": "Admin"}), "/role", "unknown_value"),
        (json!({"role": ""}), "/role", "unknown_value"),
        (json!({"role": null}), "/role", "required"),
        (json!({"role": 5}), "/role", "invalid_type"),
        (json!({"role": ["admin"]}), "/role", "invalid_type"),
        (json!({"status": "deleted"}), "/status", "unknown_value"),
        (json!({"status": null}), "/status", "required"),
        (json!({"status": true}), "/status", "invalid_type"),
        (json!({"locked": true}), "/locked", "unknown_value"),
        (json!({"locked": "false"}), "/locked", "invalid_type"),
        (json!({"locked": 0}), "/locked", "invalid_type"),
        (json!({"email": "other@canary.test"}), "/email", "unknown_field"),
        (json!({"name": "Other"}), "/name", "unknown_field"),
        (json!({"password": "x"}), "/password", "unknown_field"),
        (json!({"scope": ADMIN}), "/scope", "unknown_field"),
        (json!({"epoch": 1}), "/epoch", "unknown_field"),
    ] {
        patch(change).send().await.expect_invalid(&[(pointer, code)]);
    }
    let bare = shop.patch(&path).scoped("users:write").json(&json!({"role": "staff"})).send().await;
    bare.expect_problem(428, "if_match_required");
    let user = shop.get(&path).scoped("users:read").send().await.expect(200);
    assert_eq!((&user["role"], user.etag()), (&json!("customer"), "\"1\""));

    for (name, value, code) in [
        ("role", "owner", "unknown_value"),
        ("status", "gone", "unknown_value"),
        ("email", "jane", "invalid_format"),
        ("limit", "0", "too_small"),
        ("limit", "101", "too_large"),
        ("name", "Jane", "unknown_parameter"),
    ] {
        let list = shop.get("/users").query(name, value).scoped("users:read").send().await;
        list.expect_invalid(&[(&format!("/{name}"), code)]);
    }
}
