use std::fs;

use serde_json::Value;

use crate::shop::{STAFF, Shop, process, unique_user};

#[tokio::test]
async fn the_events_shipped_for_cargo_lambda_invoke_are_understood() {
    let shop = Shop::shared().await;
    for function in process::functions() {
        let path = local::repository().join("local/events").join(&function).with_extension("json");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut text = text.replace("ACCESS_TOKEN", &shop.token(&unique_user(), STAFF).sign(shop.signer()));
        let event: Value = serde_json::from_str(&text).unwrap();
        if let Some(id) = event["pathParameters"]["product_id"].as_str() {
            // A product of this shop in the place of the seeded one.
            text = text.replace(id, shop.create_stocked("event", 100).await.id());
        }
        let answer = shop.invoke(&function, &serde_json::from_str(&text).unwrap()).await;
        match event["httpMethod"].as_str() {
            Some(_) => {
                assert!((200..300).contains(&answer["statusCode"].as_u64().unwrap()), "{function}: {answer}")
            }
            None => assert_eq!(answer["batchItemFailures"], Value::Array(Vec::new()), "{function}: {answer}"),
        }
    }
}
