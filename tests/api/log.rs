use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    bus::assert_published_well,
    oauth::{STOREFRONT_CLIENT, code_for, machine},
    shop::{
        API_KEY, Answer, Options, Person, Shop, new_product, process,
        proxy::{payment_refusals, refusals},
        unique, unique_user,
    },
};

/// Returns the log line of a request.
pub async fn line_of(shop: &Shop, answer: &Answer) -> Value {
    let id = answer.header("x-request-id").to_owned();
    shop.log().wait_for(|line| line.json()["request_id"] == *id).await.json()
}

#[tokio::test]
async fn a_request_is_one_line_that_says_what_became_of_it() {
    let shop = Shop::shared().await;
    let answer = shop.get("/products").send().await.expect(200);
    let line = line_of(&shop, &answer).await;
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["operation"], "products-list");
    assert_eq!(line["status"], 200);
    assert!(line["service"].is_string() && line["cold_start"].is_boolean());
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
    let timestamp = line["timestamp"].as_str().unwrap();
    assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
    let id = answer.header("x-request-id");
    assert_eq!(shop.log().lines(|line| line.text.contains(id)).len(), 1);
}

#[tokio::test]
async fn a_line_names_the_caller_whose_token_was_accepted() {
    let shop = Shop::shared().await;
    let user = unique_user();
    let accepted = shop.get("/orders").caller(&user, "orders:own").send().await.expect(200);
    assert_eq!(line_of(&shop, &accepted).await["actor"], user);
    let refused = shop.get("/orders").caller(&user, "account").send().await.expect(403);
    assert_eq!(line_of(&shop, &refused).await["actor"], user);
    // No token, and none that is accepted, names a caller: neither does the line after one that did.
    let forged = shop.get("/orders").bearer("x").send().await.expect(401);
    assert_eq!(line_of(&shop, &forged).await["actor"], Value::Null);
}

#[tokio::test]
async fn a_refusal_is_logged_as_expected_and_a_failure_as_error_with_its_cause() {
    let shop = Shop::shared().await;
    let refused = shop.get("/products/x").send().await.expect(404);
    let line = line_of(&shop, &refused).await;
    assert_eq!((&line["level"], &line["status"]), (&json!("INFO"), &json!(404)));

    let product = shop.create(&new_product("failing")).await;
    let fault = shop.calls("Query").about(product.id()).answer(refusals()[8].1.clone());
    let failed = shop.get(&format!("/products/{}", product.id())).send().await.expect(500);
    drop(fault);
    let line = line_of(&shop, &failed).await;
    assert_eq!((&line["level"], &line["status"]), (&json!("ERROR"), &json!(500)));
    assert!(line["error"].as_str().unwrap().contains("ResourceNotFoundException"), "{line}");
}

#[tokio::test]
async fn the_first_request_of_a_process_is_its_cold_start() {
    let shop = Shop::with(&[("health-get", 1)]).await;
    let mut cold_starts = Vec::new();
    for _ in 0..3 {
        let answer = shop.get("/health").send().await.expect(200);
        cold_starts.push(line_of(&shop, &answer).await["cold_start"].clone());
    }
    assert_eq!(cold_starts, [json!(true), json!(false), json!(false)]);
}

#[tokio::test]
async fn a_trace_is_continued_where_it_is_a_valid_one() {
    let shop = Shop::shared().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = shop.get("/products/x").header("traceparent", &traceparent).send().await;
    assert_eq!(line_of(&shop, &answer).await["trace_id"], trace);

    let zeros = "0".repeat(32);
    for invalid in [
        "",
        "x",
        trace,
        &format!("00-{zeros}-00f067aa0ba902b7-01"),
        &format!("ff-{trace}-00f067aa0ba902b7-01"),
        &format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
    ] {
        let answer = shop.get("/products/x").header("traceparent", invalid).send().await;
        assert_ne!(line_of(&shop, &answer).await["trace_id"], trace);
    }
}

#[tokio::test]
async fn a_request_that_counts_nothing_pays_for_no_metric() {
    let shop = Shop::shared().await;
    let line = line_of(&shop, &shop.get("/products").send().await).await;
    assert_eq!(line.get("_aws"), None, "{line}");
    assert!(line["duration_ms"].is_number() && line["status"].is_number(), "{line}");
}

