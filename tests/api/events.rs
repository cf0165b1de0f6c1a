use std::fs;

use serde_json::Value;

use crate::{
    oauth::machine,
    shop::{ADMIN, Person, STOREFRONT, Shop, deployed::skip_where_deployed, process, unique_user},
};

#[tokio::test]
async fn the_events_shipped_for_cargo_lambda_invoke_are_understood() {
    skip_where_deployed("events of what is local");
    let shop = Shop::shared().await;
    let person = shop.register_person().await;
    let session = shop.session(&person).await;
    for function in process::functions() {
        let path = template::repository().join("local/events").join(&function).with_extension("json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let event: Value = serde_json::from_str(&text).unwrap();
        // What is this shop's own, in the place of what was seeded.
        let own =
            event["path"].as_str().is_some_and(|path| path.contains("/me")) || function == "sessions-delete";
        let caller = if own { session.user.clone() } else { unique_user() };
        let seeded;
        let mut places = vec![
            ("ACCESS_TOKEN", shop.token(&caller, ADMIN).sign(shop.signer())),
            ("REFRESH_TOKEN", String::new()),
            ("customer@shop.example", person.email.clone()),
            ("PASSWORD", person.password.clone()),
            ("http://localhost:3000", STOREFRONT.to_owned()),
        ];
        if let Some(id) = event["pathParameters"]["product_id"].as_str() {
            places.push((id, shop.create_stocked("event", 100).await.id().to_owned()));
        }
        if let Some(id) = event["pathParameters"]["user_id"].as_str() {
            places.push((id, shop.user(&shop.register_person().await).await.id().to_owned()));
        }
        if let Some(id) = event["pathParameters"]["client_id"].as_str() {
            let client = machine(&shop, "inventory:read").await.0;
            if event["pathParameters"]["secret_id"].is_string() {
                let add = shop.post(&format!("/oauth/clients/{client}/secrets")).scoped(ADMIN);
                places.push(("SECRET_ID", add.send().await.expect(201).id().to_owned()));
            }
            places.push((id, client));
        }
        if event["pathParameters"]["order_id"].is_string() {
            let product = shop.create_stocked("event", 100).await;
            let goods = [(product.id(), 3)];
            let order = match &*function {
                "orders-capture" => shop.authorized(&goods).await,
                "orders-refund" | "orders-fulfil" => shop.paid(&goods).await,
                _ => shop.ordered(&goods).await,
            };
            places[0].1 = shop.token(order["customer_id"].as_str().unwrap(), ADMIN).sign(shop.signer());
            places.push(("ORDER_ID", order.id().to_owned()));
        }
        match &*function {
            "users-verify-email" => {
                let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
                let password = body["password"].as_str().unwrap().to_owned();
                let applicant = Person { password, ..Person::new() };
                shop.register(&applicant).send().await.expect(202);
                places.push(("MAILED_TOKEN", shop.mailed_token(&applicant.email, "verify-email", 1).await));
            }
            "users-reset-password" => {
                let forgetful = shop.register_person().await;
                shop.forget_password(&forgetful).send().await.expect(202);
                places.push(("MAILED_TOKEN", shop.mailed_token(&forgetful.email, "reset-password", 1).await));
            }
            "oauth-token" | "oauth-revoke" => places[1].1 = shop.session(&person).await.refresh_token,
            "profile-password" => {
                let renewed = shop.register_person().await;
                let id = shop.user(&renewed).await.id().to_owned();
                places[0].1 = shop.token(&id, ADMIN).sign(shop.signer());
                places[3].1 = renewed.password;
            }
            "profile-delete" => {
                let leaving = shop.register_person().await;
                let id = shop.user(&leaving).await.id().to_owned();
                places[0].1 = shop.token(&id, ADMIN).sign(shop.signer());
                places[3].1 = leaving.password;
            }
            // Not their own order.
            "orders-capture" | "orders-fulfil" | "orders-refund" => {
                places[0].1 = shop.token(&unique_user(), ADMIN).sign(shop.signer());
            }
            "orders-create" => {
                let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
                seeded = body["items"][0]["product_id"].as_str().unwrap().to_owned();
                places.push((&seeded, shop.create_stocked("event", 100).await.id().to_owned()));
            }
            "payments-webhook" => {
                places.push(("STRIPE_SIGNATURE", shop.stripe().sign(event["body"].as_str().unwrap())));
            }
            _ => {}
        }
        let text = places.iter().fold(text.clone(), |text, (place, value)| text.replace(place, value));
        let answer = shop.invoke(&function, &serde_json::from_str(&text).unwrap()).await;
        if event["httpMethod"].is_string() {
            assert!((200..300).contains(&answer["statusCode"].as_u64().unwrap()), "{function}: {answer}");
        } else if event["Records"].is_array() {
            assert_eq!(answer["batchItemFailures"], Value::Array(Vec::new()), "{function}: {answer}");
        } else {
            assert_eq!(answer, Value::Null, "{function}");
        }
    }
}
