use serde_json::{Value, json};

use crate::shop::{
    ADMIN, Answer, CONTRACT, CUSTOMER, ISSUER, Operation, Options, Request, STAFF, Shop, new_product,
    token::{Signer, Token},
    unique, unique_user,
};

/// A request that succeeds for everybody who may make it. An operation without a row fails.
async fn row(shop: &Shop, operation: &Operation) -> Request {
    let product = shop.create_stocked("access", 10).await;
    let path = operation.path.replace("{product_id}", product.id());
    match &*operation.id {
        "health-get" | "products-get" | "products-list" | "inventory-get" | "inventory-movements" => {
            shop.get(&path)
        }
        "products-create" => shop.post(&path).key(&unique("key")).json(&new_product("access")),
        "products-update" => shop.patch(&path).if_match("*").json(&json!({"name": "New name"})),
        "products-archive" => shop.delete(&path).if_match("*"),
        "inventory-adjust" => {
            shop.post(&path).key(&unique("key")).json(&json!({"delta": 1, "reason": "received"}))
        }
        unknown => panic!("{unknown} needs a row"),
    }
}

#[tokio::test]
async fn i24_every_principal_gets_the_documented_verdict_of_every_operation() {
    let shop = Shop::shared().await;
    for operation in CONTRACT.operations() {
        let scope = operation.scope.as_deref();
        let without_scope: Vec<_> = ADMIN.split(' ').filter(|other| Some(*other) != scope).collect();
        let longer = format!("{}x {}:more", scope.unwrap_or("none"), scope.unwrap_or("none"));
        let shouted = scope.unwrap_or("none").to_uppercase();
        let principals: [(&str, Option<&str>); 9] = [
            ("staff", Some(STAFF)),
            ("admin", Some(ADMIN)),
            ("customer", Some(CUSTOMER)),
            ("that scope alone", Some(scope.unwrap_or(""))),
            ("all scopes but that", Some(&without_scope.join(" "))),
            ("a longer scope", Some(&longer)),
            ("the scope in capitals", Some(&shouted)),
            ("no scope", Some("")),
            ("nobody", None),
        ];
        for (principal, scopes) in principals {
            let request = row(&shop, operation).await;
            let request = match scopes {
                Some(scopes) => request.caller(&unique_user(), scopes),
                None => request,
            };
            let answer = request.send().await;
            let allowed = operation.public
                || scope.is_some_and(|scope| {
                    scopes.is_some_and(|scopes| scopes.split(' ').any(|one| one == scope))
                });
            match (allowed, scopes) {
                (true, _) => assert!((200..300).contains(&answer.status), "{principal}: {answer:?}"),
                (false, None) => drop(answer.expect_problem(401, "token_required")),
                (false, Some(_)) => {
                    let answer = answer.expect_problem(403, "insufficient_scope");
                    let challenge = answer.header("www-authenticate");
                    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
                    assert!(challenge.contains(&format!(r#"scope="{}""#, scope.unwrap())), "{challenge}");
                }
            }
        }
        if !operation.public {
            let forged = shop.token(&unique_user(), ADMIN).sign(&Signer::new("key-1"));
            let refused = row(&shop, operation).await.bearer(&forged).send().await;
            refused.expect_problem(401, "invalid_token");
        }
    }
}

#[tokio::test]
async fn i24_a_refused_write_has_no_effect() {
    let shop = Shop::shared().await;
    let product = shop.create_stocked("refused", 10).await;
    let path = format!("/products/{}", product.id());
    for scopes in ["", CUSTOMER, "inventory:read"] {
        let user = unique_user();
        let patch = shop.patch(&path).if_match("*").json(&json!({"name": "Taken over"}));
        patch.caller(&user, scopes).send().await.expect(403);
        shop.delete(&path).if_match("*").caller(&user, scopes).send().await.expect(403);
        shop.adjust(product.id(), -10).caller(&user, scopes).send().await.expect(403);
    }
    let read = shop.product(product.id()).await;
    assert_eq!((&read.json, read.etag()), (&product.json, product.etag()));
    assert_eq!(shop.inventory(product.id()).await["on_hand"], 10);
}

async fn knock(shop: &Shop, product: &str, token: &str) -> Answer {
    shop.get(&format!("/products/{product}/inventory")).bearer(token).send().await
}

#[tokio::test]
async fn a_token_that_is_not_ours_in_every_part_is_refused() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("token")).await;
    let user = unique_user();
    let good = || shop.token(&user, STAFF);
    let (ours, theirs) = (shop.signer(), Signer::new("key-1"));
    knock(&shop, product.id(), &good().sign(ours)).await.expect(200);

    let now = good().claims["iat"].as_i64().unwrap();
    let claims: Vec<(&str, Value)> = vec![
        ("exp", json!(now - 60)),
        ("exp", json!(now - 10)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("never")),
        ("exp", json!(null)),
        ("nbf", json!(now + 600)),
        ("iss", json!("http://other.test/v1")),
        ("iss", json!("http://shop.test/v1/")),
        ("iss", json!("http://shop.test")),
        ("iss", json!(null)),
        ("aud", json!("http://other.test/v1")),
        ("aud", json!(["http://other.test/v1"])),
        ("aud", json!([])),
        ("aud", json!("")),
        ("aud", json!(null)),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!("prod_01jd8x2m9q5w3r7t1v6y4z0abc")),
        ("sub", json!("usr_x#IDEM")),
        ("sub", json!(5)),
        ("client_id", json!(null)),
        ("iat", json!(null)),
        ("jti", json!(null)),
        ("scope", json!(["inventory:read"])),
    ];
    for (name, value) in claims {
        let token = good().claim(name, value.clone()).sign(ours);
        let answer = knock(&shop, product.id(), &token).await;
        assert_eq!(answer.status, 401, "{name}: {value} {answer:?}");
        answer.expect_problem(401, "invalid_token");
    }

    let headers: Vec<(&str, Value)> = vec![
        ("typ", json!("JWT")),
        ("typ", json!("id_token")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", json!("Ed448")),
        ("alg", json!(null)),
        ("kid", json!("key-2")),
        ("kid", json!("")),
        ("kid", json!("../key-1")),
        ("kid", json!(1)),
        ("kid", json!(null)),
    ];
    for (name, value) in headers {
        let token = good().header(name, value.clone()).sign(ours);
        let answer = knock(&shop, product.id(), &token).await;
        assert_eq!(answer.status, 401, "{name}: {value} {answer:?}");
        answer.expect_problem(401, "invalid_token");
    }

    let signed = good().sign(ours);
    let (message, signature) = signed.rsplit_once('.').unwrap();
    let other_message = good().claim("scope", ADMIN).sign(ours).rsplit_once('.').unwrap().0.to_owned();
    let none = good().header("alg", "none");
    let hmac = good().header("alg", "HS256");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": theirs.item()["x"]["S"]});
    let x = ours.item()["x"]["S"].as_str().unwrap().to_owned();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = [
        ("another key", good().sign(&theirs)),
        ("another key in its header", good().header("jwk", jwk).sign(&theirs)),
        ("no algorithm, no signature", none.with_signature(|_| Vec::new())),
        ("no algorithm, some signature", none.sign(ours)),
        ("no algorithm, no key", none.header("kid", Value::Null).with_signature(|_| Vec::new())),
        ("HMAC with the public key", hmac.sign_with_hmac(ours.public())),
        ("HMAC with the public key as text", hmac.sign_with_hmac(x.as_bytes())),
        ("HMAC with nothing", hmac.sign_with_hmac(b"")),
        ("HMAC that calls itself EdDSA", good().sign_with_hmac(ours.public())),
        ("no signature", format!("{message}.")),
        ("no third part", message.to_owned()),
        ("a fourth part", format!("{signed}.{signature}")),
        ("other claims", format!("{other_message}.{signature}")),
        ("a damaged signature", format!("{message}.{flipped}{}", &signature[1..])),
        ("half a signature", format!("{message}.{}", &signature[..43])),
        ("a longer signature", format!("{signed}AAAA")),
        ("zeros for a signature", good().with_signature(|_| vec![0; 64])),
        ("padding", format!("{signed}==")),
        ("text", "token".to_owned()),
        ("dots", "..".to_owned()),
        ("10 KB", "e".repeat(10_000)),
        ("10 KB of claims", good().claim("more", "e".repeat(6_000)).sign(ours)),
    ];
    for (what, token) in forged {
        let answer = knock(&shop, product.id(), &token).await;
        assert_eq!(answer.status, 401, "{what} {answer:?}");
        let answer = answer.expect_problem(401, "invalid_token");
        assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#));
    }
}

#[tokio::test]
async fn what_the_standard_allows_of_a_token_is_accepted() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("standard")).await;
    let good = || shop.token(&unique_user(), "inventory:read");
    let now = good().claims["iat"].as_i64().unwrap();
    let tokens: [(&str, Token); 6] = [
        ("a clock a second behind", good().claim("exp", now - 1)),
        ("not before now", good().claim("nbf", now)),
        ("the type in full", good().header("typ", "application/at+jwt")),
        ("the type in capitals", good().header("typ", "AT+JWT")),
        ("more claims", good().claim("sid", "session-1").claim("auth_time", now)),
        ("many scopes", good().claim("scope", "a b inventory:read c")),
    ];
    for (what, token) in tokens {
        let answer = knock(&shop, product.id(), &token.sign(shop.signer())).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
    }
    let token = good().sign(shop.signer());
    for scheme in ["bearer", "BEARER"] {
        let request = shop.get(&format!("/products/{}/inventory", product.id()));
        request.header("authorization", &format!("{scheme} {token}")).send().await.expect(200);
    }
}

