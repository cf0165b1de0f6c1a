//! What becomes of an order: the requests of those who buy and of the staff, and what time and Stripe do to it.

use ring::hmac;
use serde_json::{Value, json};
use shared::telemetry;

use super::{
    API_KEY, Answer, CUSTOMER, ORDERS, Request, STAFF, Shop, WEBHOOK_SECRET, books::plain, eventually,
    unique, unique_user,
};

/// A card that is good.
pub const VISA: &str = "pm_card_visa";
/// A card that is good once its owner has said so to the bank.
pub const AUTHENTICATION: &str = "pm_card_authenticationRequired";
/// A card whose charge nobody hears of.
pub const ANSWER_LOST: &str = "pm_charged_answer_lost";
/// A card that is not charged, which nobody knows: Stripe says that it is in trouble.
pub const ERROR_500: &str = "pm_error_500";
/// A card that is not charged, which nobody knows: Stripe says nothing.
pub const NEVER_ANSWERS: &str = "pm_never_answers";
const LONG_AGO: &str = "2025-01-01T00:00:00.000Z";

/// Where an order is sent to.
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

/// An order of so many pieces of each product.
pub fn basket(items: &[(&str, i64)]) -> Value {
    let item = |(product, quantity): &(&str, i64)| json!({"product_id": product, "quantity": quantity});
    json!({"items": items.iter().map(item).collect::<Vec<_>>(), "shipping_address": address()})
}

/// What a signature of Stripe looks like, made at that second: <https://docs.stripe.com/webhooks#verify-manually>.
pub fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = hmac::sign(&key, &[format!("{at}.").as_bytes(), body].concat());
    signed.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What EventBridge sends when it is time.
