//! Accounts, sessions, OAuth and lists of orders while DynamoDB or Secrets Manager fails.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use super::MISTAKES;
use crate::{
    oauth::{STOREFRONT_CLIENT, machine, page},
    shop::{
        ADMIN, Answer, Options, Person, Request, Shop, USERS,
        proxy::{Refusal, Service, items_of, refusals},
        unique, unique_user,
    },
};

/// The functions that these tests inject faults into.
pub const FUNCTIONS: [&str; 23] = [
    "oauth-secrets-create",
    "oauth-secrets-delete",
    "audit-list",
    "users-register",
    "users-verify-email",
    "users-forgot-password",
    "users-reset-password",
    "profile-get",
    "profile-update",
    "profile-password",
    "profile-delete",
    "users-list",
    "users-get",
    "users-update",
    "sessions-create",
    "sessions-delete",
    "oauth-authorize",
    "oauth-token",
    "oauth-revoke",
    "oauth-clients-create",
    "oauth-clients-list",
    "oauth-clients-delete",
    "orders-list",
];

/// A request of the function that succeeds, on an account of its own.
async fn request_for(shop: &Shop, function: &str) -> Request {
    let registered = async |person: &Person| {
        shop.register(person).send().await.expect(202);
        shop.mailed_token(&person.email, "verify-email", 1).await
    };
    let signed_in = async || {
        let person = shop.register_person().await;
        let session = shop.session(&person).await;
        (person, session)
    };
    match function {
        "audit-list" => shop.get("/audit").scoped("audit:read"),
        "users-register" => shop.register(&Person::new()),
        "users-verify-email" => {
            let person = Person::new();
            let token = registered(&person).await;
            shop.verify(&person, &token)
        }
        "users-forgot-password" => shop.forget_password(&Person::new()),
        "users-reset-password" => {
            let person = shop.register_person().await;
            shop.forget_password(&person).send().await.expect(202);
            let token = shop.mailed_token(&person.email, "reset-password", 1).await;
            shop.reset_password(&person, &token, &Person::new().password)
        }
        "profile-get" => shop.get("/users/me").bearer(&signed_in().await.1.access_token),
        "profile-update" => {
            let patch = shop.patch("/users/me").if_match("*").json(&json!({"name": unique("CANARY Jane")}));
            patch.bearer(&signed_in().await.1.access_token)
        }
        "profile-password" => {
            let (person, session) = signed_in().await;
            let put = json!({"current_password": person.password, "new_password": Person::new().password});
            shop.put("/users/me/password").json(&put).bearer(&session.access_token).from(&person.address)
        }
        "profile-delete" => {
            let (person, session) = signed_in().await;
            let erase = shop.post("/users/me/delete").json(&json!({"password": person.password}));
            erase.bearer(&session.access_token).from(&person.address)
        }
        "users-list" => shop.get("/users").scoped("users:read"),
        "users-get" => {
            let id = shop.user(&shop.register_person().await).await.id().to_owned();
            shop.get(&format!("/users/{id}")).scoped("users:read")
        }
        "users-update" => {
            let id = shop.user(&shop.register_person().await).await.id().to_owned();
            let patch = json!({"role": "staff", "locked": false});
            shop.patch(&format!("/users/{id}")).scoped("users:write").if_match("*").json(&patch)
        }
        "sessions-create" => shop.log_in(&shop.register_person().await),
        "sessions-delete" => shop.delete("/sessions").bearer(&signed_in().await.1.access_token),
        "oauth-authorize" => {
            let person = shop.register_person().await;
            let form = page(shop, &STOREFRONT_CLIENT).await;
            form.submit(shop, &person.email, &person.password, true).from(&person.address)
        }
        "oauth-token" => shop.refresh(&signed_in().await.1.refresh_token),
        "oauth-revoke" => {
            let token = signed_in().await.1.refresh_token;
            shop.post("/oauth/revoke").form(&[("token", &token), ("client_id", "storefront")])
        }
        "oauth-clients-create" => {
            let new = json!({"name": "Warehouse", "scope": "inventory:read"});
            shop.post("/oauth/clients").caller(&unique_user(), ADMIN).key(&unique("key")).json(&new)
        }
        "oauth-clients-list" => shop.get("/oauth/clients").scoped(ADMIN),
        "oauth-clients-delete" => {
            let (id, _) = machine(shop, "inventory:read").await;
            shop.delete(&format!("/oauth/clients/{id}")).scoped(ADMIN)
        }
        "oauth-secrets-create" => {
            let (id, _) = machine(shop, "inventory:read").await;
            shop.post(&format!("/oauth/clients/{id}/secrets")).scoped(ADMIN)
        }
        "oauth-secrets-delete" => {
            let (id, _) = machine(shop, "inventory:read").await;
            let path = format!("/oauth/clients/{id}/secrets");
            let secret = shop.post(&path).scoped(ADMIN).send().await.expect(201);
            shop.delete(&format!("{path}/{}", secret.id())).scoped(ADMIN)
        }
        // The list of the staff; `catalogue` has that of a customer.
        "orders-list" => {
            let product = shop.create_stocked("unavailable", 10).await;
            shop.ordered(&[(product.id(), 1)]).await;
            shop.get("/orders").scoped("orders:read")
        }
        unknown => panic!("{unknown} needs a request"),
    }
}

