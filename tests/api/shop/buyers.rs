//! Orders: requests of customers and staff, the passage of time, and webhooks.

use ring::hmac;
use serde_json::{Value, json};
use shared::telemetry;

use super::{
    API_KEY, Answer, CUSTOMER, ORDERS, Request, STAFF, Shop, WEBHOOK_SECRET, books::plain, eventually,
    unique, unique_user,
};

/// A valid card.
pub const VISA: &str = "pm_card_visa";
/// A card that requires 3-D Secure.
pub const AUTHENTICATION: &str = "pm_card_authenticationRequired";
/// A card that is charged, but the response is lost.
pub const ANSWER_LOST: &str = "pm_charged_answer_lost";
/// A card that is not charged: Stripe answers 500.
pub const ERROR_500: &str = "pm_error_500";
/// A card that is not charged: Stripe never answers.
pub const NEVER_ANSWERS: &str = "pm_never_answers";
const LONG_AGO: &str = "2025-01-01T00:00:00.000Z";

/// A shipping address.
pub fn address() -> Value {
    json!({
        "name": "CANARY Jane Doe",
        "line1": "CANARY Lane 7",
        "city": "Berlin",
        "postal_code": "10969",
        "country": "DE",
        "phone": "+49 30 5550199",
    })
}

/// Returns an order of quantities of products.
pub fn basket(items: &[(&str, i64)]) -> Value {
    let item = |(product, quantity): &(&str, i64)| json!({"product_id": product, "quantity": quantity});
    json!({"items": items.iter().map(item).collect::<Vec<_>>(), "shipping_address": address()})
}

/// Signs a webhook like Stripe: <https://docs.stripe.com/webhooks#verify-manually>.
pub fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = hmac::sign(&key, &[format!("{at}.").as_bytes(), body].concat());
    signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the event of a schedule.
