//! A burst of requests to one function, through the laptop's gateway.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;

use crate::shop::{Options, Shop, buyers::basket, unique};

#[tokio::test]
async fn a_thousand_buyers_at_once_get_what_there_is_and_the_shop_stays_open() {
    let shop = Shop::start(Options::default()).await;
    let product = shop.create_stocked("burst", 50).await;
    let session = shop.session(&shop.register_person().await).await;

    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();

    let order = basket(&[(product.id(), 1)]);
    let buy = async |_| {
        let request = http.post(format!("{}/v1/orders", shop.url()));
        let request = request.bearer_auth(&session.access_token).header("Idempotency-Key", unique("burst"));
        let response = request.json(&order).send().await.unwrap();
        let status = response.status().as_u16();
        if matches!(status, 429 | 503) {
            assert!(response.headers().contains_key("retry-after"));
        }
        status
    };
    let mut statuses = BTreeMap::new();
    for status in join_all((0..1_000).map(buy)).await {
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert_eq!(statuses.values().sum::<usize>(), 1_000);
    assert_eq!(statuses.remove(&201), Some(50), "{statuses:?}");
    assert!(statuses.keys().all(|status| [409, 429, 503].contains(status)), "{statuses:?}");
    let stock = shop.inventory(product.id()).await;
    assert_eq!((&stock["reserved"], &stock["available"]), (&50.into(), &0.into()));

    let health = http.get(format!("{}/v1/health", shop.url())).send().await.unwrap();
    assert_eq!(health.status(), 200);
}
