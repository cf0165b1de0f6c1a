//! Payments: outcomes of each payment method, lost responses of Stripe, captures and refunds.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    idempotency::assert_replays,
    shop::{
        Answer, Shop, assert_statuses,
        books::timeline,
        buyers::{ANSWER_LOST, AUTHENTICATION, ERROR_500, NEVER_ANSWERS, VISA},
        changed, count,
        proxy::{Refusal, Service},
        unique, unique_user,
    },
};

/// Price of a unit.
const PRICE: i64 = 1850;

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

/// Starts a shop with these instances, and one of each function that orders need.
async fn shop_with(functions: &[(&'static str, usize)]) -> Shop {
    let besides = ["orders-create", "orders-get", "products-create", "payments-reconcile", "orders-expire"];
    Shop::with(&[functions, &besides.map(|function| (function, 1))].concat()).await
}

/// Creates a product and an order of two pieces.
async fn order_of_two(shop: &Shop) -> (Answer, Answer) {
    let mug = shop.create_stocked("payment", 10).await;
    let order = shop.ordered(&[(mug.id(), 2)]).await;
    (mug, order)
}

/// Invalid refunds, each with its only invalid field.
async fn assert_no_refunds(shop: &Shop, order: &Answer, cases: &[(Value, &str, &str)]) {
    for (body, pointer, code) in cases {
        shop.refund(order, body).send().await.expect_invalid(&[(pointer, code)]);
    }
}

async fn payment_status(shop: &Shop, order: &Answer) -> String {
    shop.order(order.id()).await["payment_status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn i07_a_payment_charges_what_the_order_says_once() {
    let shop = Shop::shared().await;
    let (mug, order) = order_of_two(&shop).await;
    let paying = shop.pay(&order, VISA);
    let payment = paying.clone().send().await.expect(201);
    assert_eq!((&payment["status"], &payment["capture"]), (&json!("captured"), &json!("automatic")));
    assert_eq!(
        (&payment["amount"], &payment["captured"], &payment["refunded"]),
        (&eur(3700), &eur(3700), &eur(0))
    );
    let paid = shop.order(order.id()).await;
    assert_eq!((&paid["status"], &paid["payment_status"]), (&json!("open"), &json!("paid")));
    assert_eq!(paid["payments"], json!([payment.json]));
    assert!(paid["expires_at"].is_null(), "{paid:?}");
    let entries = timeline(&paid.json);
    assert_eq!((entries["payment_started"], entries["paid"]), (1, 1));
    assert_replays(&payment, &paying.send().await);
    shop.pay(&order, VISA).send().await.expect_problem(409, "not_payable");
    // Stripe has been told whose it is, and by which key to know it again.
    let intents = shop.provider_intents(order.id());
    assert_eq!(intents.len(), 1);
    assert_eq!((&intents[0]["amount_received"], &intents[0]["currency"]), (&json!(3700), &json!("eur")));
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_stripe_is_told_of_a_payment_is_no_more_than_it_needs() {
    let shop = Shop::start(Default::default()).await;
    let (_, order) = order_of_two(&shop).await;
    let watched = shop.any_call().of(Service::Payments).by("orders-pay").observe();
    shop.pay(&order, VISA).send().await.expect(201);
    let calls = watched.observed();
    let operations: Vec<_> = calls.iter().map(|call| &*call.operation).collect();
    assert_eq!(operations, ["POST /v1/payment_intents", "POST /v1/payment_intents/{id}/confirm"]);
    for call in &calls {
        let header =
            |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("authorization"), format!("Bearer {}", crate::shop::API_KEY));
        assert!(!header("idempotency-key").is_empty() && !header("stripe-version").is_empty(), "{call:?}");
        assert_eq!(header("content-type"), "application/x-www-form-urlencoded");
        for personal in ["Jane", "Lane", "5550199", "10969"] {
            assert!(!call.text.contains(personal), "{call:?}");
        }
    }
    let keys: Vec<_> = calls.iter().map(|call| call.headers["idempotency-key"].clone()).collect();
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_declined_card_is_402_and_another_may_be_tried() {
    let shop = Shop::shared().await;
    let (mug, order) = order_of_two(&shop).await;
    let declined = [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeCustomerFail", "generic_decline"),
    ];
    for (payment_method, decline_code) in declined {
        let paying = shop.pay(&order, payment_method);
        let refused = paying.clone().send().await.expect_problem(402, "card_declined");
        assert_eq!(refused["decline_code"], decline_code);
        let payment = &refused["payment"];
        assert_eq!((&payment["status"], &payment["decline_code"]), (&json!("failed"), &json!(decline_code)));
        // The card was asked: the same key never asks it again.
        assert_replays(&refused, &paying.send().await);
    }
    let read = shop.order(order.id()).await;
    assert_eq!((&read["payment_status"], read["payments"].as_array().unwrap().len()), (&json!("unpaid"), 3));
    assert_eq!(timeline(&read.json)["payment_failed"], 3);
    assert_eq!(read["expires_at"], order["expires_at"]);
    shop.pay(&order, VISA).send().await.expect(201);
    assert_eq!(payment_status(&shop, &order).await, "paid");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_payment_method_that_stripe_does_not_know_is_a_fault_of_the_field() {
    let shop = Shop::shared().await;
    let (mug, order) = order_of_two(&shop).await;
    let paying = shop.pay(&order, "pm_unheardOf");
    paying.clone().send().await.expect_invalid(&[("/payment_method", "unknown_value")]);
    paying.send().await.expect_invalid(&[("/payment_method", "unknown_value")]);
    let cases: [(Value, &str, &str); 15] = [
        (json!({"payment_method": null}), "/payment_method", "required"),
        (json!({"payment_method": 5}), "/payment_method", "invalid_type"),
        (json!({"payment_method": ""}), "/payment_method", "invalid_format"),
        (json!({"payment_method": "4242424242424242"}), "/payment_method", "invalid_format"),
        (json!({"payment_method": "pm_x&amount=1"}), "/payment_method", "invalid_format"),
        (json!({"payment_method": "pm_x\n"}), "/payment_method", "invalid_format"),
        (json!({"payment_method": format!("pm_{}", "x".repeat(300))}), "/payment_method", "too_long"),
        (json!({"capture": "later"}), "/capture", "unknown_value"),
        (json!({"capture": true}), "/capture", "invalid_type"),
        (json!({"return_url": "javascript:alert(1)"}), "/return_url", "invalid_format"),
        (json!({"return_url": "shop"}), "/return_url", "invalid_format"),
        (json!({"return_url": 5}), "/return_url", "invalid_type"),
        (json!({"amount": 1}), "/amount", "unknown_field"),
        (json!({"card": {"number": "4242424242424242"}}), "/card", "unknown_field"),
        (json!({"status": "captured"}), "/status", "unknown_field"),
    ];
    for (change, pointer, code) in cases {
        let payment = changed(json!({"payment_method": VISA}), change);
        let refused = shop.pay_with(&order, &payment).send().await.expect_problem(422, "validation_failed");
        let error = &refused["errors"][0];
        assert_eq!(
            (refused["errors"].as_array().unwrap().len(), &error["pointer"]),
            (1, &json!(pointer)),
            "{refused:?}"
        );
        assert_eq!(error["code"], code, "{refused:?}");
    }
    let bare = shop.own(&order, "payments").body("application/json", "").send().await;
    bare.expect_problem(400, "malformed_json");
    assert!(shop.provider_intents(order.id()).iter().all(|intent| intent["amount_received"] == 0));
    shop.pay(&order, VISA).send().await.expect(201);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn money_that_is_authorized_is_captured_whole_or_in_part() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("capture", 10).await;
    let order = shop.ordered(&[(mug.id(), 2)]).await;
    let manual = json!({"payment_method": VISA, "capture": "manual"});
    let payment = shop.pay_with(&order, &manual).send().await.expect(201);
    assert_eq!((&payment["status"], &payment["captured"]), (&json!("authorized"), &eur(0)));
    assert_eq!(payment_status(&shop, &order).await, "authorized");
    shop.pay(&order, VISA).send().await.expect_problem(409, "not_payable");
    shop.refund(&order, &json!({})).send().await.expect_problem(409, "not_refundable");
    let capturing = shop.capture(&order, None);
    let captured = capturing.clone().send().await.expect(200);
    assert_eq!((&captured["status"], &captured["captured"]), (&json!("captured"), &eur(3700)));
    assert_replays(&captured, &capturing.send().await);
    shop.capture(&order, None).send().await.expect_problem(409, "not_capturable");
    assert_eq!(payment_status(&shop, &order).await, "paid");

    // What is shipped before it is captured is done with once it is.
    let order = shop.authorized(&[(mug.id(), 1)]).await;
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    assert_eq!(shop.order(order.id()).await["status"], "open");
    shop.capture(&order, None).send().await.expect(200);
    assert_eq!(shop.order(order.id()).await["status"], "completed");

    let order = shop.authorized(&[(mug.id(), 2)]).await;
    for (amount, code) in [(0, "too_small"), (-1, "too_small"), (3701, "too_large"), (i64::MAX, "too_large")]
    {
        shop.capture(&order, Some(amount)).send().await.expect_invalid(&[("/amount", code)]);
    }
    for amount in [json!("1"), json!(1.5), json!(eur(1)), json!(null)] {
        let odd = shop.serve(&order, "capture").json(&json!({"amount": amount})).send().await;
        odd.expect_invalid(&[("/amount", "invalid_type")]);
    }
    let captured = shop.capture(&order, Some(1000)).send().await.expect(200);
    assert_eq!((&captured["amount"], &captured["captured"]), (&eur(3700), &eur(1000)));
    // What was not captured is free again, and no second part can be taken.
    shop.capture(&order, Some(1)).send().await.expect_problem(409, "not_capturable");
    for (amount, code) in [(1001, "too_large"), (0, "too_small")] {
        shop.refund(&order, &json!({"amount": amount})).send().await.expect_invalid(&[("/amount", code)]);
    }
    let unpaid = shop.ordered(&[(mug.id(), 2)]).await;
    shop.capture(&unpaid, None).send().await.expect_problem(409, "not_capturable");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn an_authorisation_that_has_lapsed_is_402_and_the_order_can_be_paid_anew() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("lapsed", 10).await;
    let order = shop.authorized(&[(mug.id(), 2)]).await;
    shop.stripe().lapse(&shop.intent(order.id(), 0)).unwrap();
    let capturing = shop.capture(&order, None);
    let lapsed = capturing.clone().send().await.expect_problem(402, "authorization_expired");
    assert_replays(&lapsed, &capturing.send().await);
    assert_eq!(payment_status(&shop, &order).await, "voided");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_customer_proves_to_be_the_cards_owner_on_the_page_of_the_bank() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("3ds", 10).await;
    for approves in [true, false] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let way = "https://storefront.test/orders?shown=1";
        let paying = shop.pay_with(&order, &json!({"payment_method": AUTHENTICATION, "return_url": way}));
        let payment = paying.clone().send().await.expect(202);
        assert_eq!(
            (&payment["status"], &payment["next_action"]["type"]),
            (&json!("requires_action"), &json!("redirect_to_url"))
        );
        assert_replays(&payment, &paying.clone().send().await);
        assert_eq!(payment_status(&shop, &order).await, "processing");
        // While it waits, no other payment begins.
        shop.pay(&order, VISA).send().await.expect_problem(409, "payment_in_progress");
        let back = shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), approves).await;
        assert!(back.starts_with(way), "{back}");
        // The browser is back before the webhook is there.
        assert_eq!(payment_status(&shop, &order).await, "processing");
        shop.webhook_of(
            if approves { "payment_intent.succeeded" } else { "payment_intent.payment_failed" },
            order.id(),
            0,
        )
        .send()
        .await
        .expect(204);
        let read = shop.order(order.id()).await;
        assert_eq!(read["payment_status"], if approves { "paid" } else { "unpaid" });
        assert!(read["payments"][0]["next_action"].is_null());
        assert_replays(&payment, &paying.send().await);
        if !approves {
            shop.pay(&order, VISA).send().await.expect(201);
        }
    }
    // Nobody says anything: then the reconciliation asks, or the deadline ends it.
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    assert_eq!(shop.settle(order.id()).await["payment_status"], "paid");
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let payment = shop.pay(&order, AUTHENTICATION).send().await.expect(202);
    assert_eq!(shop.settle(order.id()).await["status"], "expired");
    // Too late: the intent is cancelled, and its page charges nothing.
    shop.authenticate(payment["next_action"]["url"].as_str().unwrap(), true).await;
    shop.settle(order.id()).await;
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i08_a_charge_whose_answer_was_lost_is_in_doubt_until_stripe_is_asked() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("doubt", 10).await;
    for by_webhook in [true, false] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let paying = shop.pay(&order, ANSWER_LOST);
        let doubt = paying.clone().send().await.expect(202);
        assert_eq!((&doubt["status"], &doubt["captured"]), (&json!("processing"), &eur(0)));
        assert_replays(&doubt, &paying.clone().send().await);
        // Whatever else is tried meanwhile does not charge again.
        shop.pay(&order, VISA).send().await.expect_problem(409, "payment_in_progress");
        shop.fulfil(&order, &json!({})).send().await.expect_problem(409, "not_fulfillable");
        if by_webhook {
            shop.webhook_of("payment_intent.succeeded", order.id(), 0).send().await.expect(204);
        } else {
            // Not before its time.
            shop.run("payments-reconcile").await;
            assert_eq!(payment_status(&shop, &order).await, "processing");
            shop.meanwhile(order.id());
            shop.run("payments-reconcile").await;
        }
        assert_eq!(payment_status(&shop, &order).await, "paid");
        assert_replays(&doubt, &paying.send().await);
        shop.pay(&order, VISA).send().await.expect_problem(409, "not_payable");
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i09_a_payment_that_stripe_never_answered_is_voided_and_the_order_can_be_paid_again() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("silence", 10).await;
    for silence in [NEVER_ANSWERS, ERROR_500] {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let doubt = shop.pay(&order, silence).send().await.expect(202);
        assert_eq!(doubt["status"], "processing");
        assert_eq!(shop.inventory(mug.id()).await["reserved"], 1, "stock of a payment in doubt is free");
        shop.meanwhile(order.id());
        shop.run("payments-reconcile").await;
        let read = shop.order(order.id()).await;
        assert_eq!(
            (&read["payments"][0]["status"], &read["payment_status"]),
            (&json!("voided"), &json!("unpaid"))
        );
        assert_eq!(shop.provider_intents(order.id())[0]["status"], "canceled");
        shop.pay(&order, VISA).send().await.expect(201);
        shop.cancel(&order).send().await.expect(200);
    }
    assert_eq!(shop.inventory(mug.id()).await["reserved"], 0);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_stripe_that_is_slow_or_busy_is_waited_for() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("slow", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    assert_eq!(shop.pay(&order, "pm_slow").send().await.expect(201)["status"], "captured");
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let paying = shop.pay(&order, "pm_rate_limited");
    let busy = paying.clone().send().await.expect_problem(503, "temporarily_unavailable");
    assert!(busy.find_header("retry-after").is_some());
    // Another key would be another payment.
    shop.pay(&order, VISA).send().await.expect_problem(409, "payment_in_progress");
    assert_eq!(paying.send().await.expect(201)["status"], "captured");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i04_payments_at_once_charge_once() {
    let shop = shop_with(&[("orders-pay", 16)]).await;
    let mug = shop.create_stocked("twins", 100).await;
    for twins in [2, 16] {
        // The same key.
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let paying = shop.pay(&order, VISA);
        let answers = join_all((0..twins).map(|_| paying.clone().send())).await;
        assert_statuses(&answers, &[201, 202, 409, 503]);
        shop.settle(order.id()).await;
        let first = paying.clone().send().await.expect_any(&[201, 202]);
        assert_replays(&first, &paying.send().await);
        assert_eq!(payment_status(&shop, &order).await, "paid");
        // Keys of their own.
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        let answers = join_all((0..twins).map(|_| shop.pay(&order, VISA).send())).await;
        assert_eq!(count(&answers, 201), 1, "{answers:#?}");
        assert_statuses(&answers, &[201, 409, 503]);
        shop.settle(order.id()).await;
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i05_a_key_of_a_payment_is_good_for_that_payment_alone() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("keys", 20).await;
    let buyer = unique_user();
    let place = async |count| shop.place(&buyer, &[(mug.id(), count)]).send().await.expect(201);
    let (one, two) = (place(1).await, place(2).await);
    let key = unique("key");
    shop.pay(&one, VISA).key(&key).send().await.expect(201);
    for other in [
        shop.pay(&two, VISA),
        shop.pay(&one, "pm_card_visa_chargeDeclined"),
        shop.pay_with(&one, &json!({"payment_method": VISA, "capture": "manual"})),
        shop.pay_with(&one, &json!({"payment_method": VISA, "return_url": "https://storefront.test/"})),
    ] {
        other.key(&key).send().await.expect_problem(422, "idempotency_key_reused");
    }
    assert_eq!(payment_status(&shop, &two).await, "unpaid");
    // Of another operation it is another key, and another customer's is another.
    shop.cancel(&two).key(&key).send().await.expect(200);
    let third = shop.ordered(&[(mug.id(), 1)]).await;
    assert!(!shop.pay(&third, VISA).key(&key).send().await.expect(201).is_replayed());
    shop.fulfil(&one, &json!({})).key(&key).send().await.expect(201);
    let tracking = json!({"tracking": {"carrier": "DHL", "number": "1"}});
    shop.fulfil(&one, &tracking).key(&key).send().await.expect_problem(422, "idempotency_key_reused");
    shop.refund(&one, &json!({"amount": 10})).key(&key).send().await.expect(201);
    for other in [json!({"amount": 11}), json!({}), json!({"amount": 10, "reason": "broken"})] {
        shop.refund(&one, &other).key(&key).send().await.expect_problem(422, "idempotency_key_reused");
    }
    shop.cancel(&one).key(&key).send().await.expect_problem(422, "idempotency_key_reused");
    let create = |count| shop.place(&buyer, &[(mug.id(), count)]).key(&key);
    create(1).send().await.expect(201);
    create(2).send().await.expect_problem(422, "idempotency_key_reused");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i04_a_replay_of_an_order_succeeds_although_price_and_stock_are_gone() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("since", 2).await;
    let placing = shop.place(&unique_user(), &[(mug.id(), 2)]);
    let placed = placing.clone().send().await.expect(201);
    let path = format!("/products/{}", mug.id());
    let patch = json!({"price": {"amount": 1}});
    shop.patch(&path).staff().if_match("*").json(&patch).send().await.expect(200);
    shop.pay(&placed, VISA).send().await.expect(201);
    shop.fulfil(&placed, &json!({})).send().await.expect(201);
    shop.delete(&path).staff().if_match("*").send().await.expect(204);
    assert_replays(&placed, &placing.send().await);
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_refund_gives_back_all_or_part_and_never_more_than_was_captured() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("refund", 10).await;
    let order = shop.paid(&[(mug.id(), 2)]).await;
    let part = json!({"amount": 1000, "reason": "A CANARY chip in the glaze"});
    let refunding = shop.refund(&order, &part);
    let refund = refunding.clone().send().await.expect(201);
    assert_eq!(
        (&refund["amount"], &refund["status"], &refund["reason"]),
        (&eur(1000), &json!("succeeded"), &part["reason"])
    );
    assert_replays(&refund, &refunding.send().await);
    let read = shop.order(order.id()).await;
    assert_eq!(
        (&read["payment_status"], &read["refunds"]),
        (&json!("partially_refunded"), &json!([refund.json]))
    );
    assert_eq!((&read["status"], &read["payments"][0]["refunded"]), (&json!("open"), &eur(1000)));
    assert_eq!(shop.inventory(mug.id()).await["reserved"], 2, "a part of the money frees no line by itself");
    let cases = [
        (json!({"amount": 2701}), "/amount", "too_large"),
        (json!({"amount": 0}), "/amount", "too_small"),
        (json!({"amount": -5}), "/amount", "too_small"),
        (json!({"amount": "5"}), "/amount", "invalid_type"),
        (json!({"amount": 5, "reason": ""}), "/reason", "too_short"),
        (json!({"amount": 5, "reason": "x".repeat(501)}), "/reason", "too_long"),
        (json!({"amount": 5, "restock": 1}), "/restock", "invalid_type"),
        (json!({"amount": 5, "release": [5]}), "/release/0", "invalid_type"),
        (json!({"amount": 5, "status": "succeeded"}), "/status", "unknown_field"),
    ];
    assert_no_refunds(&shop, &order, &cases).await;
    // All that is left, which frees what was not shipped: nothing, and so the order is over.
    let rest = shop.serve(&order, "refunds").send().await.expect(201);
    assert_eq!(rest["amount"], eur(2700));
    assert_eq!(payment_status(&shop, &order).await, "refunded");
    assert_eq!(shop.inventory(mug.id()).await["reserved"], 0);
    assert_eq!(shop.order(order.id()).await["status"], "cancelled");
    shop.refund(&order, &json!({})).send().await.expect_problem(409, "not_refundable");
    shop.fulfil(&order, &json!({})).send().await.expect_problem(409, "not_fulfillable");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_refund_takes_shipped_goods_back_and_frees_lines_not_shipped() {
    let shop = Shop::shared().await;
    let (mug, bowl) = (shop.create_stocked("mug", 10).await, shop.create_stocked("bowl", 10).await);
    let order = shop.paid(&[(mug.id(), 3), (bowl.id(), 2)]).await;
    let line = |product: &Answer, quantity: i64| json!({"product_id": product.id(), "quantity": quantity});
    shop.fulfil(&order, &json!({"lines": [line(&mug, 2)]})).send().await.expect(201);
    // Not more than was shipped, nor than was not.
    let cases = [
        (json!({"amount": 5, "restock": [line(&mug, 3)]}), "/restock/0/quantity", "too_large"),
        (json!({"amount": 5, "restock": [line(&bowl, 1)]}), "/restock/0/quantity", "too_large"),
        (json!({"amount": 5, "release": [line(&mug, 2)]}), "/release/0/quantity", "too_large"),
        (json!({"amount": 5, "release": [line(&bowl, 3)]}), "/release/0/quantity", "too_large"),
        (json!({"amount": 5, "release": [line(&bowl, 0)]}), "/release/0/quantity", "too_small"),
        (json!({"amount": 5, "restock": [line(&bowl, -1)]}), "/restock/0/quantity", "too_small"),
    ];
    assert_no_refunds(&shop, &order, &cases).await;
    let unknown =
        json!({"amount": 5, "release": [{"product_id": "prod_01jd8x2m9q5w3r7t1v6y4z0abc", "quantity": 1}]});
    shop.refund(&order, &unknown).send().await.expect_invalid(&[("/release/0/product_id", "unknown_value")]);

    let both = json!({"amount": 2 * PRICE, "restock": [line(&mug, 1)], "release": [line(&bowl, 1)]});
    let refund = shop.refund(&order, &both).send().await.expect(201);
    assert_eq!((&refund["restock"], &refund["release"]), (&both["restock"], &both["release"]));
    let read = shop.order(order.id()).await;
    assert_eq!((&read["lines"][0]["restocked"], &read["lines"][1]["released"]), (&json!(1), &json!(1)));
    let inventory = shop.inventory(mug.id()).await;
    assert_eq!((&inventory["on_hand"], &inventory["reserved"]), (&json!(9), &json!(1)));
    let back = shop.movements(mug.id()).await.remove(0);
    assert_eq!(
        (&back["reason"], &back["delta"], back["order_id"].as_str()),
        (&json!("returned"), &json!(1), Some(order.id()))
    );
    assert_eq!(shop.inventory(bowl.id()).await["reserved"], 1);
    // The same piece does not come back twice.
    let again = json!({"amount": 5, "restock": [line(&mug, 2)]});
    shop.refund(&order, &again).send().await.expect_invalid(&[("/restock/0/quantity", "too_large")]);
    // What is left is shipped, and the order is done with.
    shop.fulfil(&order, &json!({})).send().await.expect(201);
    assert_eq!(shop.order(order.id()).await["status"], "completed");
    let after = json!({"amount": PRICE, "restock": [line(&bowl, 1)]});
    shop.refund(&order, &after).send().await.expect(201);
    shop.assert_books(&[mug.id(), bowl.id()]);
}

#[tokio::test]
async fn a_refund_that_stripe_has_not_settled_is_pending_and_may_fail_late() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("pending", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, "pm_card_pendingRefund").send().await.expect(201);
    let refund = shop.refund(&order, &json!({"amount": 500})).send().await.expect(201);
    assert_eq!(refund["status"], "pending");
    // It counts as given back already: no more than what was captured goes out.
    shop.refund(&order, &json!({"amount": PRICE - 499}))
        .send()
        .await
        .expect_invalid(&[("/amount", "too_large")]);

    let order = shop.ordered(&[(mug.id(), 1)]).await;
    shop.pay(&order, "pm_card_refundFail").send().await.expect(201);
    let refund = shop.refund(&order, &json!({"amount": 500})).send().await.expect(201);
    assert_eq!(
        (&refund["status"], &*payment_status(&shop, &order).await),
        (&json!("succeeded"), "partially_refunded")
    );
    shop.webhook_due("refund.failed", order.id()).await.send().await.expect(204);
    let read = shop.order(order.id()).await;
    assert_eq!((&read["refunds"][0]["status"], &read["payment_status"]), (&json!("failed"), &json!("paid")));
    assert_eq!(read["payments"][0]["refunded"], eur(0));
    assert_eq!(timeline(&read.json)["refund_failed"], 1);
    // The money is there to be given back again.
    shop.refund(&order, &json!({"amount": PRICE - 499})).send().await;
    shop.settle(order.id()).await;
}

#[tokio::test]
async fn i04_refunds_at_once_with_one_key_give_back_once_and_never_too_much_with_several() {
    let shop =
        shop_with(&[("orders-refund", 8), ("orders-fulfil", 8), ("orders-capture", 8), ("orders-pay", 1)])
            .await;
    let mug = shop.create_stocked("twins", 100).await;
    let order = shop.paid(&[(mug.id(), 2)]).await;
    let refunding = shop.refund(&order, &json!({"amount": 1000}));
    let answers = join_all((0..8).map(|_| refunding.clone().send())).await;
    assert_statuses(&answers, &[201, 202, 409, 503]);
    shop.settle(order.id()).await;
    refunding.send().await.expect_any(&[201, 202]);
    assert_eq!(shop.order(order.id()).await["payments"][0]["refunded"], eur(1000));
    // Eight refunds of half of the rest, with a key each: two at most succeed.
    let answers = join_all((0..8).map(|_| shop.refund(&order, &json!({"amount": 1350})).send())).await;
    assert_statuses(&answers, &[201, 202, 409, 422, 503]);
    shop.settle(order.id()).await;
    let halves = i64::try_from(count(&answers, 201) + count(&answers, 202)).unwrap();
    assert!((1..=2).contains(&halves), "{answers:#?}");
    let refunded = shop.order(order.id()).await["payments"][0]["refunded"].clone();
    assert_eq!(refunded, eur(1000 + halves * 1350));

    let order = shop.paid(&[(mug.id(), 5)]).await;
    let one = json!({"lines": [{"product_id": mug.id(), "quantity": 1}]});
    let sending = shop.fulfil(&order, &one);
    let answers = join_all((0..8).map(|_| sending.clone().send())).await;
    assert_statuses(&answers, &[201, 503]);
    assert!(count(&answers, 201) > 0, "{answers:#?}");
    assert_eq!(shop.order(order.id()).await["lines"][0]["fulfilled"], 1);
    let answers = join_all((0..8).map(|_| shop.fulfil(&order, &one).send())).await;
    assert_statuses(&answers, &[201, 409, 422, 503]);
    assert!((1..=4).contains(&count(&answers, 201)), "{answers:#?}");
    assert_eq!(shop.order(order.id()).await["lines"][0]["fulfilled"], 1 + count(&answers, 201));

    let order = shop.authorized(&[(mug.id(), 2)]).await;
    let answers = join_all((0..8).map(|_| shop.capture(&order, None).send())).await;
    assert_statuses(&answers, &[200, 202, 409, 503]);
    assert_eq!(shop.settle(order.id()).await["payment_status"], "paid");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i10_what_is_over_stays_over() {
    let shop = Shop::shared().await;
    let mug = shop.create_stocked("final", 20).await;
    let completed = shop.paid(&[(mug.id(), 1)]).await;
    shop.fulfil(&completed, &json!({})).send().await.expect(201);
    let cancelled = shop.paid(&[(mug.id(), 1)]).await;
    shop.cancel(&cancelled).send().await.expect(200);
    let expired = shop.ordered(&[(mug.id(), 1)]).await;
    shop.settle(expired.id()).await;
    for (order, status) in [(&completed, "completed"), (&cancelled, "cancelled"), (&expired, "expired")] {
        let before = shop.order(order.id()).await;
        assert_eq!(before["status"], status);
        shop.cancel(order).send().await.expect_problem(409, "not_cancellable");
        shop.pay(order, VISA).send().await.expect_problem(409, "not_payable");
        shop.capture(order, None).send().await.expect_problem(409, "not_capturable");
        shop.fulfil(order, &json!({})).send().await.expect_problem(409, "not_fulfillable");
        if status != "completed" {
            shop.refund(order, &json!({})).send().await.expect_problem(409, "not_refundable");
            let intents = shop.provider_intents(order.id());
            for intent in &intents {
                shop.webhook("payment_intent.succeeded", intent).send().await.expect(204);
            }
        }
        shop.run("payments-reconcile").await;
        shop.run("orders-expire").await;
        assert_eq!(shop.order(order.id()).await.json, before.json);
    }
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn a_payment_under_way_at_the_deadline_keeps_its_order_open() {
    let shop = Shop::start(Default::default()).await;
    let mug = shop.create_stocked("expires", 10).await;
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    // Between the intent and its confirmation the deadline goes by.
    let confirm = shop.calls("POST /v1/payment_intents/{id}/confirm").by("orders-pay").hold();
    let (answer, ()) = tokio::join!(shop.pay(&order, VISA).send(), async {
        confirm.reached(1).await;
        shop.later(order.id());
        shop.run("orders-expire").await;
        confirm.release();
    });
    // An order whose payment is under way does not expire.
    answer.expect(201);
    let settled = shop.settle(order.id()).await;
    assert_eq!((&settled["status"], &settled["payment_status"]), (&json!("open"), &json!("paid")));
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn i08_a_charge_that_comes_late_is_found_however_late_it_is() {
    let shop = Shop::start(Default::default()).await;
    let mug = shop.create_stocked("late", 10).await;
    let unanswered = async || {
        let order = shop.ordered(&[(mug.id(), 1)]).await;
        shop.pay(&order, NEVER_ANSWERS).send().await.expect(202);
        let intent = shop.intent(order.id(), 0);
        (order, intent)
    };
    let ((before, first), (between, second), (after, third)) =
        tokio::join!(unanswered(), unanswered(), unanswered());
    // Before anybody asks.
    shop.stripe().settle(&first, true).unwrap();
    assert_eq!(shop.settle(before.id()).await["payment_status"], "paid");
    // Between the question and the cancellation, which then comes too late.
    shop.meanwhile(between.id());
    let cancel = shop.calls("POST /v1/payment_intents/{id}/cancel").about(&second).hold();
    tokio::join!(shop.run("payments-reconcile"), async {
        cancel.reached(1).await;
        shop.stripe().settle(&second, true).unwrap();
        cancel.release();
    });
    drop(cancel);
    assert_eq!(shop.settle(between.id()).await["payment_status"], "paid");
    // After the cancellation there is none.
    shop.meanwhile(after.id());
    shop.run("payments-reconcile").await;
    assert!(shop.stripe().settle(&third, true).is_err());
    assert_eq!(shop.order(after.id()).await["payment_status"], "unpaid");
    shop.assert_books(&[mug.id()]);
}

#[tokio::test]
async fn what_stripe_refuses_for_good_is_told_and_leaves_all_as_it_was() {
    let shop = Shop::start(Default::default()).await;
    let mug = shop.create_stocked("refused", 20).await;
    let refusal = || Refusal::of_payments(400, "invalid_request_error", Some("charge_disputed"));
    let paid = shop.paid(&[(mug.id(), 1)]).await;
    let one = json!([{"product_id": mug.id(), "quantity": 1}]);
    let refused = shop.calls("POST /v1/refunds").answer(refusal());
    let refunding = shop.refund(&paid, &json!({"amount": 100, "release": one}));
    let answer = refunding.clone().send().await.expect_problem(409, "refund_refused");
    assert_replays(&answer, &refunding.send().await);
    let cancelling = shop.cancel(&paid);
    let answer = cancelling.clone().send().await.expect_problem(409, "refund_refused");
    assert_replays(&answer, &cancelling.send().await);
    drop(refused);
    let read = shop.order(paid.id()).await;
    assert_eq!((&read["status"], &read["payment_status"]), (&json!("open"), &json!("paid")));
    assert_eq!(shop.inventory(mug.id()).await["reserved"], 1);
    shop.cancel(&paid).send().await.expect(200);

    let authorized = shop.authorized(&[(mug.id(), 1)]).await;
    let refused = shop.calls("POST /v1/payment_intents/{id}/capture").answer(refusal());
    let capturing = shop.capture(&authorized, None);
    let answer = capturing.clone().send().await.expect_problem(409, "capture_refused");
    assert_replays(&answer, &capturing.send().await);
    drop(refused);
    assert_eq!(payment_status(&shop, &authorized).await, "authorized");
    shop.capture(&authorized, None).send().await.expect(200);
    // An API key that Stripe refuses is an internal error.
    let order = shop.ordered(&[(mug.id(), 1)]).await;
    let fault = shop.any_call().of(Service::Payments).answer(Refusal::of_payments(
        401,
        "invalid_request_error",
        None,
    ));
    shop.pay(&order, VISA).send().await.expect_problem(500, "internal_error");
    drop(fault);
    shop.pay(&order, VISA).send().await.expect(201);
    shop.assert_books(&[mug.id()]);
}