pub fn scheduled() -> Value {
    json!({"id": unique("scheduled"), "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

/// Returns the key of an order's item.
fn key_of(order: &str) -> (String, String) {
    let (own, customer) = order.trim_start_matches("ord_").split_at(26);
    (format!("USER#usr_{customer}"), format!("ORDER#{own}"))
}

/// Returns the part of an order's id that is in every call about it.
pub fn mark_of(order: &Answer) -> String {
    key_of(order.id()).1.trim_start_matches("ORDER#").to_owned()
}

impl Shop {
    /// Makes a request for an order of quantities of products.
    pub fn place(&self, buyer: &str, items: &[(&str, i64)]) -> Request {
        self.order_of(buyer, &basket(items))
    }

    /// Makes a request for an order.
    pub fn order_of(&self, buyer: &str, order: &Value) -> Request {
        self.post("/orders").caller(buyer, CUSTOMER).key(&unique("key")).json(order)
    }

    /// Places an order of a new customer.
    pub async fn ordered(&self, items: &[(&str, i64)]) -> Answer {
        self.place(&unique_user(), items).send().await.expect(201)
    }

    /// Places and pays an order.
    pub async fn paid(&self, items: &[(&str, i64)]) -> Answer {
        let order = self.ordered(items).await;
        self.pay(&order, VISA).send().await.expect(201);
        self.order(order.id()).await
    }

    /// Places an order with an authorized payment.
    pub async fn authorized(&self, items: &[(&str, i64)]) -> Answer {
        let order = self.ordered(items).await;
        self.pay_with(&order, &json!({"payment_method": VISA, "capture": "manual"})).send().await.expect(201);
        self.order(order.id()).await
    }

    /// Reads an order as staff.
    pub async fn order(&self, id: &str) -> Answer {
        self.get(&format!("/orders/{id}")).staff().send().await.expect(200)
    }

    /// Makes a request of the customer about an order, with a new idempotency key.
    pub fn own(&self, order: &Answer, what: &str) -> Request {
        let buyer = order["customer_id"].as_str().unwrap();
        self.post(&format!("/orders/{}/{what}", order.id())).caller(buyer, CUSTOMER).key(&unique("key"))
    }

    /// Makes a request of staff about an order, with a new idempotency key.
    pub fn serve(&self, order: &Answer, what: &str) -> Request {
        self.post(&format!("/orders/{}/{what}", order.id())).scoped(STAFF).key(&unique("key"))
    }

    /// Makes a request to pay an order with a payment method.
    pub fn pay(&self, order: &Answer, payment_method: &str) -> Request {
        self.pay_with(order, &json!({"payment_method": payment_method}))
    }

    /// Makes a request to pay an order.
    pub fn pay_with(&self, order: &Answer, payment: &Value) -> Request {
        self.own(order, "payments").json(payment)
    }

    /// Makes a request to cancel an order.
    pub fn cancel(&self, order: &Answer) -> Request {
        self.own(order, "cancel")
    }

    /// Makes a request to capture an authorized payment.
    pub fn capture(&self, order: &Answer, amount: Option<i64>) -> Request {
        let request = self.serve(order, "capture");
        amount.into_iter().fold(request, |request, amount| request.json(&json!({"amount": amount})))
    }

    /// Makes a request to refund.
    pub fn refund(&self, order: &Answer, refund: &Value) -> Request {
        self.serve(order, "refunds").json(refund)
    }

    /// Makes a request to ship.
    pub fn fulfil(&self, order: &Answer, fulfilment: &Value) -> Request {
        self.serve(order, "fulfilments").json(fulfilment)
    }

    /// Returns a stored order.
    pub fn stored(&self, order: &str) -> Value {
        let (pk, sk) = key_of(order);
        self.item(ORDERS, &pk, &sk)
    }

    /// Returns a stored order in plain JSON.
    pub fn kept(&self, order: &str) -> Value {
        plain(&self.stored(order))
    }

    /// Moves an order into the past, beyond its deadline and the time of a payment in doubt.
    pub fn later(&self, order: &str) {
        self.move_times(order, &["due_at", "updated_at", "expires_at"]);
    }

    /// Moves an order into the past, beyond the time of a payment in doubt, but not its deadline.
    pub fn meanwhile(&self, order: &str) {
        self.move_times(order, &["due_at", "updated_at"]);
    }

    fn move_times(&self, order: &str, names: &[&str]) {
        let (pk, sk) = key_of(order);
        // Once more where it has changed meanwhile.
        loop {
            let before = self.item(ORDERS, &pk, &sk);
            let mut item = before.clone();
            for name in names {
                if item[*name].is_object() {
                    item[*name] = json!({"S": LONG_AGO});
                }
            }
            for payment in item["payments"]["L"].as_array_mut().unwrap() {
                payment["M"]["created_at"] = json!({"S": LONG_AGO});
            }
            if self.replace(ORDERS, &before, item) {
                return;
            }
        }
    }

    /// Runs a scheduled function.
    pub async fn run(&self, function: &str) {
        assert_eq!(self.try_run(function).await, Value::Null, "{function}");
    }

    /// Runs a scheduled function that may fail.
    pub async fn try_run(&self, function: &str) -> Value {
        self.invoke(function, &scheduled()).await
    }

    /// Runs the scheduled functions until the order is settled.
    pub async fn settle(&self, order: &str) -> Answer {
        for _ in 0..6 {
            self.later(order);
            self.run("payments-reconcile").await;
            self.later(order);
            self.run("orders-expire").await;
            let kept = self.kept(order);
            let mut refunds = kept["refunds"].as_array().unwrap().iter();
            let waits = kept["payment_status"] == "processing"
                || refunds.any(|refund| refund["status"] == "pending")
                || kept["status"] == "open" && kept["payment_status"] == "unpaid";
            if !waits && !kept["due"].as_str().is_some_and(|due| due.starts_with("EXPIRY")) {
                return self.order(order).await;
            }
        }
        panic!("{order} does not settle: {}", self.kept(order))
    }

    /// Returns the id of an intent of an order, by its number from 0.
    pub fn intent(&self, order: &str, number: usize) -> String {
        let kept = self.kept(order);
        let intent = kept["payments"][number]["provider_id"].as_str();
        intent.unwrap_or_else(|| panic!("no intent of payment {number} in {kept}")).to_owned()
    }

    /// Makes a webhook as Stripe sends it.
    pub fn webhook(&self, kind: &str, object: &Value) -> Request {
        let id = unique("evt_tests").replace('-', "");
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": telemetry::now().as_seconds(),
            "livemode": false, "data": {"object": object},
        });
        self.signed_webhook(&event.to_string())
    }

    /// Makes a webhook of any body with a valid signature.
    pub fn signed_webhook(&self, body: &str) -> Request {
        let now = telemetry::now().as_seconds();
        let signed = format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, body.as_bytes()));
        self.post("/payments/webhooks/stripe")
            .header("Stripe-Signature", &signed)
            .body("application/json", body)
    }

    /// Makes a webhook about the current state of an order's intent.
    pub fn webhook_of(&self, kind: &str, order: &str, number: usize) -> Request {
        self.webhook(kind, &self.provider_intent(&self.intent(order, number)))
    }

    /// Returns the newest webhook of a type that waits for an order.
    pub async fn webhook_due(&self, kind: &str, order: &str) -> Request {
        let find =
            async || self.stripe().webhooks_of(order).into_iter().rfind(|webhook| webhook.kind == kind);
        self.signed_webhook(&eventually(kind, find).await.body)
    }

    /// Returns all intents of an order at Stripe.
    pub fn provider_intents(&self, order: &str) -> Vec<Value> {
        self.stripe().intents_of(order).iter().map(|intent| self.provider_intent(intent)).collect()
    }

    /// Returns an intent at Stripe.
    pub fn provider_intent(&self, id: &str) -> Value {
        self.stripe().intent(id).unwrap_or_else(|| panic!("Stripe knows no {id}"))
    }

    /// Creates an intent at Stripe with this order's id, but not by the shop.
    pub async fn provider_intent_for(&self, order: &str) -> Value {
        let form = format!("amount=1850&currency=eur&metadata[order_id]={order}");
        let request =
            self.http.post(format!("{}/v1/payment_intents", self.stripe().url)).bearer_auth(API_KEY);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    /// Completes 3-D Secure in the browser, and returns the target of the redirect.
    pub async fn authenticate(&self, page: &str, approves: bool) -> String {
        assert_eq!(self.http.get(page).send().await.unwrap().status(), 200);
        let decision = if approves { "approve" } else { "fail" };
        let answer = self.http.post(format!("{page}/{decision}")).send().await.unwrap();
        let way = answer.headers().get("location").map(|way| way.to_str().unwrap().to_owned());
        way.unwrap_or_default()
    }
}
