use std::{
    collections::BTreeSet,
    fs, future,
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::json;
use tokio::time::sleep;

use super::{
    handler::{IDEMPOTENCY_KEY, INTERVAL, REPLAYED},
    *,
};
use crate::{files::FileError, server::Answer};

const KEY: &str = "sk_test_1";
const SECRET: &str = "whsec_1";

/// An answer: its status, whether it was replayed, and its body.
type StoredResponse = (u16, bool, Value);

struct Client {
    stripe: Stripe,
    http: reqwest::Client,
}

impl Client {
    async fn new() -> Self {
        let settings = Settings { delay: Duration::from_millis(20), ..Settings::new(KEY, SECRET) };
        Self::of(Stripe::in_memory(settings).await.unwrap())
    }

    fn of(stripe: Stripe) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { stripe, http: http.build().unwrap() }
    }

    fn call(&self, path: &str, form: &[(&str, &str)], key: Option<&str>) -> reqwest::RequestBuilder {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let call = self.http.post(format!("{}/v1/{path}", self.stripe.url)).bearer_auth(KEY).body(body);
        let call = call.header("content-type", "application/x-www-form-urlencoded");
        if let Some(key) = key { call.header(IDEMPOTENCY_KEY, key) } else { call }
    }

    async fn sent(call: reqwest::RequestBuilder) -> reqwest::Result<StoredResponse> {
        let answer = call.send().await?;
        let replayed = answer.headers().contains_key(REPLAYED);
        Ok((answer.status().as_u16(), replayed, answer.json().await?))
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        let (status, _, body) = Self::sent(self.call(path, form, None)).await.unwrap();
        (status, body)
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let call = self.http.get(format!("{}/v1/{path}", self.stripe.url)).bearer_auth(KEY);
        let (status, _, body) = Self::sent(call).await.unwrap();
        (status, body)
    }

    /// The id of a new intent over 10.00 for an order.
    async fn intent(&self, order: &str, capture: &str) -> String {
        let form = [
            ("amount", "1000"),
            ("currency", "usd"),
            ("capture_method", capture),
            ("payment_method_types[]", "card"),
            ("metadata[order_id]", order),
        ];
        let (status, intent) = self.post("payment_intents", &form).await;
        assert_eq!((status, &intent["status"]), (200, &json!("requires_payment_method")), "{intent}");
        intent["id"].as_str().unwrap().to_owned()
    }

    async fn confirm(&self, intent: &str, payment_method: &str) -> (u16, Value) {
        let way = ("return_url", "http://shop.test/back?a=b");
        self.post(&format!("payment_intents/{intent}/confirm"), &[("payment_method", payment_method), way])
            .await
    }

    /// An intent that a payment method has paid, or holds the money of.
    async fn paid(&self, order: &str, capture: &str, payment_method: &str) -> String {
        let intent = self.intent(order, capture).await;
        let (status, answer) = self.confirm(&intent, payment_method).await;
        assert_eq!(status, 200, "{answer}");
        intent
    }

    async fn refund(&self, intent: &str, amount: &str) -> (u16, Value) {
        self.post(
            "refunds",
            &[("payment_intent", intent), ("amount", amount), ("metadata[refund_id]", "ref_1")],
        )
        .await
    }

    /// Waits until it is so.
    async fn until(&self, is_so: impl Fn(&Stripe) -> bool) {
        let since = Instant::now();
        while !is_so(&self.stripe) {
            assert!(since.elapsed() < Duration::from_secs(10), "it does not come to be");
            sleep(INTERVAL).await;
        }
    }

    fn booked(&self, order: &str) -> Vec<(Kind, i64)> {
        self.stripe.ledger().of(order).0.iter().map(|entry| (entry.kind, entry.amount)).collect()
    }

    fn told(&self, order: &str) -> Vec<String> {
        self.stripe.webhooks_of(order).into_iter().map(|webhook| webhook.kind).collect()
    }
}