#[tokio::test]
async fn i23_nothing_that_a_client_sent_appears_in_the_log() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("canary")).await;
    let path = format!("/products/{}", product.id());
    let canary =
        || json!({"delta": 1, "reason": "received", "note": "CANARY note of Jane Doe, +44 20 7946 0000"});
    let token = shop.token("usr_01jd0000000000000000000000", "CANARY").claim("email", "CANARY@shop.test");
    let token = token.sign(shop.signer());
    let requests = [
        shop.adjust(product.id(), 1).json(&canary()).key("CANARY-key"),
        shop.adjust(product.id(), 1).json(&json!({"CANARY": "CANARY"})),
        shop.adjust(product.id(), 1).json(&json!({"delta": "CANARY", "reason": "CANARY"})),
        shop.adjust(product.id(), 1).body("application/json", "CANARY"),
        shop.adjust(product.id(), 1).body("application/json", r#"{"delta": CANARY}"#),
        shop.adjust(product.id(), 1).body("text/CANARY", "CANARY"),
        shop.adjust(product.id(), -1_000_000).json(&canary()),
        shop.patch(&path).staff().if_match("CANARY").json(&json!({"name": "CANARY"})),
        shop.patch(&path).staff().if_match("*").json(&json!({"name": "CANARY"})),
        shop.get("/products").query("q", "CANARY"),
        shop.get("/products").query("CANARY", "CANARY"),
        shop.get("/products").query("cursor", "CANARY"),
        shop.get("/products/CANARY"),
        shop.get("/products/CANARY/inventory").staff(),
        shop.get(&format!("{path}/inventory")).bearer(&token),
        shop.get(&format!("{path}/inventory")).bearer("CANARY"),
        shop.get(&format!("{path}/inventory")).header("authorization", "Basic CANARY"),
        shop.get(&path)
            .if_none_match("CANARY")
            .header("x-forwarded-for", "CANARY")
            .header("traceparent", "CANARY"),
    ];
    for request in requests {
        for request in [request.clone(), request.through_watch()] {
            let answer = request.send().await;
            line_of(&shop, &answer).await;
        }
    }
    // Failures below are logged with their cause: it holds nothing of the request.
    for (_, refusal) in refusals() {
        let fault = shop.calls("TransactWriteItems").about(product.id()).answer(refusal);
        let answer = shop.adjust(product.id(), 1).json(&canary()).key(&unique("CANARY")).send().await;
        drop(fault);
        line_of(&shop, &answer).await;
    }
    shop.log().assert_clean();
}

#[tokio::test]
async fn i23_no_token_code_secret_or_address_appears_in_the_log() {
    let shop = Shop::start(Options::default()).await;
    let (person, applicant) = (shop.register_person().await, Person::new());
    let session = shop.session(&person).await;
    let (id, secret) = machine(&shop, "inventory:read").await;
    shop.register(&applicant).send().await.expect(202);
    shop.forget_password(&person).send().await.expect(202);
    let verify = shop.mailed_token(&applicant.email, "verify-email", 1).await;
    let reset = shop.mailed_token(&person.email, "reset-password", 1).await;
    let code = code_for(&shop, &STOREFRONT_CLIENT, &person).await;
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
    let patch = json!({"name": person.name, "phone": "+49 30 555 0199", "addresses": []});
    let requests = || {
        vec![
            shop.log_in(&person),
            shop.log_in_with(&person, "CANARY wrong"),
            shop.refresh(&session.refresh_token),
            shop.token_request(&[("grant_type", "client_credentials")]).header("authorization", &basic),
            shop.get(&STOREFRONT_CLIENT.path(Some(("state", Some("CANARY state"))))),
            shop.get(&STOREFRONT_CLIENT.path(Some(("client_id", Some("CANARY"))))),
            shop.get("/users").query("email", &person.email).scoped("users:read"),
            shop.get("/users").query("email", "CANARY").scoped("users:read"),
            shop.patch("/users/me").bearer(&session.access_token).if_match("*").json(&patch),
            shop.get("/users/me").bearer(&session.access_token),
            shop.post("/oauth/revoke").form(&[("token", &session.refresh_token), ("client_id", "CANARY")]),
            shop.verify(&applicant, &verify),
            shop.reset_password(&person, &reset, &Person::new().password),
            STOREFRONT_CLIENT.exchange(&shop, &code),
        ]
    };
    // Through failures below, which are logged with their cause, and without.
    for (_, refusal) in refusals().into_iter().step_by(3) {
        let _fault = shop.any_call().answer(refusal);
        for request in requests() {
            line_of(&shop, &request.send().await).await;
        }
    }
    shop.remove(crate::shop::USERS, |item| item["pk"]["S"].as_str().unwrap().starts_with('A'));
    for request in requests() {
        line_of(&shop, &request.send().await).await;
    }
    shop.log().assert_clean();
    let secrets = [
        &*session.refresh_token,
        &secret,
        &basic,
        &verify,
        &reset,
        &code,
        &person.address,
        "555 0199",
        "$argon2",
    ];
    let functions = process::functions();
    let told = shop.log().lines(|line| {
        functions.contains(&line.program) && secrets.iter().any(|secret| line.text.contains(secret))
    });
    assert!(told.is_empty(), "{told:#?}");
}

