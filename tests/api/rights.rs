//! Least privilege: each right in template.yaml is needed by some call of these operations. Missing rights fail any test,
//! because the proxy denies such calls.

use serde_json::json;

use crate::{
    access::{Objects, Row, row},
    oauth::{STOREFRONT_CLIENT, code_for, page},
    shop::{
        ADMIN, Answer, CONTRACT, CUSTOMER, HMAC_SECRET, Options, Person, SIGNING_SECRET, Shop, USERS,
        eventually, process,
        proxy::{Refusal, Service},
        unique_user,
    },
};

#[tokio::test]
async fn every_right_is_needed() {
    let instances = process::functions().into_iter().map(|name| (&*name.leak(), 1)).collect();
    let shop = Shop::start(Options { instances, ..Options::default() }).await;
    every_operation(&shop).await;
    availability(&shop).await;
    expired_attempts(&shop).await;
    sessions(&shop).await;
    an_account_that_has_ordered(&shop).await;
    lists_of_orders(&shop).await;
    unpaid_orders(&shop).await;
    returned_goods(&shop).await;
    for secret in [HMAC_SECRET, SIGNING_SECRET] {
        shop.secrets().rotate(secret).await.unwrap();
    }

    let unneeded: Vec<String> = shop
        .unneeded_rights()
        .into_iter()
        .map(|(function, (action, resource))| format!("{function} may do {action} to {resource}"))
        .collect();
    assert!(
        unneeded.is_empty(),
        "remove these rights from template.yaml, or add the step that needs them here:\n  {}\n",
        unneeded.join("\n  ")
    );
}

/// Calls each operation once, like the access matrix.
async fn every_operation(shop: &Shop) {
    let person = shop.register_person().await;
    let user = shop.user(&person).await.id().to_owned();
    let product = shop.create_stocked("rights", 10).await.id().to_owned();
    let pieces = shop.create_stocked("rights", 1_000).await.id().to_owned();
    let objects = Objects { product, pieces, person, user };
    for operation in CONTRACT.operations() {
        let Row { request, caller } = row(shop, &objects, operation).await;
        let request = match operation.public {
            true => request,
            false => request.caller(&caller.unwrap_or_else(unique_user), ADMIN),
        };
        let answer = request.send().await;
        assert!((200..400).contains(&answer.status), "{answer:?}");
    }
}

/// Sells a product out, so that its availability in lists changes.
async fn availability(shop: &Shop) {
    let product = shop.create_stocked("rights", 10).await;
    shop.adjust(product.id(), -10).send().await.expect(201);
    let shown = async || {
        let list =
            shop.get("/products").query("category", product["category"].as_str().unwrap()).send().await;
        (list.items()[0]["availability"] == "out_of_stock").then_some(())
    };
    eventually("lists to show it", shown).await;
}

/// Tries passwords of an account that was locked a day ago: DynamoDB deletes expired counters late.
async fn expired_attempts(shop: &Shop) {
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let Person { email, password, address, .. } = &person;
    let form = page(shop, &STOREFRONT_CLIENT).await.submit(shop, email, password, true);
    let renewed = json!({"current_password": password, "new_password": password});
    let renewed = shop.put("/users/me/password").bearer(&session.access_token).json(&renewed);
    for request in [shop.log_in(&person), form.from(address), renewed.from(address)] {
        shop.log_in_with(&person, "CANARY no such password").send().await.expect(401);
        for mut item in shop.items(USERS) {
            if item["pk"]["S"].as_str().unwrap().starts_with("ATTEMPT#") {
                for (name, value) in item.as_object_mut().unwrap() {
                    match &**name {
                        "expires_at" => *value = json!({"N": "1"}),
                        name if name.ends_with("_count") => *value = json!({"N": "100"}),
                        _ => {}
                    }
                }
                shop.write(USERS, item);
            }
        }
        let answer = request.send().await;
        assert!((200..400).contains(&answer.status), "{answer:?}");
    }
}

/// Exchanges a code, ends its session and changes the user's role, which ends all other sessions.
async fn sessions(shop: &Shop) {
    let person = shop.register_person().await;
    let code = code_for(shop, &STOREFRONT_CLIENT, &person).await;
    let tokens = STOREFRONT_CLIENT.exchange(shop, &code).send().await.expect(200);
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let revoke = [("token", refresh_token), ("client_id", &*STOREFRONT_CLIENT.id)];
    shop.post("/oauth/revoke").form(&revoke).send().await.expect(200);
    let (id, secret) = crate::oauth::machine(shop, "inventory:read").await;
    let fields = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
    let tokens = shop.token_request(&fields).send().await.expect(200);
    let own = [("token", tokens["access_token"].as_str().unwrap()), fields[1], fields[2]];
    shop.post("/oauth/revoke").form(&own).send().await.expect(200);
    shop.register_as("staff").await;
    let session = shop.session(&person).await;
    shop.refresh(&session.refresh_token).send().await.expect(200);
    crate::sessions::later(shop, &session, 60);
    shop.refresh(&session.refresh_token).send().await.expect(400);
}

/// Deletes an account with orders.
async fn an_account_that_has_ordered(shop: &Shop) {
    let mug = shop.create_stocked("rights", 10).await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    let order = shop.place(&session.user, &[(mug.id(), 1)]).send().await.expect(201);
    shop.cancel(&order).send().await.expect(200);
    let delete = shop.post("/users/me/delete").bearer(&session.access_token).from(&person.address);
    delete.json(&json!({"password": person.password})).send().await.expect(204);
}

/// Lists all orders, and a customer's, and the changes of one.
async fn lists_of_orders(shop: &Shop) {
    let mug = shop.create_stocked("rights", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.get("/orders").staff().send().await.expect(200);
    let customer = order["customer_id"].as_str().unwrap();
    shop.get("/orders").caller(customer, CUSTOMER).send().await.expect(200);
    shop.get("/audit").query("object", order.id()).scoped("audit:read").send().await.expect(200);
}

/// Moves an order beyond its deadline.
async fn unpaid_orders(shop: &Shop) {
    let mug = shop.create_stocked("rights", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.later(order.id());
    shop.run("orders-expire").await;
}

/// Refunds: at once, after a webhook, and after asking Stripe, which fails at first.
async fn returned_goods(shop: &Shop) {
    let mug = shop.create_stocked("rights", 100).await;
    let one = json!([{"product_id": mug.id(), "quantity": 1}]);
    let returned = json!({"amount": 2000, "restock": one, "release": one});
    let shipped = async || -> Answer {
        let order = shop.paid(&[(mug.id(), 2)]).await;
        shop.fulfil(&order, &json!({"lines": one})).send().await.expect(201);
        order
    };
    shop.refund(&shipped().await, &returned).send().await.expect(201);

    let in_doubt = async || -> Answer {
        let order = shipped().await;
        let lost = shop.calls("POST /v1/refunds").about(shop.intent(order.id(), 0)).lose_answer();
        shop.refund(&order, &returned).send().await.expect(202);
        drop(lost);
        order
    };
    let order = in_doubt().await;
    let charge = json!({"id": "ch_1", "object": "charge", "payment_intent": shop.intent(order.id(), 0)});
    shop.webhook("charge.refunded", &charge).send().await.expect(204);
    let order = in_doubt().await;
    shop.later(order.id());
    let outage = shop.any_call().of(Service::Payments).answer(Refusal::of_payments(500, "api_error", None));
    shop.try_run("payments-reconcile").await;
    drop(outage);
    shop.later(order.id());
    shop.run("payments-reconcile").await;
}
