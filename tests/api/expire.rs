//! Orders that are not paid in time, and payments in doubt that are resolved later. The tests move the deadlines.

use futures_util::future::join_all;
use serde_json::json;

use crate::shop::{
    Answer, Shop,
    books::timeline,
    buyers::{AUTHENTICATION, ERROR_500, VISA},
    proxy::{Refusal, Service},
    unique_user,
};

const CANCEL: &str = "POST /v1/payment_intents/{id}/cancel";

/// Starts a separate shop, because the test moves deadlines.
async fn shop() -> Shop {
    Shop::with(&[
        ("orders-expire", 2),
        ("payments-reconcile", 2),
        ("orders-create", 2),
        ("orders-get", 1),
        ("orders-pay", 2),
        ("orders-cancel", 1),
        ("orders-fulfil", 1),
        ("payments-webhook", 1),
        ("products-create", 1),
        ("inventory-get", 1),
        ("inventory-movements", 1),
    ])
    .await
}

async fn reserved(shop: &Shop, product: &Answer) -> i64 {
    shop.inventory(product.id()).await["reserved"].as_i64().unwrap()
}

#[tokio::test]
async fn i11_an_order_that_is_not_paid_in_time_expires_once_and_gives_its_stock_back() {
    let shop = shop().await;
    let (mug, bowl) = (shop.create_stocked("mug", 10).await, shop.create_stocked("bowl", 10).await);
    let (late, early) =
        (shop.ordered(&[(mug.id(), 3), (bowl.id(), 1)]).await, shop.ordered(&[(mug.id(), 2)]).await);
    shop.run("orders-expire").await;
    assert_eq!(reserved(&shop, &mug).await, 5, "nothing is due yet");
    shop.later(late.id());
    shop.run("orders-expire").await;
    assert_eq!((reserved(&shop, &mug).await, reserved(&shop, &bowl).await), (2, 0));
    let expired = shop.order(late.id()).await;
    assert_eq!((&expired["status"], &expired["payment_status"]), (&json!("expired"), &json!("unpaid")));
    let entry = expired["timeline"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&entry["type"], &entry["actor"]), (&json!("expired"), &json!("schedule")));
    // Neither is looked at again: nothing of it is due any more.
    let watched = shop.any_call().of(Service::Dynamo).by("orders-expire").about("ORDER#").observe();
    shop.run("orders-expire").await;
    assert!(watched.observed().iter().all(|call| call.operation == "Query"), "{:?}", watched.observed());
    assert!(shop.kept(late.id())["due"].is_null());
    shop.pay(&late, VISA).send().await.expect_problem(409, "not_payable");
    shop.pay(&early, VISA).send().await.expect(201);
    shop.assert_books(&[mug.id(), bowl.id()]);
}

