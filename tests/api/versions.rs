use std::{fs, net::Ipv4Addr, path::PathBuf, process::Command, sync::Arc};

use runtime::gateway::Gateway;
use template::Template;
use tidy::{self, Repository, breaking};

use crate::shop::{
    ADMIN, Answer, Contract, Options, Received, Shop, new_product, process, unique, unique_user,
};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const RETIREMENTS: &str = "RETIREMENTS";

fn retirement(headers: &HeaderMap) -> [Option<&str>; 2] {
    ["deprecation", "sunset"].map(|name| headers.get(name).map(|value| value.to_str().unwrap()))
}

/// Starts a shop with retired versions.
async fn shop_with(retirements: &str, programs: Vec<(&'static str, PathBuf)>) -> Shop {
    let only = Some(vec!["products-create", "products-get", "products-list"]);
    let variables = vec![(RETIREMENTS, retirements.to_owned())];
    Shop::start(Options { only, variables, programs, ..Options::default() }).await
}

#[tokio::test]
async fn a_version_that_is_given_up_says_so_in_every_answer() {
    let shop = shop_with("v2=2030-01-01/2030-01-01 v1=2027-01-01/2027-07-01", Vec::new()).await;
    let says_so = |answer: Answer| {
        let days = [Some("@1798761600"), Some("Thu, 01 Jul 2027 00:00:00 GMT")];
        assert_eq!(retirement(&answer.headers), days, "{answer:?}");
        assert!(answer.header("access-control-expose-headers").ends_with(", Deprecation, Sunset"));
        answer
    };
    let created = says_so(shop.create(&new_product("retired")).await);
    let path = format!("/products/{}", created.id());
    let known = says_so(shop.get(&path).send().await.expect(200));
    says_so(shop.get(&path).if_none_match(known.etag()).send().await.expect(304));
    says_so(shop.get("/products").send().await.expect(200));
    says_so(shop.get("/products/prod_none").send().await.expect(404));
    says_so(shop.post("/products").json(&json!({})).send().await.expect(401));
    says_so(shop.post("/products").staff().key(&unique("key")).json(&json!({})).send().await.expect(422));
    let outage = shop.any_call().refuse();
    says_so(shop.get(&path).send().await.expect(503));
    drop(outage);
}

#[tokio::test]
async fn a_version_that_stays_says_nothing() {
    for retirements in ["", "v2=2027-01-01/2027-07-01"] {
        let shop = shop_with(retirements, Vec::new()).await;
        let answer = shop.get("/products").send().await.expect(200);
        assert_eq!(retirement(&answer.headers), [None, None], "{retirements}");
    }
}

#[test]
fn a_retirement_that_can_t_be_read_keeps_functions_from_starting() {
    let program = process::build().join("health-get");
    for retirements in [
        "v1",
        "v1=2027-01-01",
        "v1=/",
        "1=2027-01-01/2027-07-01",
        "v01=2027-01-01/2027-07-01",
        "v=2027-01-01/2027-07-01",
        "v99999=2027-01-01/2027-07-01",
        "v1=2027-01-01/2027-13-01",
        "v1=2027-1-1/2027-07-01",
        "v1=20270101/20270701",
        "v1=2027-01-01T00:00/2027-07-01",
        "v1=2027-07-01/2027-01-01",
        "v1=2027-01-01/2027-07-01 v1=2028-01-01/2028-07-01",
        "v1=2027-01-01/2027-07-01,v2=2028-01-01/2028-07-01",
    ] {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "x"),
            ("ALLOWED_ORIGIN", "*"),
            ("AWS_LAMBDA_FUNCTION_NAME", "health-get"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("BUILD_ID", "x"),
            ("KEYS_TABLE", "x"),
            (RETIREMENTS, retirements),
        ];
        let run = Command::new(&program).env_clear().envs(variables).output().unwrap();
        let printed = String::from_utf8([run.stdout, run.stderr].concat()).unwrap();
        let told = printed.contains("RETIREMENTS is unusable") && !printed.contains("panicked");
        assert!(!run.status.success() && told, "{retirements}: {printed}");
    }
}

/// Returns a function's event at API Gateway's own address, where `path` lacks the stage, and at a custom domain, where it
/// has the base path.
fn events(function: &str, stage: &str) -> [Value; 2] {
    let path = template::repository().join("local/events").join(function).with_extension("json");
    let mut event: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let path = event["path"].as_str().unwrap().to_owned();
    event["requestContext"]["stage"] = json!(stage);
    event["requestContext"]["path"] = json!(format!("/{stage}{path}"));
    let mut at_domain = event.clone();
    at_domain["path"] = json!(format!("/{stage}{path}"));
    at_domain["requestContext"]["domainName"] = json!("api.shop.test");
    [event, at_domain]
}

