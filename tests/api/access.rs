use serde_json::{Value, json};

use crate::{
    oauth::{STOREFRONT_CLIENT, machine, page},
    shop::{
        ADMIN, Answer, CONTRACT, CUSTOMER, ISSUER, Operation, Options, Person, Request, STAFF, Shop,
        buyers::{VISA, basket},
        new_product,
        token::{Signer, Token},
        unique, unique_user,
    },
};

/// A request that succeeds for every caller who may make it.
pub struct Row {
    pub request: Request,
    /// The user who must send it, or `None` for any.
    pub caller: Option<String>,
}

impl From<Request> for Row {
    fn from(request: Request) -> Self {
        Self { request, caller: None }
    }
}

/// The objects of the requests, made once.
pub struct Objects {
    pub product: String,
    /// A product with many pieces.
    pub pieces: String,
    /// A person with an account.
    pub person: Person,
    pub user: String,
}

/// An operation without a row fails.
pub async fn row(shop: &Shop, objects: &Objects, operation: &Operation) -> Row {
    let path = operation.path.replace("{product_id}", &objects.product).replace("{user_id}", &objects.user);
    let own = |request: Request| Row { request, caller: Some(objects.user.clone()) };
    let customer_of = |order: &Answer| order["customer_id"].as_str().map(str::to_owned);
    let of_order = |order: &Answer, what: &str, body: Value| {
        let request = shop.post(&format!("/orders/{}{what}", order.id())).key(&unique("key")).json(&body);
        Row { request, caller: customer_of(order) }
    };
    // Anyone but the customer.
    let of_others = |order: &Answer, what: &str| Row { caller: None, ..of_order(order, what, json!({})) };
    match &*operation.id {
        "audit-list"
        | "docs-openapi"
        | "docs-page"
        | "health-get"
        | "products-get"
        | "products-list"
        | "inventory-get"
        | "inventory-movements"
        | "users-list"
        | "users-get"
        | "oauth-clients-list"
        | "oauth-jwks"
        | "oauth-metadata" => shop.get(&path).into(),
        "products-create" => shop.post(&path).key(&unique("key")).json(&new_product("access")).into(),
        "products-update" => shop.patch(&path).if_match("*").json(&json!({"name": "New name"})).into(),
        "products-archive" => {
            let product = shop.create_stocked("access", 10).await;
            shop.delete(&format!("/products/{}", product.id())).if_match("*").into()
        }
        "inventory-adjust" => {
            shop.post(&path).key(&unique("key")).json(&json!({"delta": 1, "reason": "received"})).into()
        }
        "users-register" => shop.register(&Person::new()).into(),
        "users-verify-email" => {
            let person = Person::new();
            shop.register(&person).send().await.expect(202);
            let token = shop.mailed_token(&person.email, "verify-email", 1).await;
            shop.verify(&person, &token).into()
        }
        "users-forgot-password" => shop.forget_password(&Person::new()).into(),
        "users-reset-password" => {
            let person = shop.register_person().await;
            shop.forget_password(&person).send().await.expect(202);
            let token = shop.mailed_token(&person.email, "reset-password", 1).await;
            shop.reset_password(&person, &token, &Person::new().password).into()
        }
        "users-update" => shop.patch(&path).if_match("*").json(&json!({"locked": false})).into(),
        "profile-get" => own(shop.get(&path)),
        "profile-update" => own(shop.patch(&path).if_match("*").json(&json!({"name": "CANARY New name"}))),
        "profile-password" => {
            let password = &objects.person.password;
            let body = json!({"current_password": password, "new_password": password});
            own(shop.put(&path).json(&body))
        }
        "profile-delete" => {
            let person = shop.register_person().await;
            let request = shop.post(&path).json(&json!({"password": person.password})).from(&person.address);
            Row { request, caller: Some(shop.user(&person).await.id().to_owned()) }
        }
        "sessions-create" => shop.log_in(&objects.person).into(),
        "sessions-delete" => own(shop.delete(&path)),
        "oauth-authorize" => shop.get(&STOREFRONT_CLIENT.path(None)).into(),
        "oauth-authorize-submit" => {
            let Person { email, password, address, .. } = &objects.person;
            page(shop, &STOREFRONT_CLIENT).await.submit(shop, email, password, true).from(address).into()
        }
        "oauth-token" => shop.refresh(&shop.session(&objects.person).await.refresh_token).into(),
        "oauth-revoke" => shop.post(&path).form(&[("token", "unknown")]).into(),
        "oauth-clients-create" => {
            let new = json!({"name": "Warehouse", "scope": "inventory:read"});
            shop.post(&path).key(&unique("key")).json(&new).into()
        }
        "oauth-clients-delete" => {
            let (id, _) = machine(shop, "inventory:read").await;
            shop.delete(&format!("/oauth/clients/{id}")).into()
        }
        "oauth-secrets-create" => {
            let (id, _) = machine(shop, "inventory:read").await;
            shop.post(&format!("/oauth/clients/{id}/secrets")).into()
        }
        "oauth-secrets-delete" => {
            let (id, _) = machine(shop, "inventory:read").await;
            let path = format!("/oauth/clients/{id}/secrets");
            let secret = shop.post(&path).scoped(ADMIN).send().await.expect(201);
            shop.delete(&format!("{path}/{}", secret.id())).into()
        }
        "orders-create" => shop.post(&path).key(&unique("key")).json(&basket(&[(&objects.pieces, 1)])).into(),
        "orders-list" => shop.get(&path).into(),
        "orders-get" => {
            let order = shop.ordered(&[(&objects.pieces, 1)]).await;
            Row { request: shop.get(&format!("/orders/{}", order.id())), caller: customer_of(&order) }
        }
        "orders-cancel" => of_order(&shop.ordered(&[(&objects.pieces, 1)]).await, "/cancel", json!({})),
        "orders-pay" => {
            let order = shop.ordered(&[(&objects.pieces, 1)]).await;
            of_order(&order, "/payments", json!({"payment_method": VISA}))
        }
        "orders-capture" => of_others(&shop.authorized(&[(&objects.pieces, 1)]).await, "/capture"),
        "orders-refund" => of_others(&shop.paid(&[(&objects.pieces, 1)]).await, "/refunds"),
        "orders-fulfil" => of_others(&shop.paid(&[(&objects.pieces, 1)]).await, "/fulfilments"),
        "payments-webhook" => shop.webhook("customer.created", &json!({"id": "cus_1"})).into(),
        unknown => panic!("{unknown} needs a row"),
    }
}

