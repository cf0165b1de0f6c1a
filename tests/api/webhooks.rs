//! Webhooks: late, repeated, out of order, or forged.

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::telemetry;

use crate::shop::{
    Answer, Options, Shop, WEBHOOK_SECRET, assert_statuses,
    books::timeline,
    buyers::{ANSWER_LOST, AUTHENTICATION, ERROR_500, VISA, signature},
    eventually,
    proxy::payment_refusals,
    unique_user,
};

const SUCCEEDED: &str = "payment_intent.succeeded";

/// Returns an order that Stripe has charged without the shop's knowledge.
async fn doubtful(shop: &Shop) -> (Answer, Answer) {
    let mug = shop.create_stocked("webhook", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    (mug, order)
}

#[tokio::test]
async fn a_webhook_is_believed_by_its_signature_alone() {
    let shop = Shop::shared().await;
    let (mug, order) = doubtful(&shop).await;
    let intent = shop.provider_intent(&shop.intent(order.id(), 0));
    let event = json!({"id": "evt_1", "object": "event", "type": SUCCEEDED, "data": {"object": intent}});
    let body = event.to_string();
    let now = telemetry::now().as_seconds();
    let good = signature(WEBHOOK_SECRET, now, body.as_bytes());
    let send = async |header: &str| {
        let request = shop.post("/payments/webhooks/stripe").body("application/json", body.as_bytes());
        let request = if header.is_empty() { request } else { request.header("Stripe-Signature", header) };
        request.send().await
    };
    let (old, ahead) = (now - 400, now + 400);
    let refused = [
        String::new(),
        "x".to_owned(),
        "t=,v1=".to_owned(),
        format!("t={now}"),
        format!("v1={good}"),
        format!("t={now},v1="),
        format!("t={now},v1={}", &good[..63]),
        format!("t={now},v1={good}00"),
        format!("t={now},v1={}", good.replace('a', "b").replace('1', "2")),
        format!("t={},v1={good}", now - 1),
        format!("t={now},v0={good}"),
        format!("t={now},v1={}", signature("whsec_of_nobody", now, body.as_bytes())),
        format!("t={now},v1={}", signature("", now, body.as_bytes())),
        format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, &body.as_bytes()[1..])),
        // Good, and too old or not yet.
        format!("t={old},v1={}", signature(WEBHOOK_SECRET, old, body.as_bytes())),
        format!("t={ahead},v1={}", signature(WEBHOOK_SECRET, ahead, body.as_bytes())),
        format!("t={now},t={old},v1={}", signature(WEBHOOK_SECRET, old, body.as_bytes())),
        format!("t=-{now},v1={good}"),
        format!("t={now}0000000000,v1={good}"),
    ];
    for header in refused {
        send(&header).await.expect_problem(401, "invalid_signature");
    }
    assert_eq!(shop.order(order.id()).await["payment_status"], "processing");
    // One of several that fits, and what is unknown beside it, as while a secret is replaced.
    send(&format!("t={now},v1={},v1={good},v0=x", "0".repeat(64))).await.expect(204);
    assert_eq!(shop.order(order.id()).await["payment_status"], "paid");
    send(&format!("t={now},v1={}", signature("whsec_CANARYoutgoing", now, body.as_bytes())))
        .await
        .expect(204);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_is_400_and_one_that_is_not_signed_is_not_read() {
    let shop = Shop::shared().await;
    for body in
        ["", "{", "null", "[]", "5", "{}", r#"{"type": 5}"#, r#"{"type": "payment_intent.succeeded"}"#]
    {
        shop.signed_webhook(body).send().await.expect_problem(400, "malformed_json");
        let unsigned = shop.post("/payments/webhooks/stripe").body("application/json", body).send().await;
        unsigned.expect_problem(401, "invalid_signature");
    }
    let bytes = shop.post("/payments/webhooks/stripe").body("application/json", vec![0xff; 40]);
    let bytes = bytes.header("Stripe-Signature", "t=1,v1=00").send().await;
    bytes.expect_problem(401, "invalid_signature");
    // Larger than what people may send, as Stripe's are.
    let large =
        json!({"id": "evt_1", "type": "charge.updated", "data": {"object": {"text": "x".repeat(200_000)}}});
    shop.signed_webhook(&large.to_string()).send().await.expect(204);
    let huge =
        json!({"id": "evt_1", "type": "charge.updated", "data": {"object": {"text": "x".repeat(263_000)}}});
    shop.signed_webhook(&huge.to_string()).send().await.expect_problem(413, "body_too_large");
}

#[tokio::test]
async fn what_a_webhook_does_not_concern_is_taken_and_forgotten() {
    let shop = Shop::shared().await;
    for kind in ["customer.created", "payout.paid", "charge.succeeded", ""] {
        shop.webhook(kind, &json!({"id": "cus_1", "object": "customer"})).send().await.expect(204);
    }
    // A payment that is not of this shop's making.
    let foreign = json!({"id": "pi_of_another_shop", "object": "payment_intent", "metadata": {}});
    shop.webhook(SUCCEEDED, &foreign).send().await.expect_problem(404, "not_found");
    // One of an order that there is not.
    let order = "ord_01jd8x2m9q5w3r7t1v6y4z0abc01jd8x2m9q5w3r7t1v6y4z0abc";
    let unknown = shop.provider_intent_for(order).await;
    shop.webhook(SUCCEEDED, &unknown).send().await.expect_problem(404, "not_found");
    // One that another program has made at the same account.
    let foreign = shop.provider_intent_for("PLANTED").await;
    shop.webhook(SUCCEEDED, &foreign).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn i08_what_a_webhook_says_is_asked_of_stripe_before_it_is_believed() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("hint", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ERROR_500).send().await.expect(202);
    let mut intent = shop.provider_intent(&shop.intent(order.id(), 0));
    intent["status"] = json!("succeeded");
    intent["amount_received"] = json!(1850);
    // Signed, and yet not so: an old webhook, or one of another time.
    shop.webhook(SUCCEEDED, &intent).send().await.expect(204);
    let read = shop.order(order.id()).await;
    assert_ne!(read["payment_status"], "paid", "{read:?}");
    shop.settle(order.id()).await;
    shop.assert_books(&[mug.id()]);
    // The intent of one order can't pay another.
    let cheap = shop.paid(&[(mug.id(), 1)]).await;
    let dear = shop.ordered(&[(mug.id(), 5)]).await;
    let mut intent = shop.provider_intent(&shop.intent(cheap.id(), 0));
    intent["metadata"]["order_id"] = json!(dear.id());
    shop.webhook(SUCCEEDED, &intent).send().await.expect(204);
    assert_eq!(shop.order(dear.id()).await["payment_status"], "unpaid");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i14_webhooks_that_come_twice_late_or_in_any_order_end_with_what_is_so() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("any-order", 50).await;
    let kinds = [
        "payment_intent.requires_action",
        "payment_intent.processing",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.amount_capturable_updated",
        SUCCEEDED,
        "charge.refunded",
        "refund.updated",
    ];
    for backwards in [false, true] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        shop.pay(&order, ANSWER_LOST).send().await.expect(202);
        let intent = shop.provider_intent(&shop.intent(order.id(), 0));
        let mut kinds: Vec<_> = kinds.into_iter().chain(kinds).collect();
        if backwards {
            kinds.reverse();
        }
        for kind in kinds {
            let of_intent = kind.starts_with("payment_intent");
            let object = if of_intent {
                intent.clone()
            } else {
                json!({"id": "re_1", "object": kind.split('.').next(), "payment_intent": intent["id"], "metadata": intent["metadata"]})
            };
            let answer = shop.webhook(kind, &object).send().await;
            assert_eq!(answer.status, 204, "{kind}: {answer:?}");
        }
        let read = shop.order(order.id()).await;
        assert_eq!((&read["payment_status"], timeline(&read.json)["paid"]), (&json!("paid"), 1));
    }
    // All of them at once, beside the reconciliation.
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    shop.later(order.id());
    let webhooks = join_all((0..8).map(|_| shop.webhook_of(SUCCEEDED, order.id(), 0).send()));
    let (answers, ()) = tokio::join!(webhooks, shop.run("payments-reconcile"));
    assert_statuses(&answers, &[204, 503]);
    let read = shop.settle(order.id()).await;
    assert_eq!((&read["payment_status"], timeline(&read.json)["paid"]), (&json!("paid"), 1));
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn stripes_own_webhooks_settle_what_is_in_doubt_without_anybody_asking() {
    let shop = Shop::start(Options { webhooks: true, ..Options::default() }).await;
    let mug = shop.create_stocked("by-itself", 20).await;
    let paid = async |order: &Answer, status: &str| {
        let order = order.id();
        let settled = async || (shop.order(order).await["payment_status"] == *status).then_some(());
        eventually(status, settled).await;
    };
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, ANSWER_LOST).send().await.expect(202);
    paid(&order, "paid").await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    paid(&order, "paid").await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, "pm_card_refundFail").send().await.expect(201);
    shop.refund(&order, &json!({"amount": 850})).send().await.expect(201);
    let failed = async || {
        let order = shop.order(order.id()).await;
        (order["refunds"][0]["status"] == "failed").then_some(())
    };
    eventually("the refund to fail", failed).await;
    paid(&order, "paid").await;
    // All were taken, however many times Stripe had to send them.
    let taken = async || shop.stripe().webhooks().is_empty().then_some(());
    eventually("all webhooks to be taken", taken).await;
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_pending_refund_is_settled_by_webhook_or_by_asking() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("pending", 10).await;
    for by_webhook in [true, false] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        shop.pay(&order, "pm_card_pendingRefund").send().await.expect(201);
        let refund = shop.refund(&order, &json!({})).send().await.expect(201);
        assert_eq!(refund["status"], "pending");
        let webhook = shop.webhook_due("refund.updated", order.id()).await;
        if by_webhook {
            webhook.send().await.expect(204);
        } else {
            shop.settle(order.id()).await;
        }
        let read = shop.order(order.id()).await;
        assert_eq!(
            (&read["refunds"][0]["status"], &read["payment_status"]),
            (&json!("succeeded"), &json!("refunded"))
        );
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_a_webhook_tells_of_a_refund_is_done_to_the_stock_too() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("refunded", 10).await;
    let order = shop.paid(&[(mug.id(), 3)]).await;
    let one = json!([{"product_id": mug.id(), "quantity": 1}]);
    shop.fulfil(&order, &json!({"lines": one})).send().await.expect(201);
    let intent = shop.intent(order.id(), 0);
    let lost = shop.calls("POST /v1/refunds").about(&intent).lose_answer();
    let back = json!({"amount": 3700, "restock": one, "release": one});
    shop.refund(&order, &back).send().await.expect(202);
    drop(lost);
    let charge = json!({"id": "ch_1", "object": "charge", "payment_intent": intent});
    for _ in 0..2 {
        shop.webhook("charge.refunded", &charge).send().await.expect(204);
        assert_eq!(shop.order(order.id()).await["refunds"][0]["status"], "succeeded");
        let stock = shop.inventory(mug.id()).await;
        assert_eq!((&stock["on_hand"], &stock["reserved"]), (&json!(10), &json!(1)));
    }
    let movement = shop.movements(mug.id()).await.remove(0);
    assert_eq!((&movement["reason"], &movement["actor"]), (&json!("returned"), &json!("provider")));
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_dispute_stands_in_the_timeline_and_changes_nothing_that_is_over() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("dispute", 10).await;
    for won in [true, false] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        shop.pay(&order, "pm_card_createDispute").send().await.expect(201);
        let disputed = shop.webhook_due("charge.dispute.created", order.id()).await;
        disputed.clone().send().await.expect(204);
        disputed.send().await.expect(204);
        let read = shop.order(order.id()).await;
        assert_eq!((timeline(&read.json)["disputed"], &read["payment_status"]), (1, &json!("paid")));
        // Nothing is shipped, unless someone who may refund it decides so.
        shop.fulfil(&order, &json!({})).send().await.expect_problem(409, "disputed");
        let despite = || shop.fulfil(&order, &json!({"despite_dispute": true}));
        despite().scoped("orders:write").send().await.expect_problem(403, "insufficient_scope");
        if !won {
            despite().scoped("orders:write payments:write").send().await.expect(201);
        }
        shop.stripe().close_dispute(&shop.intent(order.id(), 0), won).unwrap();
        let closed = shop.webhook_due("charge.dispute.closed", order.id()).await;
        closed.clone().send().await.expect(204);
        closed.send().await.expect(204);
        let entries = timeline(&shop.order(order.id()).await.json);
        assert_eq!(entries[if won { "dispute_won" } else { "dispute_lost" }], 1, "{entries:?}");
        if won {
            shop.fulfil(&order, &json!({})).send().await.expect(201);
        }
    }
}