#[tokio::test]
async fn i11_what_is_paid_or_authorized_never_expires() {
    let shop = shop().await;
    let mug = shop.create_stocked("paid", 10).await;
    let (paid, authorized) = (shop.paid(&[(mug.id(), 1)]).await, shop.authorized(&[(mug.id(), 1)]).await);
    for order in [&paid, &authorized] {
        shop.later(order.id());
    }
    shop.run("orders-expire").await;
    shop.run("payments-reconcile").await;
    shop.run("orders-expire").await;
    for (order, payment_status) in [(&paid, "paid"), (&authorized, "authorized")] {
        let read = shop.order(order.id()).await;
        assert_eq!((&read["status"], &read["payment_status"]), (&json!("open"), &json!(payment_status)));
    }
    assert_eq!(reserved(&shop, &mug).await, 2);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i11_two_runs_at_once_and_repeated_ones_give_back_once() {
    let shop = shop().await;
    let mug = shop.create_stocked("runs", 100).await;
    let orders = join_all((0..12).map(|_| async { shop.ordered(&[(mug.id(), 2)]).await })).await;
    for order in &orders {
        shop.later(order.id());
    }
    let start = shop.calls("TransactWriteItems").by("orders-expire").hold();
    let runs = async { tokio::join!(shop.run("orders-expire"), shop.run("orders-expire")) };
    let (((), ()), ()) = tokio::join!(runs, async {
        start.reached(2).await;
        start.release();
    });
    shop.run("orders-expire").await;
    for order in &orders {
        let read = shop.order(order.id()).await;
        assert_eq!((&read["status"], timeline(&read.json)["expired"]), (&json!("expired"), 1));
    }
    assert_eq!(reserved(&shop, &mug).await, 0);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i09_the_intent_is_cancelled_before_the_stock_goes_back() {
    let shop = shop().await;
    let mug = shop.create_stocked("first", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.later(order.id());
    // While Stripe does not say that it is cancelled, the pieces stay.
    for refusal in
        [Refusal::of_payments(500, "api_error", None), Refusal::of_payments(429, "x", Some("rate_limit"))]
    {
        let fault = shop.calls(CANCEL).answer(refusal);
        shop.try_run("orders-expire").await;
        shop.later(order.id());
        shop.try_run("payments-reconcile").await;
        assert!(fault.hits() > 0);
        assert_eq!(
            (reserved(&shop, &mug).await, &shop.order(order.id()).await["status"]),
            (1, &json!("open"))
        );
        shop.later(order.id());
    }
    let cancel = shop.calls(CANCEL).hold();
    tokio::join!(shop.run("orders-expire"), async {
        cancel.reached(1).await;
        assert_eq!(reserved(&shop, &mug).await, 1);
        cancel.release();
    });
    assert_eq!(shop.settle(order.id()).await["status"], "expired");
    assert_eq!(shop.provider_intents(order.id())[0]["status"], "canceled");
    assert_eq!(reserved(&shop, &mug).await, 0);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i09_a_doubt_keeps_its_stock_however_late_it_is() {
    let shop = shop().await;
    let mug = shop.create_stocked("doubt", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ERROR_500).send().await.expect(202);
    let silence = shop.any_call().of(Service::Payments).answer(Refusal::of_payments(503, "api_error", None));
    for _ in 0..3 {
        shop.later(order.id());
        for function in ["orders-expire", "payments-reconcile"] {
            shop.try_run(function).await;
        }
        let read = shop.order(order.id()).await;
        assert_eq!((&read["status"], &read["payment_status"]), (&json!("open"), &json!("processing")));
        assert_eq!(reserved(&shop, &mug).await, 1);
    }
    drop(silence);
    assert_eq!(shop.settle(order.id()).await["status"], "expired");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn one_order_that_cannot_be_worked_off_holds_up_no_other() {
    let shop = shop().await;
    let mug = shop.create_stocked("held-up", 100).await;
    let orders = join_all((0..6).map(|_| async { shop.ordered(&[(mug.id(), 1)]).await })).await;
    let stuck = &orders[2];
    shop.pay(stuck, AUTHENTICATION).send().await.expect(202);
    for order in &orders {
        shop.later(order.id());
    }
    let fault = shop.calls(CANCEL).answer(Refusal::of_payments(500, "api_error", None));
    shop.try_run("orders-expire").await;
    for order in orders.iter().filter(|order| order.id() != stuck.id()) {
        assert_eq!(shop.order(order.id()).await["status"], "expired");
    }
    drop(fault);
    assert_eq!(shop.settle(stuck.id()).await["status"], "expired");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_backlog_of_more_than_a_page_is_worked_off() {
    let shop = shop().await;
    let mug = shop.create_stocked("backlog", 200).await;
    let buyer = unique_user();
    let orders = join_all((0..60).map(|_| shop.place(&buyer, &[(mug.id(), 1)]).send())).await;
    for order in &orders {
        shop.later(order.id());
    }
    // As where the items were large: each page of the index has two.
    let pages = shop.calls("Query").by("orders-expire").rewrite(|query| query["Limit"] = json!(2));
    for _ in 0..8 {
        shop.run("orders-expire").await;
    }
    assert!(pages.hits() > 4);
    assert_eq!(reserved(&shop, &mug).await, 0);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i17_a_run_that_is_killed_gives_back_once_all_the_same() {
    let shop = shop().await;
    let mug = shop.create_stocked("killed", 10).await;
    for committed in [false, true] {
        let order = shop.ordered(&[(mug.id(), 2)]).await;
        shop.later(order.id());
        let writes = shop.calls("TransactWriteItems").by("orders-expire");
        let held = if committed { writes.hold_answer() } else { writes.hold() };
        tokio::select! {
            answer = shop.try_run("orders-expire") => panic!("an answer from a function that hangs: {answer}"),
            () = held.reached(1) => {}
        }
        shop.kill("orders-expire").await;
        drop(held);
        shop.open("orders-expire", 2).await;
        shop.run("orders-expire").await;
        let read = shop.order(order.id()).await;
        assert_eq!((&read["status"], timeline(&read.json)["expired"]), (&json!("expired"), 1));
        assert_eq!(reserved(&shop, &mug).await, 0);
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i22_expiry_and_payment_race_and_one_of_them_wins() {
    let shop = shop().await;
    let mug = shop.create_stocked("race", 100).await;
    for (first, status, payment) in [("orders-expire", "expired", 409), ("orders-pay", "open", 201)] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        // Both read the order as open before either writes: the payment before the deadline, the expiry after it.
        let paying = shop.calls("TransactWriteItems").by("orders-pay").hold();
        let expiring = shop.calls("TransactWriteItems").by("orders-expire").hold();
        let pay = tokio::spawn(shop.pay(&order, VISA).send());
        paying.reached(1).await;
        shop.later(order.id());
        let pay = async {
            expiring.reached(1).await;
            if first == "orders-pay" {
                paying.release();
            }
            let answer = pay.await.unwrap();
            expiring.release();
            answer
        };
        let expire = async {
            shop.run("orders-expire").await;
            paying.release();
        };
        if first == "orders-expire" {
            expiring.release();
        }
        let (answer, ()) = tokio::join!(pay, expire);
        assert_eq!(answer.status, payment, "{first}: {answer:?}");
        let read = shop.settle(order.id()).await;
        let paid = timeline(&read.json).contains_key("paid");
        assert_eq!((&read["status"], paid), (&json!(status), status == "open"), "{first}: {read:?}");
    }
    shop.assert_books(&[mug.id()]);
}