#[tokio::test]
async fn money_is_taken_at_once_or_held_and_captured() {
    let client = Client::new().await;
    let intent = client.intent("ord_1", "automatic").await;
    let (status, answer) = client.confirm(&intent, "pm_card_visa").await;
    assert_eq!(
        (status, &answer["status"], &answer["amount_received"]),
        (200, &json!("succeeded"), &json!(1000))
    );
    assert_eq!(client.get(&format!("payment_intents/{intent}")).await, (200, answer));

    let intent = client.paid("ord_2", "manual", "pm_card_visa").await;
    let held = client.stripe.intent(&intent).unwrap();
    assert_eq!(
        (&held["status"], &held["amount_capturable"], &held["amount_received"]),
        (&json!("requires_capture"), &json!(1000), &json!(0))
    );
    let path = format!("payment_intents/{intent}/capture");
    let (status, error) = client.post(&path, &[("amount_to_capture", "1001")]).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("amount_too_large")));
    let (status, captured) = client.post(&path, &[("amount_to_capture", "700")]).await;
    assert_eq!((status, &captured["status"]), (200, &json!("succeeded")));
    assert_eq!((&captured["amount_capturable"], &captured["amount_received"]), (&json!(0), &json!(700)));

    assert_eq!(client.booked("ord_1"), [(Kind::Charged, 1000)]);
    assert_eq!(
        client.booked("ord_2"),
        [(Kind::Authorized, 1000), (Kind::Captured, 700), (Kind::Voided, 300)]
    );
    let sums = &client.stripe.ledger().sums()["ord_2"];
    assert_eq!((sums.held(), sums.kept(), sums.charges), (0, 700, 1));
    assert_eq!(
        client.told("ord_2"),
        ["payment_intent.created", "payment_intent.amount_capturable_updated", "payment_intent.succeeded"]
    );
    let shown = client.http.get(format!("{}/_ledger", client.stripe.url)).send().await.unwrap();
    assert_eq!(shown.json::<Ledger>().await.unwrap(), client.stripe.ledger());
}

#[tokio::test]
async fn what_the_state_forbids_is_refused_with_the_intent() {
    let client = Client::new().await;
    let new = client.intent("ord_1", "manual").await;
    let paid = client.paid("ord_2", "automatic", "pm_card_visa").await;
    let canceled = client.paid("ord_3", "manual", "pm_card_visa").await;
    let cancel = format!("payment_intents/{canceled}/cancel");
    let (status, answer) = client.post(&cancel, &[("cancellation_reason", "requested_by_customer")]).await;
    assert_eq!((status, &answer["status"]), (200, &json!("canceled")));
    assert_eq!(client.booked("ord_3"), [(Kind::Authorized, 1000), (Kind::Voided, 1000)]);
    for (intent, operation) in [
        (&new, "confirm"),
        (&new, "capture"),
        (&paid, "confirm"),
        (&paid, "capture"),
        (&paid, "cancel"),
        (&canceled, "confirm"),
        (&canceled, "capture"),
        (&canceled, "cancel"),
    ] {
        let (status, answer) = client.post(&format!("payment_intents/{intent}/{operation}"), &[]).await;
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (400, &json!("payment_intent_unexpected_state")), "{operation}");
        assert_eq!(error["payment_intent"], client.stripe.intent(intent).unwrap());
    }
}

#[tokio::test]
async fn a_declined_card_leaves_the_intent_to_another() {
    let client = Client::new().await;
    let intent = client.intent("ord_1", "automatic").await;
    for (payment_method, decline_code) in [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeCustomerFail", "generic_decline"),
    ] {
        let (status, answer) = client.confirm(&intent, payment_method).await;
        let error = &answer["error"];
        assert_eq!(
            (status, &error["type"], &error["code"]),
            (402, &json!("card_error"), &json!("card_declined"))
        );
        assert_eq!(error["decline_code"], decline_code);
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        assert_eq!(error["payment_intent"]["last_payment_error"]["decline_code"], decline_code);
    }
    let (status, answer) = client.confirm(&intent, "pm_unknown").await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("resource_missing")));
    assert_eq!(answer["error"]["param"], "payment_method");
    assert_eq!(client.booked("ord_1"), []);
    assert_eq!(client.confirm(&intent, "pm_card_visa").await.0, 200);
    assert_eq!(client.booked("ord_1"), [(Kind::Charged, 1000)]);
}

