//! Signing keys: published before they sign, retired after their last token, rotated without delays.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::store::keys::NEVER;

use crate::shop::{
    HMAC_SECRET, ISSUER, KEYS, Options, Person, SIGNING_SECRET, Shop, eventually,
    people::claims_of,
    proxy::Refusal,
    token::{Signer, Token},
    unique_user,
};

/// Returns the keys of a current secret, oldest first.
fn keys_of(shop: &Shop, secret: &str) -> Vec<Value> {
    let text = shop.secrets().value(secret, "AWSCURRENT").unwrap();
    let secret: Value = serde_json::from_str(&text).unwrap();
    secret["keys"].as_array().unwrap().clone()
}

/// Returns the `kid` of a token.
fn kid_of(token: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts.swap(0, 1);
    claims_of(&parts.join("."))["kid"].as_str().unwrap().to_owned()
}

/// Moves a secret into the past: its newest key came into force so many milliseconds ago.
fn later(shop: &Shop, secret: &str, ago: i64) {
    let newest = keys_of(shop, secret).last().unwrap()["from"].clone();
    let newest: shared::domain::time::Timestamp = serde_json::from_value(newest).unwrap();
    let shift = newest.as_millis() - shared::telemetry::now().as_millis() + ago;
    let earlier = |key: &Value| {
        let from: shared::domain::time::Timestamp = serde_json::from_value(key["from"].clone()).unwrap();
        let from = shared::domain::time::Timestamp::from_millis(from.as_millis() - shift);
        json!({"id": key["id"], "from": from.to_string(), "key": key["key"]})
    };
    let keys: Vec<Value> = keys_of(shop, secret).iter().map(earlier).collect();
    shop.secrets().put(secret, &json!({"keys": keys}).to_string()).unwrap();
}