fn succeeded(answer: &Answer) -> bool {
    (200..400).contains(&answer.status)
}

/// Deletes the counters of failed attempts, so that no request is refused by a limit.
fn forget_attempts(shop: &Shop) {
    shop.remove(USERS, |item| item["pk"]["S"].as_str().unwrap().starts_with('A'));
}

/// A call of DynamoDB: its operation, and how many calls of that operation come before it.
type Site = (&'static str, usize);

/// Lists the calls that a function makes of DynamoDB.
async fn sites(shop: &Shop, function: &str, twin: &'static str) -> Vec<Site> {
    let request = request_for(shop, function).await.through_twin();
    let watched = shop.any_call().of(Service::Dynamo).by(twin).observe();
    let answer = request.send().await;
    assert!(succeeded(&answer), "{answer:?}");
    let mut sites: Vec<Site> = Vec::new();
    for call in watched.observed() {
        let operation: &'static str = call.operation.leak();
        let before = sites.iter().filter(|(known, _)| *known == operation).count();
        sites.push((operation, before));
    }
    assert!(!sites.is_empty(), "{function} makes no call");
    sites
}

/// Returns whether a request succeeds without this call: one that resets counters of attempts or lifts a lock.
fn is_dispensable(function: &str, (operation, number): Site) -> bool {
    let forgets = ["sessions-create", "users-verify-email", "profile-password", "oauth-authorize"];
    match operation {
        "BatchWriteItem" => function != "profile-delete",
        // The two before it have counted the attempt.
        "UpdateItem" => number > 1 && forgets.contains(&function),
        // The account is erased already.
        "Query" => number == 4 && function == "profile-delete",
        _ => false,
    }
}

#[tokio::test]
async fn i18_every_error_of_the_store_at_every_call_site_gets_its_documented_status() {
    let shop = Shop::start(Options::default()).await;
    let lane = async |function: &'static str| {
        let twin = shop.open_twin(function).await;
        let mut request = request_for(&shop, function).await.through_twin();
        for site in sites(&shop, function, twin).await {
            let (operation, number) = site;
            for (name, refusal) in refusals() {
                forget_attempts(&shop);
                let fault = shop.calls(operation).of(Service::Dynamo).by(twin).after(number).answer(refusal);
                let answer = request.clone().send().await;
                assert!(fault.hits() > 0, "{function} {site:?} {name}: {answer:?}");
                drop(fault);
                if succeeded(&answer) {
                    assert!(is_dispensable(function, site), "{function} {site:?} {name}: {answer:?}");
                    request = request_for(&shop, function).await.through_twin();
                } else {
                    let expected = if MISTAKES.contains(&name) { 500 } else { 503 };
                    assert_eq!(answer.status, expected, "{function} {site:?} {name}: {answer:?}");
                }
                // A rotated refresh token is valid for ten seconds, which all faults together may exceed.
                if function == "oauth-token" {
                    request = request_for(&shop, function).await.through_twin();
                }
            }
        }
        // The faults had no effect.
        forget_attempts(&shop);
        let answer = request.send().await;
        assert!(succeeded(&answer), "{function}: {answer:?}");
    };
    join_all(FUNCTIONS.map(lane)).await;
}