#[tokio::test]
async fn links_and_locations_are_of_the_version_that_was_asked() {
    let shop = Shop::shared().await;
    let category = unique("version");
    let new = || json!({"sku": unique("sku"), "name": "Mug", "category": category, "price": {"amount": 1, "currency": "EUR"}});
    let token = shop.token(&unique_user(), ADMIN).sign(shop.signer());
    for stage in ["v1", "v2"] {
        for mut event in events("products-create", stage) {
            let headers = json!({"Authorization": [format!("Bearer {token}")], "Idempotency-Key": [unique("key")], "Content-Type": ["application/json"]});
            event["headers"] = json!({});
            event["multiValueHeaders"] = headers;
            event["body"] = json!(new().to_string());
            let answer = shop.invoke("products-create", &event).await;
            let id: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            let expected = format!("/{stage}/products/{}", id["id"].as_str().unwrap());
            assert_eq!(answer["multiValueHeaders"]["location"], json!([expected]), "{answer}");
        }
        for mut event in events("products-list", stage) {
            event["queryStringParameters"] = json!({"category": category, "limit": "1"});
            event["multiValueQueryStringParameters"] = json!({"category": [category], "limit": ["1"]});
            let answer = shop.invoke("products-list", &event).await;
            let link = answer["multiValueHeaders"]["link"][0].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert!(link.starts_with(&format!("</{stage}/products?")), "{link}");
        }
    }
}

/// The operation that exists in two versions.
const OPERATION: &str = "/products/{product_id}";

/// A small repository with a second version: the real contract and the next one.
fn miniature() -> Repository {
    let mut files = tidy::read(&template::repository()).unwrap();
    files.retain(|path, _| ["shared/openapi.yaml", "functions/products-get/openapi.yaml"].contains(&&**path));
    for (path, source) in
        [("template.yaml", "template.yaml"), ("functions/products-get/openapi-v2.yaml", "openapi-v2.yaml")]
    {
        let text = fs::read_to_string(template::repository().join("tests/versions").join(source)).unwrap();
        files.insert(path.to_owned(), text);
    }
    Repository::new(files).unwrap()
}

/// The released document of version 1, with that operation only.
fn released() -> Value {
    let text = fs::read_to_string(template::repository().join("docs/api/v1.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document["paths"] = json!({OPERATION: {"get": document["paths"][OPERATION]["get"]}});
    document
}

#[test]
fn a_second_version_has_a_document_of_its_own_and_breaks_the_first() {
    let documents = tidy::documents(&miniature()).unwrap();
    let (v1, v2) = (&documents["v1"], &documents["v2"]);

    assert!(breaking::breaks(&released(), v1).is_empty());
    assert_eq!(
        breaking::breaks(&released(), v2),
        [
            r#"GET /products/{product_id}: operationId was "products-get", is "products-get-v2""#,
            "GET /products/{product_id}: answer 200 /price is gone",
        ]
    );
    assert_eq!((&v1["info"]["version"], &v2["info"]["version"]), (&json!("1"), &json!("2")));
    assert_eq!(v2["servers"][0]["url"], "http://localhost:9000/v2");
    assert_eq!(v2["paths"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn one_binary_answers_in_two_versions_and_the_first_stays_as_it_was_released() {
    let program = process::build_example("products-get-versions");
    let shop = shop_with("v1=2027-01-01/2027-07-01", vec![("products-get", program)]).await;
    let product = shop.create(&new_product("versions")).await;
    let template = Template::read(&template::repository().join("tests/versions")).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let gateway = Gateway::new(template.apis("*").unwrap(), port, &shop.functions_url()).unwrap();
    tokio::spawn(Arc::new(gateway).serve(listener));
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: String, if_none_match: &str| {
        let request = http.get(format!("http://127.0.0.1:{port}{path}"));
        let answer = request.header("If-None-Match", if_none_match).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap().to_vec();
        (status, headers, body)
    };
    let check = |contract: &Contract, (status, headers, body): &(u16, HeaderMap, Vec<u8>)| {
        let operation = contract.operation("GET", &OPERATION.replace("{product_id}", product.id()));
        contract.check_answer(operation, &Received { status: *status, headers, body })
    };
    let documents = tidy::documents(&miniature()).unwrap();
    let (v1, v2) = (Contract::of(released()), Contract::of(documents["v2"].clone()));
    let path = |version: &str| format!("/{version}/products/{}", product.id());
    let json = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();

    // Version 1 is what it was when it was released, to the letter.
    let first = get(path("v1"), "").await;
    assert_eq!((first.0, check(&v1, &first)), (200, Ok(())));
    assert_eq!(json(&first.2), product.json);

    // Version 2 has prices, which would break version 1.
    let second = get(path("v2"), "").await;
    assert_eq!((second.0, check(&v2, &second)), (200, Ok(())));
    assert!(check(&v1, &second).is_err() && check(&v2, &first).is_err());
    let mut expected = product.json.clone();
    let price = expected.as_object_mut().unwrap().remove("price").unwrap();
    expected["prices"] = json!([price]);
    assert_eq!(json(&second.2), expected);

    // All else is as it was, in both.
    for (version, contract) in [("v1", &v1), ("v2", &v2)] {
        let absent = get(format!("/{version}/products/prod_none"), "").await;
        assert_eq!((absent.0, check(contract, &absent)), (404, Ok(())), "{version}");
        let known = get(path(version), product.etag()).await;
        assert_eq!((known.0, check(contract, &known)), (304, Ok(())), "{version}");
    }

    // The first is given up, the second is not, and a third was never there.
    let days = [Some("@1798761600"), Some("Thu, 01 Jul 2027 00:00:00 GMT")];
    assert_eq!(retirement(&first.1), days);
    assert_eq!(retirement(&second.1), [None, None]);
    let third = get(path("v3"), "").await;
    assert_eq!((third.0, json(&third.2)["code"].as_str()), (404, Some("not_found")));
}