fn published(shop: &Shop) -> BTreeSet<String> {
    let keys = shop.items(KEYS).into_iter().filter(|item| item["pk"]["S"] == "KEY");
    keys.map(|item| item["sk"]["S"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_keys_are_made_at_first_and_are_good_at_once() {
    let shop = Shop::start(Options { without_keys: true, ..Options::default() }).await;
    let person = Person::new();
    // Until then a token is neither accepted nor refused.
    shop.log_in(&person).send().await.expect_problem(503, "temporarily_unavailable");
    assert_eq!(shop.get("/.well-known/jwks.json").send().await.expect(200)["keys"], json!([]));
    for secret in [HMAC_SECRET, SIGNING_SECRET] {
        assert_eq!(keys_of(&shop, secret), Vec::<Value>::new());
        shop.secrets().rotate(secret).await.unwrap();
        assert_eq!(keys_of(&shop, secret).len(), 1);
    }
    let kid = keys_of(&shop, SIGNING_SECRET)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(published(&shop), BTreeSet::from([kid.clone()]));

    // Each function finds the keys by itself; a mail must not wait for that.
    shop.kill("mail-send").await;
    shop.open("mail-send", 1).await;
    shop.register(&person).send().await.expect(202);
    let token = shop.mailed_token(&person.email, "verify-email", 1).await;
    let opened =
        async || Some(shop.verify(&person, &token).send().await).filter(|answer| answer.status != 503);
    eventually("the keys at users-verify-email", opened).await.expect(204);
    let logged_in = async || Some(shop.log_in(&person).send().await).filter(|answer| answer.status != 503);
    let session = eventually("the keys at sessions-create", logged_in).await.expect(200);
    let token = session["access_token"].as_str().unwrap();
    assert_eq!(kid_of(token), kid);
    let known =
        async || Some(shop.get("/users/me").bearer(token).send().await).filter(|answer| answer.status != 401);
    eventually("the public key at profile-get", known).await.expect(200);
}

#[tokio::test]
async fn a_new_key_is_published_at_once_signs_after_some_minutes_and_the_old_one_retires() {
    let shop = Shop::start(Options::default()).await;
    let person = shop.register_person().await;
    let before = shop.session(&person).await;
    let now = shared::telemetry::now().as_millis();
    shop.secrets().rotate(SIGNING_SECRET).await.unwrap();
    let keys = keys_of(&shop, SIGNING_SECRET);
    assert_eq!((keys.len(), &keys[0]["id"]), (2, &json!("key-1")));
    let next = keys[1]["id"].as_str().unwrap().to_owned();
    let from: shared::domain::time::Timestamp = serde_json::from_value(keys[1]["from"].clone()).unwrap();
    let minutes = (from.as_millis() - now) as f64 / 60_000.0;
    assert!((10.0..=15.1).contains(&minutes), "{minutes}");
    // Published, and nothing of it that is private.
    assert_eq!(published(&shop), BTreeSet::from(["key-1".to_owned(), next.clone()]));
    let kept = json!(shop.items(KEYS)).to_string();
    assert!(keys.iter().all(|key| !kept.contains(key["key"].as_str().unwrap())), "{kept}");

    // Who starts now reads both, and signs with the old one still.
    let restart = async |function: &'static str| {
        shop.kill(function).await;
        shop.open(function, 1).await;
    };
    restart("sessions-create").await;
    assert_eq!(kid_of(&shop.session(&person).await.access_token), "key-1");
    later(&shop, SIGNING_SECRET, 60_000);
    for function in ["sessions-create", "oauth-token", "profile-get", "oauth-jwks"] {
        restart(function).await;
    }
    let after = shop.session(&person).await;
    assert_eq!(kid_of(&after.access_token), next);
    // Tokens of both are good, and a session goes on from the one to the other.
    for session in [&before, &after] {
        shop.get("/users/me").bearer(&session.access_token).send().await.expect(200);
    }
    let refreshed = shop.refresh(&before.refresh_token).send().await.expect(200);
    assert_eq!(kid_of(refreshed["access_token"].as_str().unwrap()), next);
    let keys = shop.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);

    // The old one is good as long as the last token that it has signed: 15 minutes after the new one took over.
    let old = shop.item(KEYS, "KEY", "key-1");
    let retires: i64 = old["expires_at"]["N"].as_str().unwrap().parse().unwrap();
    let after_take_over = retires - from.as_millis() / 1_000;
    assert!((900..7_200).contains(&after_take_over), "{after_take_over}");
    assert_eq!(shop.item(KEYS, "KEY", &next)["expires_at"]["N"], NEVER.to_string());
    let mut retired = old;
    retired["expires_at"]["N"] = json!((shared::telemetry::now().as_seconds() - 1).to_string());
    shop.write(KEYS, retired);
    for function in ["profile-get", "oauth-jwks"] {
        restart(function).await;
    }
    shop.get("/users/me").bearer(&before.access_token).send().await.expect_problem(401, "invalid_token");
    shop.get("/users/me").bearer(&after.access_token).send().await.expect(200);
    let keys = shop.get("/.well-known/jwks.json").send().await.expect(200);
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["keys"][0]["kid"]), (1, &json!(next)));
}

#[tokio::test]
async fn what_was_made_with_the_old_hmac_key_is_good_with_the_new_one() {
    let shop = Shop::start(Options::default()).await;
    let (person, applicant) = (shop.register_person().await, Person::new());
    let session = shop.session(&person).await;
    let client = json!({"name": "Warehouse", "scope": "inventory:read"});
    let client = shop.post("/oauth/clients").scoped(crate::shop::ADMIN).key("rotated").json(&client);
    let created = client.send().await.expect(201);
    shop.register(&applicant).send().await.expect(202);
    let token = shop.mailed_token(&applicant.email, "verify-email", 1).await;
    let wrong = "CANARY no such password";
    for _ in 0..5 {
        shop.log_in_with(&person, wrong).send().await.expect(401);
    }
    shop.secrets().rotate(HMAC_SECRET).await.unwrap();
    later(&shop, HMAC_SECRET, 0);
    assert_eq!(keys_of(&shop, HMAC_SECRET).len(), 2);
    for function in ["users-verify-email", "oauth-token", "sessions-create", "mail-send"] {
        shop.kill(function).await;
        shop.open(function, 1).await;
    }
    shop.verify(&applicant, &token).send().await.expect(204);
    let next = shop.refresh(&session.refresh_token).send().await.expect(200);
    let again = shop.refresh(&session.refresh_token).send().await.expect(200);
    assert_eq!(again["refresh_token"], next["refresh_token"]);
    shop.refresh(next["refresh_token"].as_str().unwrap()).send().await.expect(200);
    shop.log_in(&applicant).send().await.expect(200);
    // No client lives by these keys.
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", created["client_id"].as_str().unwrap()),
        ("client_secret", created["client_secret"].as_str().unwrap()),
    ];
    shop.token_request(&fields).send().await.expect(200);
}

