//! Behaviour of API Gateway and other AWS services, in the emulated cloud of `tests/cloud/run`.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::shop::{
    Answer, CONTRACT, Request, Shop, buyers::AUTHENTICATION, deployed::Deployed, eventually, new_product,
    unique,
};

/// Creates an API key with a usage plan.
fn new_key(cloud: &Deployed, limits: &Value) -> String {
    let mut plan = json!({"name": unique("plan"), "apiStages": [{"apiId": cloud.api(), "stage": "v1"}]});
    plan.as_object_mut().unwrap().extend(limits.as_object().unwrap().clone());
    let plan = cloud.rest("apigateway", "POST", "/usageplans", &plan);
    let key = json!({"name": unique("key"), "enabled": true});
    let key = cloud.rest("apigateway", "POST", "/apikeys", &key);
    let path = format!("/usageplans/{}/keys", plan["id"].as_str().unwrap());
    cloud.rest("apigateway", "POST", &path, &json!({"keyId": key["id"], "keyType": "API_KEY"}));
    key["value"].as_str().unwrap().to_owned()
}

/// Makes a request that requires an API key.
fn inventory(shop: &Shop, product: &str, key: &str) -> Request {
    shop.get(&format!("/products/{product}/inventory")).staff().header("X-Api-Key", key)
}

/// Fails unless the response is this gateway response.
fn assert_refusal(status: u16, headers: &HeaderMap, body: &Value, expected: (u16, &str)) {
    assert_eq!((status, body["code"].as_str()), (expected.0, Some(expected.1)), "{body} {headers:#?}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:problem-type:lambda-shop:{}", expected.1));
    assert!(!body["title"].as_str().unwrap().is_empty() && !body["detail"].as_str().unwrap().is_empty());
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("content-type"), Some("application/problem+json"));
    assert_eq!(header("access-control-allow-origin"), Some("*"));
    assert_eq!(header("cache-control"), Some("private, no-store"));
    assert_eq!(header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
    assert_eq!(header("referrer-policy"), Some("no-referrer"));
    assert_eq!(header("strict-transport-security"), Some("max-age=63072000; includeSubDomains"));
    assert_eq!(header("x-content-type-options"), Some("nosniff"));
    assert_eq!(header("x-request-id"), body["request_id"].as_str());
    assert!(header("access-control-expose-headers").unwrap().contains("Retry-After"));
}