#[tokio::test]
async fn i24_every_principal_gets_the_documented_verdict_of_every_operation() {
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let user = shop.user(&person).await.id().to_owned();
    let product = shop.create_stocked("access", 10).await.id().to_owned();
    let pieces = shop.create_stocked("access", 1_000).await.id().to_owned();
    let objects = Objects { product, pieces, person, user };
    for operation in CONTRACT.operations() {
        // One of several will do, such as that of the order's customer or that of the staff.
        let is_needed = |scope: &&str| operation.scopes.iter().any(|needed| needed == scope);
        let without_scope: Vec<_> = ADMIN.split(' ').filter(|other| !is_needed(other)).collect();
        let without_scope = without_scope.join(" ");
        let scope = operation.scopes.first().map_or("none", String::as_str);
        let longer = format!("{scope}x {scope}:more");
        let shouted = scope.to_uppercase();
        let mut principals: Vec<(&str, Option<&str>)> = vec![
            ("staff", Some(STAFF)),
            ("admin", Some(ADMIN)),
            ("customer", Some(CUSTOMER)),
            ("all scopes but that", Some(&without_scope)),
            ("a longer scope", Some(&longer)),
            ("the scope in capitals", Some(&shouted)),
            ("no scope", Some("")),
            ("no token", None),
        ];
        principals.extend(operation.scopes.iter().map(|scope| ("that scope alone", Some(scope.as_str()))));
        for (principal, scopes) in principals {
            let Row { request, caller } = row(&shop, &objects, operation).await;
            let request = match scopes {
                Some(scopes) => request.caller(&caller.unwrap_or_else(unique_user), scopes),
                None => request,
            };
            let answer = request.send().await;
            let allowed =
                operation.public || scopes.is_some_and(|scopes| scopes.split(' ').any(|one| is_needed(&one)));
            match (allowed, scopes) {
                (true, _) => assert!((200..400).contains(&answer.status), "{principal}: {answer:?}"),
                (false, None) => drop(answer.expect_problem(401, "token_required")),
                (false, Some(_)) => {
                    let answer = answer.expect_problem(403, "insufficient_scope");
                    let challenge = answer.header("www-authenticate");
                    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
                    let named = |scope: &String| challenge.contains(&format!(r#"scope="{scope}"#));
                    assert!(operation.scopes.iter().any(named), "{challenge}");
                }
            }
        }
        if !operation.public {
            let Row { request, caller } = row(&shop, &objects, operation).await;
            let forged = shop.token(&caller.unwrap_or_else(unique_user), ADMIN).sign(&Signer::new("key-1"));
            request.bearer(&forged).send().await.expect_problem(401, "invalid_token");
        }
    }
}

#[tokio::test]
async fn i24_the_own_account_is_reached_by_its_owner_alone() {
    let shop = Shop::shared().await;
    let (owner, other) = (shop.register_person().await, shop.register_person().await);
    let before = shop.user(&owner).await;
    let session = shop.session(&other).await;
    // No request of a customer can name another account.
    let path = format!("/users/{}", before.id());
    for scope in [CUSTOMER, "profile:read", "account", "orders:own"] {
        shop.get(&path).caller(&session.user, scope).send().await.expect_problem(403, "insufficient_scope");
        let patch = shop.patch(&path).if_match("*").json(&json!({"role": "admin"}));
        patch.caller(&session.user, scope).send().await.expect_problem(403, "insufficient_scope");
        let list = shop.get("/users").query("email", &owner.email).caller(&session.user, scope).send().await;
        list.expect_problem(403, "insufficient_scope");
    }
    for patch in [json!({"id": before.id()}), json!({"email": owner.email}), json!({"user_id": before.id()})]
    {
        let patch = shop.patch("/users/me").if_match("*").json(&patch).bearer(&session.access_token);
        patch.send().await.expect_problem(422, "validation_failed");
    }
    // With the password of another, too, it is one's own that is meant.
    let erase = shop.post("/users/me/delete").json(&json!({"password": owner.password}));
    erase
        .bearer(&session.access_token)
        .from(&other.address)
        .send()
        .await
        .expect_problem(401, "invalid_credentials");
    let put = json!({"current_password": owner.password, "new_password": Person::new().password});
    let put = shop.put("/users/me/password").json(&put).bearer(&session.access_token).from(&other.address);
    put.send().await.expect_problem(401, "invalid_credentials");
    shop.delete("/sessions").bearer(&session.access_token).send().await.expect(204);
    assert_eq!(shop.user(&owner).await.json, before.json);
    shop.log_in(&owner).send().await.expect(200);
}

#[tokio::test]
async fn i24_staff_do_not_capture_ship_or_refund_their_own_order() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("own", 10).await;
    let (authorized, paid) = (shop.authorized(&[(mug.id(), 1)]).await, shop.paid(&[(mug.id(), 1)]).await);
    for (order, request) in [
        (&authorized, shop.capture(&authorized, None)),
        (&paid, shop.fulfil(&paid, &json!({}))),
        (&paid, shop.refund(&paid, &json!({"amount": 1}))),
    ] {
        let own = request.clone().caller(order["customer_id"].as_str().unwrap(), ADMIN);
        own.send().await.expect_problem(403, "own_order");
        request.send().await;
    }
    let read = shop.order(paid.id()).await;
    assert_eq!(
        (&read["fulfilment_status"], &read["payment_status"]),
        (&json!("fulfilled"), &json!("partially_refunded"))
    );
}

#[tokio::test]
async fn i24_no_request_sets_its_callers_role() {
    let shop = Shop::shared().await;
    let person = Person::new();
    for (name, value) in [
        ("role", json!("admin")),
        ("scope", json!(ADMIN)),
        ("status", json!("active")),
        ("email_verified", json!(true)),
    ] {
        let mut body = json!({"email": person.email, "password": person.password, "name": person.name});
        body[name] = value.clone();
        shop.post("/users")
            .json(&body)
            .send()
            .await
            .expect_invalid(&[(&format!("/{name}"), "unknown_field")]);
        let mut body = json!({"email": person.email, "password": person.password});
        body[name] = value;
        shop.post("/sessions")
            .json(&body)
            .send()
            .await
            .expect_invalid(&[(&format!("/{name}"), "unknown_field")]);
    }
    let session = shop.session(&shop.register_person().await).await;
    for (name, value) in [("role", "admin"), ("status", "active"), ("scope", ADMIN)] {
        let patch =
            shop.patch("/users/me").if_match("*").json(&json!({name: value})).bearer(&session.access_token);
        patch.send().await.expect_invalid(&[(&format!("/{name}"), "unknown_field")]);
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

async fn read_inventory(shop: &Shop, product: &str, token: &str) -> Answer {
    shop.get(&format!("/products/{product}/inventory")).bearer(token).send().await
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
    read_inventory(&shop, product.id(), &token("key-1").sign(shop.signer())).await.expect(200);
    read_inventory(&shop, product.id(), &token("key-2").sign(&next)).await.expect(200);
    // Each key under its own name alone.
    read_inventory(&shop, product.id(), &token("key-2").sign(shop.signer()))
        .await
        .expect_problem(401, "invalid_token");
    read_inventory(&shop, product.id(), &token("key-3").sign(&Signer::new("key-3")))
        .await
        .expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn unreadable_public_keys_are_503() {
    let only = Some(vec!["inventory-get"]);
    let shop = Shop::start(Options { closed: true, only, ..Options::default() }).await;
    let outage = shop.verifier_reads().refuse();
    shop.open("inventory-get", 1).await;
    let token = shop.token(&unique_user(), STAFF).sign(shop.signer());
    let product = "prod_01jd8x2m9q5w3r7t1v6y4z0abc";
    read_inventory(&shop, product, &token).await.expect_problem(503, "temporarily_unavailable");
    shop.get(&format!("/products/{product}/inventory")).send().await.expect_problem(401, "token_required");
    drop(outage);
    read_inventory(&shop, product, &token).await.expect_problem(404, "not_found");
}