#[tokio::test]
async fn i18_a_closed_connection_or_a_lost_response_is_503_and_a_retry_is_answered() {
    let shop = Shop::start(Options::default()).await;
    let lane = async |function: &'static str| {
        let twin = shop.open_twin(function).await;
        let of_them = || shop.any_call().of(Service::Dynamo).by(twin);
        let request = request_for(&shop, function).await.through_twin();
        let refused = of_them().refuse();
        let answer = request.clone().send().await;
        assert_eq!(answer.status, 503, "{function}: {answer:?}");
        assert!(answer.find_header("retry-after").is_some(), "{answer:?}");
        drop(refused);
        forget_attempts(&shop);
        // The SDK retries after one lost response.
        let lost = of_them().times(1).lose_answer();
        let answer = request.send().await;
        assert!(succeeded(&answer), "{function}: {answer:?}");
        assert_eq!(lost.hits(), 1);
        drop(lost);

        for site in sites(&shop, function, twin).await {
            if is_dispensable(function, site) {
                continue;
            }
            forget_attempts(&shop);
            let request = request_for(&shop, function).await.through_twin();
            let lost = shop.calls(site.0).of(Service::Dynamo).by(twin).after(site.1).lose_answer();
            let answer = request.clone().send().await;
            assert_eq!(answer.status, 503, "{function} {site:?}: {answer:?}");
            drop(lost);
            forget_attempts(&shop);
            // Where the lost response was that of the commit, the token is used up, or the account or client deleted.
            let again = request.send().await;
            let done: &[u16] = match function {
                "users-verify-email" | "users-reset-password" => &[410],
                "profile-password" | "profile-delete" | "sessions-delete" => &[401],
                "oauth-clients-delete" | "oauth-secrets-delete" => &[404],
                // It has been added.
                "oauth-secrets-create" => &[409],
                _ => &[],
            };
            assert!(succeeded(&again) || done.contains(&again.status), "{function} {site:?}: {again:?}");
        }
    };
    join_all(FUNCTIONS.map(lane)).await;
}

#[tokio::test]
async fn i18_a_store_that_never_answers_is_503_before_the_gateway_gives_up() {
    let shop = Shop::start(Options::default()).await;
    let lane = async |function: &'static str| {
        let twin = shop.open_twin(function).await;
        let request = request_for(&shop, function).await.through_twin();
        let silence = shop.any_call().of(Service::Dynamo).by(twin).hold();
        let answer = timeout(Duration::from_secs(25), request.send()).await.expect("an answer in time");
        assert!(silence.hits() > 0);
        assert_eq!(answer.status, 503, "{function}: {answer:?}");
    };
    join_all(FUNCTIONS.map(lane)).await;
}

#[tokio::test]
async fn i18_functions_that_start_without_secrets_or_store_recover_by_themselves() {
    let shop = Shop::start(Options { closed: true, ..Options::default() }).await;
    let outage = (shop.any_call().refuse(), shop.verifier_reads().refuse());
    for function in crate::shop::process::functions() {
        shop.open(&function, 1).await;
    }
    let person = Person::new();
    let requests = [
        ("sessions-create", shop.log_in(&person)),
        ("users-register", shop.register(&person)),
        ("oauth-token", shop.refresh("x")),
        ("oauth-jwks", shop.get("/.well-known/jwks.json")),
        ("oauth-clients-list", shop.get("/oauth/clients").scoped(ADMIN)),
    ];
    for (function, request) in requests {
        let answer = request.send().await;
        assert_eq!(answer.status, 503, "{function}: {answer:?}");
    }
    drop(outage);
    let mut requests = Vec::new();
    for function in FUNCTIONS {
        requests.push((function, request_for(&shop, function).await));
    }
    for (function, request) in requests {
        let answer = request.send().await;
        assert!(succeeded(&answer), "{function}: {answer:?}");
        assert_eq!(shop.alive(function), 1);
    }
}

#[tokio::test]
async fn i18_every_error_of_the_secrets_gets_its_documented_status() {
    let shop = Shop::start(Options { closed: true, ..Options::default() }).await;
    for function in ["users-register", "users-verify-email", "mail-send"] {
        shop.open(function, 1).await;
    }
    let person = shop.register_person().await;
    for function in ["sessions-create", "oauth-token", "users-reset-password"] {
        let start = shop.calls("GetSecretValue").by(function).refuse();
        shop.open(function, 1).await;
        // The function reads the secret at its start, and again with each request until it succeeds.
        start.reached(1).await;
        drop(start);
        let request = match function {
            "sessions-create" => shop.log_in(&person),
            "oauth-token" => shop.refresh("x"),
            _ => shop.reset_password(&person, "x", &Person::new().password),
        };
        let more = [
            ("a version without value", Refusal::error(400, "InvalidRequestException")),
            ("no key to decrypt", Refusal::error(400, "DecryptionFailure")),
            ("an internal error", Refusal::error(500, "InternalServiceError")),
            ("no keys", Refusal { status: 200, body: json!({"SecretString": "{}"}).to_string() }),
            ("text", Refusal { status: 200, body: json!({"SecretString": "PLANTED"}).to_string() }),
            ("no text", Refusal { status: 200, body: "{}".to_owned() }),
        ];
        for (name, refusal) in refusals().into_iter().chain(more) {
            let fault = shop.calls("GetSecretValue").by(function).answer(refusal);
            let answer = request.clone().send().await;
            assert!(fault.hits() > 0, "{function} {name}");
            let damaged = ["a version without value", "no key to decrypt", "no keys", "text", "no text"]
                .contains(&name);
            let expected = if MISTAKES.contains(&name) || damaged { 500 } else { 503 };
            assert_eq!(answer.status, expected, "{function} {name}: {answer:?}");
        }
        let expected = match function {
            "sessions-create" => 200,
            "oauth-token" => 400,
            _ => 422,
        };
        request.send().await.expect(expected);
    }
}