#[tokio::test]
async fn a_header_without_a_bearer_token_is_as_none() {
    let shop = Shop::shared().await;
    let product = shop.create(&new_product("scheme")).await;
    for value in ["Basic dXNlcjpwYXNz", "Bearer", "", "token", "Digest a=b"] {
        let request = shop.get(&format!("/products/{}/inventory", product.id()));
        let answer = request.header("authorization", value).send().await.expect(401);
        // RFC 6750: no error code where no token was sent.
        assert!(
            value == "Bearer" || !answer.header("www-authenticate").contains("error="),
            "{value} {answer:?}"
        );
    }
}

#[tokio::test]
async fn tokens_of_every_published_key_are_accepted() {
    let only = Some(vec!["inventory-get", "products-create"]);
    let shop = Shop::start(Options { closed: true, only, ..Options::default() }).await;
    let next = Signer::new("key-2");
    shop.publish(&next);
    shop.open("inventory-get", 1).await;
    shop.open("products-create", 1).await;
    let product = shop.create(&new_product("rotation")).await;
    let user = unique_user();
    let token = |kid: &str| Token::new(ISSUER, kid, &user, STAFF);
    knock(&shop, product.id(), &token("key-1").sign(shop.signer())).await.expect(200);
    knock(&shop, product.id(), &token("key-2").sign(&next)).await.expect(200);
    // Each key under its own name alone.
    knock(&shop, product.id(), &token("key-2").sign(shop.signer()))
        .await
        .expect_problem(401, "invalid_token");
    knock(&shop, product.id(), &token("key-3").sign(&Signer::new("key-3")))
        .await
        .expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn where_the_keys_cannot_be_read_nobody_is_blamed_and_nobody_let_in() {
    let only = Some(vec!["inventory-get"]);
    let shop = Shop::start(Options { closed: true, only, ..Options::default() }).await;
    let outage = shop.calls("Query").refuse();
    shop.open("inventory-get", 1).await;
    let token = shop.token(&unique_user(), STAFF).sign(shop.signer());
    let product = "prod_01jd8x2m9q5w3r7t1v6y4z0abc";
    knock(&shop, product, &token).await.expect_problem(503, "temporarily_unavailable");
    shop.get(&format!("/products/{product}/inventory")).send().await.expect_problem(401, "token_required");
    drop(outage);
    knock(&shop, product, &token).await.expect_problem(404, "not_found");
}