#[tokio::test]
async fn a_key_gives_the_first_answer_again() {
    let client = Client::new().await;
    let form = [("amount", "1000"), ("currency", "usd"), ("metadata[order_id]", "ord_1")];
    let create =
        async |form: &[(&str, &str)]| Client::sent(client.call("payment_intents", form, Some("k"))).await;
    let first = create(&form).await.unwrap();
    assert_eq!((first.0, first.1), (200, false));
    let id = first.2["id"].as_str().unwrap().to_owned();
    let confirm = format!("payment_intents/{id}/confirm");
    client.post(&confirm, &[("payment_method", "pm_card_visa")]).await;
    let again = create(&form).await.unwrap();
    assert_eq!((again.0, again.1, again.2), (200, true, first.2));

    let other = create(&[("amount", "2000"), ("currency", "usd")]).await.unwrap();
    assert_eq!((other.0, &other.2["error"]["type"]), (400, &json!("idempotency_error")));
    let elsewhere = Client::sent(client.call(&confirm, &form, Some("k"))).await.unwrap();
    assert_eq!((elsewhere.0, &elsewhere.2["error"]["type"]), (400, &json!("idempotency_error")));

    // A decline is an answer like any other; what never began leaves the key free.
    let id = client.intent("ord_2", "automatic").await;
    let confirm = format!("payment_intents/{id}/confirm");
    let decline = [("payment_method", "pm_card_visa_chargeDeclined")];
    for replayed in [false, true] {
        let (status, was, _) = Client::sent(client.call(&confirm, &decline, Some("d"))).await.unwrap();
        assert_eq!((status, was), (402, replayed));
    }
    let unreadable = [("payment_method", "pm_card_visa"), ("colour", "red")];
    let (status, _, answer) = Client::sent(client.call(&confirm, &unreadable, Some("u"))).await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("parameter_unknown")));
    let good = [("payment_method", "pm_card_visa")];
    assert_eq!(Client::sent(client.call(&confirm, &good, Some("u"))).await.unwrap().0, 200);
    assert_eq!(client.booked("ord_2"), [(Kind::Charged, 1000)]);
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_is_as_the_payment_method_says() {
    let client = Client::new().await;
    let confirm = async |order: &str, payment_method: &str| {
        let path = format!("payment_intents/{}/confirm", client.intent(order, "automatic").await);
        let form = [("payment_method", payment_method)];
        let first =
            Client::sent(client.call(&path, &form, Some(order)).timeout(Duration::from_secs(1))).await;
        let again =
            Client::sent(client.call(&path, &form, Some(order)).timeout(Duration::from_secs(1))).await;
        let told = |answer: reqwest::Result<StoredResponse>| {
            answer.map(|(status, replayed, _)| (status, replayed)).ok()
        };
        (told(first), told(again), client.booked(order).len())
    };
    assert_eq!(confirm("ord_lost", "pm_charged_answer_lost").await, (None, Some((200, true)), 1));
    assert_eq!(confirm("ord_slow", "pm_slow").await, (None, Some((200, true)), 1));
    assert_eq!(confirm("ord_never", "pm_never_answers").await, (None, None, 0));
    assert_eq!(confirm("ord_error", "pm_error_500").await, (Some((500, false)), Some((500, false)), 0));
    assert_eq!(confirm("ord_rate", "pm_rate_limited").await, (Some((429, false)), Some((200, false)), 1));

    let path = format!("payment_intents/{}/confirm", client.intent("ord_busy", "automatic").await);
    let form = [("payment_method", "pm_slow")];
    let (slow, twin) = tokio::join!(Client::sent(client.call(&path, &form, Some("busy"))), async {
        client.until(|_| !client.booked("ord_busy").is_empty()).await;
        Client::sent(client.call(&path, &form, Some("busy"))).await
    });
    assert_eq!(slow.unwrap().0, 200);
    let (status, _, answer) = twin.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("idempotency_key_in_use")));
}