/// Cancellation reasons of an item in a transaction.
const CODES: [&str; 5] =
    ["None", "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ValidationError"];

#[tokio::test]
async fn i21_no_mix_of_cancellation_reasons_blames_the_client() {
    let shop = Shop::start(Options::default()).await;
    let lane = async |(function, blamed): (&'static str, &'static [u16])| {
        let twin = shop.open_twin(function).await;
        let items = {
            let request = request_for(&shop, function).await.through_twin();
            let watched = shop.calls("TransactWriteItems").by(twin).observe();
            assert!(succeeded(&request.send().await));
            items_of(&watched.observed()[0].request)
        };
        let request = request_for(&shop, function).await.through_twin();
        for (first, second) in (0..items).map(|first| (first, (first + 1) % items)) {
            for number in 0..CODES.len().pow(2) {
                let (one, other) = (CODES[number % CODES.len()], CODES[number / CODES.len()]);
                let mut reasons = vec!["None"; items];
                (reasons[first], reasons[second]) = (one, other);
                let injected = reasons.clone();
                let cancelled = shop.calls("TransactWriteItems").by(twin);
                let cancelled = cancelled.answer_with(move |_| Refusal::cancelled(injected.iter().copied()));
                forget_attempts(&shop);
                let answer = request.clone().send().await;
                assert!(cancelled.hits() > 0, "{answer:?}");
                let any = |codes: &[&str]| [one, other].iter().any(|reason| codes.contains(reason));
                let shown = || format!("{function} {reasons:?}: {answer:?}");
                if !any(&CODES[2..]) && any(&["ConditionalCheckFailed"]) {
                    // The cancellation lacks the item that failed its condition, so an internal error is allowed.
                    assert!(blamed.contains(&answer.status) || answer.status == 500, "{}", shown());
                } else if any(&["ValidationError"]) {
                    assert!(answer.status >= 500, "{}", shown());
                } else {
                    assert_eq!(answer.status, 503, "{}", shown());
                }
            }
        }
        forget_attempts(&shop);
        assert!(succeeded(&request.send().await), "{function}");
    };
    let lanes: [(&'static str, &'static [u16]); 12] = [
        ("sessions-create", &[401]),
        ("users-verify-email", &[410]),
        ("users-reset-password", &[410]),
        ("profile-password", &[401, 412]),
        ("profile-delete", &[401]),
        ("sessions-delete", &[401]),
        ("users-update", &[401, 412]),
        ("oauth-clients-create", &[401, 422]),
        ("oauth-clients-delete", &[401, 404]),
        ("oauth-secrets-create", &[401, 409]),
        ("oauth-secrets-delete", &[401, 404]),
        // The page with the form is shown again.
        ("oauth-authorize", &[200, 401]),
    ];
    join_all(lanes.map(lane)).await;
}

#[tokio::test]
async fn i17_an_account_is_created_completely_or_not_at_all() {
    let shop = Shop::start(Options::default()).await;
    for committed in [false, true] {
        let person = Person::new();
        shop.register(&person).send().await.expect(202);
        let token = shop.mailed_token(&person.email, "verify-email", 1).await;
        let writes = shop.calls("TransactWriteItems").by("users-verify-email");
        let held = if committed { writes.hold_answer() } else { writes.hold() };
        tokio::select! {
            answer = shop.verify(&person, &token).send() => panic!("an answer from a function that hangs: {answer:?}"),
            () = held.reached(1) => {}
        }
        shop.kill("users-verify-email").await;
        drop(held);
        let of_them = |item: &serde_json::Value| item.to_string().contains(&person.email);
        let kinds = || {
            let items = shop.items(USERS).into_iter().filter(of_them);
            items.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds().iter().filter(|sk| ["LOGIN", "PROFILE"].contains(&&***sk)).count(),
            if committed { 2 } else { 0 }
        );
        shop.open("users-verify-email", 1).await;
        let again = shop.verify(&person, &token).send().await;
        again.expect(if committed { 410 } else { 204 });
        shop.log_in(&person).send().await.expect(200);
    }
}