#[tokio::test]
async fn a_revoked_signing_key_forges_nothing_and_another_signs_at_once() {
    let shop = Shop::start(Options::default()).await;
    let person = shop.register_person().await;
    let before = shop.session(&person).await;
    let forged = shop.token(&unique_user(), crate::shop::ADMIN).sign(shop.signer());
    let read = |token: &str| shop.get("/users").bearer(token).send();
    read(&forged).await.expect(200);
    let event = json!({"Revoke": "key-1"});
    assert_eq!(shop.invoke("keys-rotate", &event).await, Value::Null);

    // Verifiers hear of it within seconds, without a restart.
    let refused = async || Some(read(&forged).await).filter(|answer| answer.status == 401);
    eventually("the forged token to be refused", refused).await.expect_problem(401, "invalid_token");
    let keys = keys_of(&shop, SIGNING_SECRET);
    let [next] = &keys[..] else { panic!("{keys:?}") };
    assert_ne!(next["id"], "key-1");
    shop.kill("oauth-jwks").await;
    shop.open("oauth-jwks", 1).await;
    let published = shop.get("/.well-known/jwks.json").send().await.expect(200);
    let kids: Vec<_> = published["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert_eq!(kids, [&next["id"]]);
    // Who signs reads the new key within a minute; one that starts now, at once. Sessions go on.
    shop.kill("oauth-token").await;
    shop.open("oauth-token", 1).await;
    let refreshed = shop.refresh(&before.refresh_token).send().await.expect(200);
    let token = refreshed["access_token"].as_str().unwrap();
    assert_eq!(kid_of(token), next["id"].as_str().unwrap());
    let known = async || Some(shop.get("/users/me").bearer(token).send().await).filter(|a| a.status == 200);
    eventually("the new key at profile-get", known).await;
    // What is revoked stays so, and the trail tells.
    assert_eq!(shop.invoke("keys-rotate", &event).await["errorType"], "EventNotProcessed");
    read(&forged).await.expect_problem(401, "invalid_token");
    let old = shop.item(KEYS, "KEY", "key-1");
    let event = shop.items("AuditTable").into_iter().find(|event| event["object"]["S"] == "key-1").unwrap();
    assert_eq!(
        (&old["revoked"]["BOOL"], &event["after"]["M"]["state"]["S"]),
        (&json!(true), &json!("revoked"))
    );
}

#[tokio::test]
async fn a_copy_that_slept_through_a_revocation_forgets_the_key_when_it_wakes() {
    let shop = Shop::start(Options::default()).await;
    let forged = shop.token(&unique_user(), crate::shop::ADMIN).sign(shop.signer());
    let read = |token: &str| shop.get("/users").bearer(token).send();
    read(&forged).await.expect(200);
    assert_eq!(shop.invoke("keys-rotate", &json!({"Revoke": "key-1"})).await, Value::Null);
    // By then DynamoDB has deleted what told of it.
    shop.remove(KEYS, |item| item["sk"]["S"] == "key-1");
    let refused = async || Some(read(&forged).await).filter(|answer| answer.status == 401);
    eventually("the forged token to be refused", refused).await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_revoked_hmac_key_proves_nothing_any_more() {
    let shop = Shop::start(Options::default()).await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let old = keys_of(&shop, HMAC_SECRET)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(shop.invoke("keys-rotate", &json!({"Revoke": old})).await, Value::Null);
    let keys = keys_of(&shop, HMAC_SECRET);
    assert!(keys.len() == 1 && keys[0]["id"] != *old, "{keys:?}");
    for function in ["oauth-token", "sessions-create"] {
        shop.kill(function).await;
        shop.open(function, 1).await;
    }
    shop.refresh(&session.refresh_token).send().await.expect(400);
    let session = shop.session(&person).await;
    shop.refresh(&session.refresh_token).send().await.expect(200);
}

#[tokio::test]
async fn a_rotation_that_fails_anywhere_is_gone_on_with_and_makes_one_key() {
    let shop = Shop::start(Options::default()).await;
    for secret in [SIGNING_SECRET, HMAC_SECRET] {
        let sites = {
            let watched = shop.any_call().by("keys-rotate").observe();
            shop.secrets().rotate(secret).await.unwrap();
            watched.observed().len()
        };
        assert!(sites >= 5, "{sites}");
        for site in 0..sites {
            for refusal in
                [Refusal::error(500, "InternalServerError"), Refusal::error(400, "AccessDeniedException")]
            {
                let count = keys_of(&shop, secret).len();
                let fault = shop.any_call().by("keys-rotate").after(site).answer(refusal);
                let failed = shop.secrets().rotate(secret).await;
                assert!(failed.is_err(), "{secret} {site}");
                assert!(fault.hits() > 0);
                drop(fault);
                // Nobody signs with what is not published.
                let known = published(&shop);
                if secret == SIGNING_SECRET {
                    assert!(
                        keys_of(&shop, secret).iter().all(|key| known.contains(key["id"].as_str().unwrap()))
                    );
                }
                if shop.secrets().due(shared::telemetry::now()).iter().any(|due| due == secret) {
                    shop.secrets().rotate(secret).await.unwrap();
                }
                assert_eq!(keys_of(&shop, secret).len(), count + 1, "{secret} {site}");
            }
        }
    }
}

#[tokio::test]
async fn each_step_of_a_rotation_may_come_again() {
    let shop = Shop::start(Options::default()).await;
    let id = "6f1c0d5e-3b7a-4c0e-9f52-000000000099";
    for step in ["createSecret", "setSecret", "testSecret", "finishSecret"] {
        let event = json!({"Step": step, "SecretId": SIGNING_SECRET, "ClientRequestToken": id});
        for _ in 0..3 {
            assert_eq!(shop.invoke("keys-rotate", &event).await, Value::Null, "{step}");
        }
    }
    assert_eq!(keys_of(&shop, SIGNING_SECRET).len(), 2);
    assert_eq!(published(&shop).len(), 2);
    // It rotates what it knows, and nothing else.
    for event in [
        json!({"Step": "createSecret", "SecretId": "Other", "ClientRequestToken": id}),
        json!({"Step": "shredSecret", "SecretId": SIGNING_SECRET, "ClientRequestToken": id}),
        json!({"Step": "setSecret", "SecretId": SIGNING_SECRET, "ClientRequestToken": "6f1c0d5e-3b7a-4c0e-9f52-unknown00000"}),
        json!({}),
    ] {
        let answer = shop.invoke("keys-rotate", &event).await;
        assert_eq!(answer["errorType"], "EventNotProcessed", "{event}: {answer}");
        assert!(!answer.to_string().contains("Secrets Manager can't"), "{answer}");
    }
}

#[tokio::test]
async fn a_new_key_is_picked_up_without_a_restart_and_unknown_ones_do_not_reach_the_store() {
    let shop = Shop::with(&[("inventory-get", 1)]).await;
    let path = "/products/prod_01jd8x2m9q5w3r7t1v6y4z0abc/inventory";
    let request = |token: Token, signer: &Signer| shop.get(path).bearer(&token.sign(signer)).send();
    let user = unique_user();
    let token = |kid: &str| Token::new(ISSUER, kid, &user, "inventory:read");
    request(token("key-1"), shop.signer()).await.expect(404);
    let watched = shop.verifier_reads().by("inventory-get").observe();
    let theirs = Signer::new("theirs");
    for number in 0..200 {
        request(token(&format!("unknown-{number}")), &theirs).await.expect_problem(401, "invalid_token");
    }
    assert!(watched.hits() <= 2, "{}", watched.hits());
    let next = Signer::new("key-2");
    shop.publish(&next);
    let known = async || Some(request(token("key-2"), &next).await).filter(|answer| answer.status != 401);
    eventually("the new key to be known", known).await.expect(404);
    assert!(watched.hits() <= 5, "{}", watched.hits());
}