#[tokio::test]
async fn the_owner_of_a_card_proves_it_on_a_page() {
    let client = Client::new().await;
    for (order, decision, status) in
        [("ord_1", "approve", "succeeded"), ("ord_2", "fail", "requires_payment_method")]
    {
        let intent = client.intent(order, "automatic").await;
        let (_, waiting) = client.confirm(&intent, "pm_card_authenticationRequired").await;
        assert_eq!(waiting["status"], "requires_action");
        let page = waiting["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
        let html = client.http.get(page).send().await.unwrap().text().await.unwrap();
        let action = format!("/authenticate/{intent}/{decision}");
        assert!(html.contains(&format!("action=\"{action}\"")), "{html}");
        let back = client.http.post(format!("{}{action}", client.stripe.url)).send().await.unwrap();
        let outcome = if decision == "approve" { "succeeded" } else { "failed" };
        let expected = format!("http://shop.test/back?a=b&payment_intent={intent}&redirect_status={outcome}");
        assert_eq!((back.status().as_u16(), back.headers()["location"].to_str().unwrap()), (303, &*expected));
        assert_eq!(client.stripe.intent(&intent).unwrap()["status"], status);
        // A second click changes nothing.
        let again = client.http.post(format!("{}{action}", client.stripe.url)).send().await.unwrap();
        assert_eq!(again.headers()["location"].to_str().unwrap(), expected);
    }
    assert_eq!((client.booked("ord_1").len(), client.booked("ord_2").len()), (1, 0));
    assert_eq!(
        client.told("ord_2")[1..],
        ["payment_intent.requires_action", "payment_intent.payment_failed"]
    );
}

#[tokio::test]
async fn refunds_give_back_what_is_left_and_no_more() {
    let client = Client::new().await;
    let unpaid = client.intent("ord_0", "automatic").await;
    assert_eq!(client.refund(&unpaid, "1").await.0, 400);
    let intent = client.paid("ord_1", "automatic", "pm_card_visa").await;
    let (status, refund) = client.refund(&intent, "400").await;
    assert_eq!(
        (status, &refund["status"], &refund["metadata"]["refund_id"]),
        (200, &json!("succeeded"), &json!("ref_1"))
    );
    let (status, answer) = client.refund(&intent, "601").await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("amount")));
    assert_eq!(client.post("refunds", &[("payment_intent", &intent)]).await.1["amount"], 600);
    let (status, answer) = client.refund(&intent, "1").await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("charge_already_refunded")));
    let (_, list) = client.get(&format!("refunds?payment_intent={intent}&limit=1")).await;
    assert_eq!((&list["has_more"], &list["data"][0]["amount"]), (&json!(true), &json!(600)));
    let sums = &client.stripe.ledger().sums()["ord_1"];
    assert_eq!((sums.charged, sums.refunded, sums.kept()), (1000, 1000, 0));
}

#[tokio::test]
async fn refunds_and_disputes_come_to_be_what_they_are_later() {
    let client = Client::new().await;
    let failing = client.paid("ord_1", "automatic", "pm_card_refundFail").await;
    assert_eq!(client.refund(&failing, "1000").await.1["status"], "succeeded");
    client.until(|stripe| stripe.refunds()[0]["status"] == "failed").await;
    assert_eq!(client.stripe.ledger().sums()["ord_1"].kept(), 1000);
    assert!(client.told("ord_1").contains(&"refund.failed".to_owned()));

    let pending = client.paid("ord_2", "automatic", "pm_card_pendingRefund").await;
    assert_eq!(client.refund(&pending, "1000").await.1["status"], "pending");
    client.until(|stripe| stripe.refunds()[1]["status"] == "succeeded").await;

    let disputed = client.paid("ord_3", "automatic", "pm_card_createDispute").await;
    client.until(|_| client.told("ord_3").contains(&"charge.dispute.created".to_owned())).await;
    let (status, answer) = client.refund(&disputed, "1").await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("charge_disputed")));
    client.stripe.close_dispute(&disputed, true).unwrap();
    client.stripe.close_dispute(&disputed, true).unwrap_err();
    assert_eq!(client.refund(&disputed, "1").await.0, 200);
    assert_eq!(client.stripe.ledger().sums()["ord_3"].kept(), 999);
}

#[tokio::test]
async fn an_authorization_lapses_and_a_processing_payment_is_decided() {
    let client = Client::new().await;
    let held = client.paid("ord_1", "manual", "pm_card_visa").await;
    client.stripe.lapse(&held).unwrap();
    let lapsed = client.stripe.intent(&held).unwrap();
    assert_eq!(
        (&lapsed["status"], &lapsed["cancellation_reason"]),
        (&json!("canceled"), &json!("automatic"))
    );
    assert_eq!(client.stripe.ledger().sums()["ord_1"].held(), 0);
    client.stripe.lapse(&held).unwrap_err();

    let processing = client.paid("ord_2", "automatic", "pm_processing").await;
    assert_eq!(client.stripe.intent(&processing).unwrap()["status"], "processing");
    client.stripe.settle(&processing, true).unwrap();
    assert_eq!(client.booked("ord_2"), [(Kind::Charged, 1000)]);
    client.stripe.settle(&processing, true).unwrap_err();
}

/// A receiver of webhooks that refuses each event once, and what it has taken: bodies with their signatures.
async fn receiver() -> (Server, Arc<Mutex<Vec<(String, String)>>>) {
    let (taken, refused) = (Arc::new(Mutex::new(Vec::new())), Mutex::new(BTreeSet::new()));
    let taking = Arc::clone(&taken);
    let server = Server::start(0, move |parts, body| {
        let body = String::from_utf8(body.to_vec()).unwrap();
        let mut answer = Answer::new("".into());
        if refused.lock().unwrap().insert(body.clone()) {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        } else {
            let signature = parts.headers[SIGNATURE_HEADER].to_str().unwrap().to_owned();
            taking.lock().unwrap().push((body, signature));
        }
        future::ready(Ok(answer))
    });
    (server.await.unwrap(), taken)
}

