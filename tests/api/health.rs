use crate::shop::{BUILD, Shop};

#[tokio::test]
async fn health_names_the_build() {
    let shop = Shop::shared().await;
    let health = shop.get("/health").send().await.expect(200);
    assert_eq!((&health["status"], &health["build"]), (&"ok".into(), &BUILD.into()));
    assert_eq!(health.header("cache-control"), "private, no-store");
}

#[tokio::test]
async fn health_is_503_while_the_store_is_silent() {
    let shop = Shop::with(&[("health-get", 1)]).await;
    let outage = shop.any_call().refuse();
    shop.get("/health").send().await.expect_problem(503, "temporarily_unavailable");
    drop(outage);
    shop.get("/health").send().await.expect(200);
}