#[tokio::test]
async fn an_authorisation_that_lapses_is_voided_by_webhook_or_by_asking() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("lapses", 10).await;
    for by_webhook in [true, false] {
        let order = shop.authorized(&[(mug.id(), 1)]).await;
        shop.stripe().lapse(&shop.intent(order.id(), 0)).unwrap();
        if by_webhook {
            shop.webhook_due("payment_intent.canceled", order.id()).await.send().await.expect(204);
        } else {
            shop.later(order.id());
            shop.run("payments-reconcile").await;
        }
        let read = shop.order(order.id()).await;
        assert_eq!(
            (&read["payments"][0]["status"], &read["payment_status"]),
            (&json!("voided"), &json!("voided"))
        );
        assert_eq!(timeline(&read.json)["payment_voided"], 1);
        shop.settle(order.id()).await;
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i18_a_webhook_that_cannot_be_worked_off_is_to_come_again() {
    let shop = Shop::shared().await;
    let (mug, order) = doubtful(&shop).await;
    let intent = shop.intent(order.id(), 0);
    for (name, refusal) in payment_refusals() {
        let fault = shop.calls("GET /v1/payment_intents/{id}").about(&intent).answer(refusal);
        let answer = shop.webhook_of(SUCCEEDED, order.id(), 0).send().await;
        let ours = ["a key that is none", "a key that may not", "a parameter that is unknown"];
        let expected = if ours.contains(&name) { 500 } else { 503 };
        assert!(fault.hits() > 0 && answer.status == expected, "{name}: {answer:?}");
    }
    assert_eq!(shop.order(order.id()).await["payment_status"], "processing");
    shop.webhook_of(SUCCEEDED, order.id(), 0).send().await.expect(204);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i11_money_that_arrives_for_an_order_that_is_over_goes_back() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("too-late", 10).await;
    // The bank's page is answered while the order expires: the cancellation loses the race at Stripe.
    let order = shop.place(&unique_user(), &[(mug.id(), 1)]).send().await.expect(201);
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    shop.later(order.id());
    shop.run("orders-expire").await;
    let read = shop.order(order.id()).await;
    assert_ne!(read["status"], "expired", "a paid order has expired: {read:?}");
    shop.settle(order.id()).await;
    assert_eq!(shop.order(order.id()).await["payment_status"], "paid");
    // Cancelled by its customer meanwhile: refunded.
    let order = shop.place(&unique_user(), &[(mug.id(), 1)]).send().await.expect(201);
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    shop.cancel(&order).send().await.expect(200);
    let read = shop.settle(order.id()).await;
    assert_eq!((&read["status"], &read["payment_status"]), (&json!("cancelled"), &json!("refunded")));
    let webhook: Vec<Value> = shop.provider_intents(order.id());
    shop.webhook(SUCCEEDED, &webhook[0]).send().await.expect(204);
    shop.pay(&order, VISA).send().await.expect_problem(409, "not_payable");
    shop.assert_books(&[mug.id()]);
}