#[tokio::test]
async fn i23_nothing_of_an_order_or_its_payment_appears_in_the_log_nor_on_the_bus() {
    let shop = Shop::start(Options::default()).await;
    let mug = shop.create_stocked("secret", 1_000).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let paid = shop.paid(&[(mug.id(), 2)]).await;
    let canary =
        json!({"CANARY": "CANARY", "payment_method": "pm_CANARY", "amount": "CANARY", "reason": "CANARY"});
    let requests = || {
        let path = format!("/orders/{}", order.id());
        vec![
            shop.place(&unique_user(), &[(mug.id(), 1)]).key(&unique("CANARY")),
            shop.place(&unique_user(), &[("CANARY", 1)]),
            shop.order_of(&unique_user(), &canary),
            shop.order_of(&unique_user(), &canary).body("application/json", "CANARY"),
            shop.get(&path).staff(),
            shop.get("/orders/CANARY").staff(),
            shop.get("/orders").query("customer_id", "CANARY").staff(),
            shop.get("/orders").query("cursor", "CANARY").staff(),
            shop.pay(&order, "pm_CANARY"),
            shop.pay_with(&order, &canary),
            shop.pay_with(
                &order,
                &json!({"payment_method": "pm_error_500", "return_url": "https://canary.test/CANARY"}),
            ),
            shop.cancel(&order).json(&canary),
            shop.capture(&order, Some(1)),
            shop.refund(&paid, &json!({"amount": 1, "reason": "CANARY says Jane Doe"})),
            shop.refund(&paid, &canary),
            shop.fulfil(&paid, &canary),
            shop.fulfil(&paid, &json!({"tracking": {"carrier": "CANARY", "number": "CANARY"}})),
            shop.webhook("payment_intent.succeeded", &canary),
            shop.webhook("CANARY", &canary),
            shop.post("/payments/webhooks/stripe")
                .header("Stripe-Signature", "CANARY")
                .body("text/CANARY", "CANARY"),
        ]
    };
    for refusal in refusals().into_iter().chain(payment_refusals()).step_by(4) {
        let _fault = shop.any_call().answer(refusal.1);
        for request in requests() {
            line_of(&shop, &request.send().await).await;
        }
        for function in ["orders-expire", "payments-reconcile"] {
            shop.invoke(function, &json!({"CANARY": "CANARY"})).await;
        }
    }
    for request in requests() {
        line_of(&shop, &request.send().await).await;
    }
    let paths = ["pm_CANARY", "pm_error_500", "Jane Doe", "Lane 7", "5550199", API_KEY, "whsec_", "Bearer"];
    let functions = process::functions();
    let told = shop.log().lines(|line| {
        functions.contains(&line.program) && paths.iter().any(|secret| line.text.contains(secret))
    });
    assert!(told.is_empty(), "{told:#?}");
    shop.log().assert_clean();
    shop.bus().events().iter().for_each(assert_published_well);
}

#[tokio::test]
async fn every_line_that_a_function_prints_is_json() {
    let shop = Shop::shared().await;
    let answer = shop.get("/products").send().await;
    line_of(&shop, &answer).await;
    let functions = process::functions();
    // The runtime's own word for a client that went away before its answer.
    let gone = |text: &str| text.starts_with("Lambda Runtime API returned non-200 response");
    let others = shop
        .log()
        .lines(|line| functions.contains(&line.program) && !line.json().is_object() && !gone(&line.text));
    assert!(others.is_empty(), "{others:#?}");
}