#[tokio::test]
async fn webhooks_are_signed_and_sent_until_they_are_taken() {
    let client = Client::new().await;
    client.stripe.hold("ord_held");
    let held = client.intent("ord_held", "automatic").await;
    let (receiver, taken) = receiver().await;
    client.stripe.send_webhooks_to(Some(&receiver.url));
    client.paid("ord_1", "automatic", "pm_card_visa").await;
    client.until(|stripe| stripe.webhooks_of("ord_1").iter().all(|webhook| webhook.is_delivered)).await;

    let taken_now = taken.lock().unwrap().clone();
    assert_eq!(taken_now.len(), 2);
    for (body, signature) in taken_now {
        let seconds: i64 = signature.split(['=', ',']).nth(1).unwrap().parse().unwrap();
        let at = shared::domain::time::Timestamp::from_millis(seconds * 1000);
        assert_eq!(signature, sign(&[SECRET], at, &body));
        let event: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (&event["object"], &event["data"]["object"]["metadata"]["order_id"]),
            (&json!("event"), &json!("ord_1"))
        );
    }
    let waiting: Vec<_> = client.stripe.webhooks().into_iter().map(|webhook| webhook.intent).collect();
    assert_eq!(waiting, [held]);
    client.stripe.release("ord_held");
    client.until(|stripe| stripe.webhooks().is_empty()).await;
}

#[test]
fn a_signature_is_an_hmac_over_time_and_body() {
    // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_1
    let at = shared::domain::time::Timestamp::from_millis(1_700_000_000_000);
    let expected = "t=1700000000,v1=2bacf7b77f8a947e36777d445799846ce8389284516e77b94f239ef893b8def7";
    assert_eq!(sign(&["whsec_1"], at, r#"{"a":1}"#), expected);
}

#[tokio::test]
async fn only_the_key_of_the_account_is_admitted_and_only_forms_are_read() {
    let client = Client::new().await;
    let url = format!("{}/v1/payment_intents", client.stripe.url);
    for call in [client.http.post(&url), client.http.post(&url).bearer_auth("sk_test_2")] {
        assert_eq!(Client::sent(call).await.unwrap().0, 401);
    }
    let json = client.http.post(&url).bearer_auth(KEY).json(&json!({"amount": 1000}));
    assert_eq!(Client::sent(json).await.unwrap().0, 400);
    for (form, code) in [
        (&[("currency", "usd")][..], "parameter_missing"),
        (&[("amount", "1000")], "parameter_missing"),
        (&[("amount", "10.00"), ("currency", "usd")], "parameter_invalid_integer"),
        (&[("amount", "0"), ("currency", "usd")], "parameter_invalid_integer"),
        (&[("amount", "100000000"), ("currency", "usd")], "amount_too_large"),
        (&[("amount", "1000"), ("currency", "usd"), ("confirm", "true")], "parameter_unknown"),
    ] {
        let (status, answer) = client.post("payment_intents", form).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(code)), "{form:?}");
    }
    assert_eq!(client.get("payment_intents/pi_1").await.0, 404);
    assert_eq!(client.get("customers").await.0, 404);
}

#[tokio::test]
async fn a_file_keeps_it_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stripe.json");
    let open = async || Client::of(Stripe::on_file(&path, Settings::new(KEY, SECRET)).await.unwrap());
    let client = open().await;
    let intent = client.paid("ord_1", "automatic", "pm_card_visa").await;
    let (ledger, webhooks) = (client.stripe.ledger(), client.stripe.webhooks());
    drop(client);
    let client = open().await;
    assert_eq!((client.stripe.ledger(), read_ledger(&path).unwrap()), (ledger.clone(), ledger));
    assert_eq!(client.stripe.webhooks(), webhooks);
    assert_eq!(client.refund(&intent, "1000").await.0, 200);
    let readable = client.stripe.ledger().readable();
    assert!(readable.contains("refunded") && readable.contains("0 USD  ord_1"), "{readable}");
    drop(client);
    fs::write(&path, "{").unwrap();
    assert!(matches!(read_ledger(&path), Err(EmulatorError::File(FileError::Damaged(..)))));
}