fn assert_limited(answer: &Answer, retry_after: &str) {
    assert_refusal(answer.status, &answer.headers, &answer.json, (429, "too_many_requests"));
    assert_eq!(answer.header("retry-after"), retry_after);
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn an_unknown_path_or_method_is_not_found() {
    let shop = Shop::shared().await;
    let unknown = [
        ("GET", "/nothing"),
        ("GET", "/products/x/nothing"),
        ("PUT", "/products"),
        ("POST", "/health"),
        ("GET", "/"),
    ];
    for (method, path) in unknown {
        let (status, headers, body) = shop.send_raw(Method::try_from(method).unwrap(), path).await;
        let body = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {path}: {body}"));
        assert_refusal(status, &headers, &body, (404, "not_found"));
    }
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn each_path_answers_the_preflight_of_a_browser() {
    let shop = Shop::shared().await;
    for operation in CONTRACT.operations() {
        let path = operation.path.replace(['{', '}'], "");
        let (status, headers, body) = shop.send_raw(Method::OPTIONS, &path).await;
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        let header =
            |name: &str| headers.get(name).unwrap_or_else(|| panic!("{path}: no {name}")).to_str().unwrap();
        assert_eq!(header("access-control-allow-origin"), "*");
        assert_eq!(header("access-control-max-age"), "7200");
        let methods = header("access-control-allow-methods");
        assert!(methods.split(',').any(|method| method.trim() == operation.method), "{path}: {methods}");
        let allowed = header("access-control-allow-headers").to_lowercase();
        let needed =
            ["authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "x-api-key"];
        assert!(needed.iter().all(|name| allowed.contains(name)), "{path}: {allowed}");
    }
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn the_operations_of_the_staff_need_an_api_key() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("gateway")).await;
    for key in ["", "0123456789abcdef0123456789abcdef"] {
        let answer = inventory(&shop, product.id(), key).send().await;
        assert_refusal(answer.status, &answer.headers, &answer.json, (403, "invalid_api_key"));
        let answer = shop.post("/products").staff().key(&unique("key")).json(&new_product("gateway"));
        answer.header("X-Api-Key", key).send().await.expect_problem(403, "invalid_api_key");
    }
    inventory(&shop, product.id(), shop.cloud().api_key()).send().await.expect(200);
    // A key is no log-in.
    let path = format!("/products/{}/inventory", product.id());
    shop.get(&path).send().await.expect_problem(401, "token_required");

    shop.get(&format!("/products/{}", product.id())).header("X-Api-Key", "").send().await.expect(200);
    shop.get("/products").header("X-Api-Key", "").send().await.expect(200);
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn a_key_of_no_plan_opens_nothing() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("gateway")).await;
    let key = json!({"name": unique("key"), "enabled": true});
    let key = shop.cloud().rest("apigateway", "POST", "/apikeys", &key);
    let key = key["value"].as_str().unwrap();
    inventory(&shop, product.id(), key).send().await.expect_problem(403, "invalid_api_key");
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn a_key_beyond_the_burst_of_its_plan_waits_a_second() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("gateway")).await;
    let key = new_key(shop.cloud(), &json!({"throttle": {"rateLimit": 0.01, "burstLimit": 3}}));
    for _ in 0..3 {
        inventory(&shop, product.id(), &key).send().await.expect(200);
    }
    assert_limited(&inventory(&shop, product.id(), &key).send().await, "1");
    // It is the affair of that key alone.
    inventory(&shop, product.id(), shop.cloud().api_key()).send().await.expect(200);
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn a_key_beyond_the_quota_of_its_plan_waits_a_minute() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("gateway")).await;
    let key = new_key(shop.cloud(), &json!({"quota": {"limit": 2, "period": "DAY"}}));
    for _ in 0..2 {
        inventory(&shop, product.id(), &key).send().await.expect(200);
    }
    assert_limited(&inventory(&shop, product.id(), &key).send().await, "60");
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn requests_beyond_what_a_method_takes_wait_a_second() {
    let shop = Shop::shared().await;
    // 20 at once, 10 a second: the template says so of this one.
    let answers = join_all((0..80).map(|_| shop.get("/health").send())).await;
    let (limited, answered): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 429);
    assert!(!limited.is_empty() && answered.len() >= 20, "{} limited", limited.len());
    answered.iter().for_each(|answer| assert_eq!(answer.status, 200, "{answer:?}"));
    limited.iter().for_each(|answer| assert_limited(answer, "1"));
    // Other methods have limits of their own.
    shop.get("/products").send().await.expect(200);
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn stripe_tells_the_shop_by_itself_what_became_of_a_payment() {
    let shop = Shop::shared().await;
    shop.cloud().send_webhooks_of(shop.stripe());
    let product = shop.create(&new_product("gateway")).await;
    let order = shop.ordered(&[(product.id(), 2)]).await;
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    assert_eq!(payment["status"], "requires_action", "{payment:?}");
    shop.stripe().settle(&shop.intent(order.id(), 0), true).unwrap();
    let paid = async || {
        let order = shop.order(order.id()).await;
        (order["payment_status"] == "paid").then_some(order)
    };
    eventually("the webhook of the payment", paid).await;
}

#[tokio::test]
#[ignore = "about a shop that is deployed: tests/cloud/run"]
async fn the_schedule_expires_unpaid_orders() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("gateway")).await;
    let order = shop.ordered(&[(product.id(), 2)]).await;
    shop.later(order.id());
    // Once a minute, and the emulator looks at its clock now and then.
    let deadline = Instant::now() + Duration::from_secs(150);
    while shop.order(order.id()).await["status"] != "expired" {
        assert!(Instant::now() < deadline, "{:?}", shop.order(order.id()).await);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(shop.inventory(product.id()).await["available"], 10);
}