pub fn scheduled() -> Value {
    json!({"id": unique("scheduled"), "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

/// The key of an order's item.
fn key_of(order: &str) -> (String, String) {
    let (own, customer) = order.trim_start_matches("ord_").split_at(26);
    (format!("USER#usr_{customer}"), format!("ORDER#{own}"))
}

/// The part of an order's id that stands in every call about it, be it of the store or of Stripe.
pub fn mark_of(order: &Answer) -> String {
    key_of(order.id()).1.trim_start_matches("ORDER#").to_owned()
}

impl Shop {
    /// A request to buy so many pieces of each product.
    pub fn place(&self, buyer: &str, items: &[(&str, i64)]) -> Request {
        self.order_of(buyer, &basket(items))
    }

    /// A request for this order.
    pub fn order_of(&self, buyer: &str, order: &Value) -> Request {
        self.post("/orders").caller(buyer, CUSTOMER).key(&unique("key")).json(order)
    }

    /// An order of somebody of whom nobody has heard.
    pub async fn ordered(&self, items: &[(&str, i64)]) -> Answer {
        self.place(&unique_user(), items).send().await.expect(201)
    }

    /// One that is paid.
    pub async fn paid(&self, items: &[(&str, i64)]) -> Answer {
        let order = self.ordered(items).await;
        self.pay(&order, VISA).send().await.expect(201);
        self.order(order.id()).await
    }

    /// One whose payment is authorized, and not captured yet.
    pub async fn authorized(&self, items: &[(&str, i64)]) -> Answer {
        let order = self.ordered(items).await;
        self.pay_with(&order, &json!({"payment_method": VISA, "capture": "manual"})).send().await.expect(201);
        self.order(order.id()).await
    }

    /// An order as the staff sees it now.
    pub async fn order(&self, id: &str) -> Answer {
        self.get(&format!("/orders/{id}")).staff().send().await.expect(200)
    }

    /// A request of its customer about an order, new in its kind.
    pub fn own(&self, order: &Answer, what: &str) -> Request {
        let buyer = order["customer_id"].as_str().unwrap();
        self.post(&format!("/orders/{}/{what}", order.id())).caller(buyer, CUSTOMER).key(&unique("key"))
    }

    /// A request of the staff about an order, new in its kind.
    pub fn serve(&self, order: &Answer, what: &str) -> Request {
        self.post(&format!("/orders/{}/{what}", order.id())).scoped(STAFF).key(&unique("key"))
    }

    /// A request of its customer to pay it with this.
    pub fn pay(&self, order: &Answer, payment_method: &str) -> Request {
        self.pay_with(order, &json!({"payment_method": payment_method}))
    }

    /// A request of its customer to pay it like this.
    pub fn pay_with(&self, order: &Answer, payment: &Value) -> Request {
        self.own(order, "payments").json(payment)
    }

    /// A request of its customer to cancel it.
    pub fn cancel(&self, order: &Answer) -> Request {
        self.own(order, "cancel")
    }

    /// A request of the staff to capture what is authorized.
    pub fn capture(&self, order: &Answer, amount: Option<i64>) -> Request {
        let request = self.serve(order, "capture");
        amount.into_iter().fold(request, |request, amount| request.json(&json!({"amount": amount})))
    }

    /// A request of the staff to give money back.
    pub fn refund(&self, order: &Answer, refund: &Value) -> Request {
        self.serve(order, "refunds").json(refund)
    }

    /// A request of the staff to send it out.
    pub fn fulfil(&self, order: &Answer, fulfilment: &Value) -> Request {
        self.serve(order, "fulfilments").json(fulfilment)
    }

    /// An order as it lies in the table.
    pub fn stored(&self, order: &str) -> Value {
        let (pk, sk) = key_of(order);
        self.item(ORDERS, &pk, &sk)
    }

    /// The same in plain JSON.
    pub fn kept(&self, order: &str) -> Value {
        plain(&self.stored(order))
    }

    /// Lets the time go by after which an order is looked at: how long a doubt may last, and its deadline.
    pub fn later(&self, order: &str) {
        self.move_times(order, &["due_at", "updated_at", "expires_at"]);
    }

    /// Lets the time go by for which a doubt may last, while there is time to pay still.
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

    /// The work that EventBridge has done each minute.
    pub async fn run(&self, function: &str) {
        assert_eq!(self.try_run(function).await, Value::Null, "{function}");
    }

    /// The same, although it may fail.
    pub async fn try_run(&self, function: &str) -> Value {
        self.invoke(function, &scheduled()).await
    }

    /// Lets time go by for an order until nothing about it is in doubt, nor waits to be paid.
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

    /// The intent with which Stripe knows the payment of that number, from 0 on.
    pub fn intent(&self, order: &str, number: usize) -> String {
        let kept = self.kept(order);
        let intent = kept["payments"][number]["provider_id"].as_str();
        intent.unwrap_or_else(|| panic!("no intent of payment {number} in {kept}")).to_owned()
    }

    /// A webhook as Stripe sends it, of something that happened to a thing of its own.
    pub fn webhook(&self, kind: &str, object: &Value) -> Request {
        let id = unique("evt_tests").replace('-', "");
        let event = json!({
            "id": id, "object": "event", "type": kind, "created": telemetry::now().as_seconds(),
            "livemode": false, "data": {"object": object},
        });
        self.signed_webhook(&event.to_string())
    }

    /// Any body, signed by Stripe now.
    pub fn signed_webhook(&self, body: &str) -> Request {
        let now = telemetry::now().as_seconds();
        let signed = format!("t={now},v1={}", signature(WEBHOOK_SECRET, now, body.as_bytes()));
        self.post("/payments/webhooks/stripe")
            .header("Stripe-Signature", &signed)
            .body("application/json", body)
    }

    /// A webhook about the intent of an order's payment, as Stripe has it now.
    pub fn webhook_of(&self, kind: &str, order: &str, number: usize) -> Request {
        self.webhook(kind, &self.provider_intent(&self.intent(order, number)))
    }

    /// The newest webhook of that kind that Stripe has to send about an order.
    pub async fn webhook_due(&self, kind: &str, order: &str) -> Request {
        let find =
            async || self.stripe().webhooks_of(order).into_iter().rfind(|webhook| webhook.kind == kind);
        self.signed_webhook(&eventually(kind, find).await.body)
    }

    /// All that Stripe knows of an order's payments.
    pub fn provider_intents(&self, order: &str) -> Vec<Value> {
        self.stripe().intents_of(order).iter().map(|intent| self.provider_intent(intent)).collect()
    }

    /// What Stripe knows of an intent.
    pub fn provider_intent(&self, id: &str) -> Value {
        self.stripe().intent(id).unwrap_or_else(|| panic!("Stripe knows no {id}"))
    }

    /// An intent that somebody else has made at Stripe, in the name of this order.
    pub async fn provider_intent_for(&self, order: &str) -> Value {
        let form = format!("amount=1850&currency=eur&metadata[order_id]={order}");
        let request =
            self.http.post(format!("{}/v1/payment_intents", self.stripe().url)).bearer_auth(API_KEY);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    /// The customer says on the bank's page who pays, and the browser goes where this says.
    pub async fn authenticate(&self, page: &str, approves: bool) -> String {
        assert_eq!(self.http.get(page).send().await.unwrap().status(), 200);
        let decision = if approves { "approve" } else { "fail" };
        let answer = self.http.post(format!("{page}/{decision}")).send().await.unwrap();
        let way = answer.headers().get("location").map(|way| way.to_str().unwrap().to_owned());
        way.unwrap_or_default()
    }
}
