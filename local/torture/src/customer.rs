//! Random customers, and the staff that serves them.

use fastrand::Rng;
use std::{sync::Arc, time::Instant};

use runtime::keys;
use serde_json::{Value, json};
use shared::{
    auth::Role,
    domain::{id::Id, user::User},
    telemetry,
};

use super::{
    TortureError,
    client::{Call, Client},
};

/// Payment methods, mostly valid ones.
const CARDS: [&str; 16] = [
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_authenticationRequired",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_card_createDispute",
    "pm_never_answers",
    "pm_charged_answer_lost",
    "pm_slow",
    "pm_error_500",
    "pm_rate_limited",
];

pub(super) struct Customer {
    id: Id<User>,
    rng: Rng,
    client: Arc<Client>,
    products: Arc<Vec<String>>,
    /// Access tokens of the customer, another customer and staff.
    token: String,
    stranger: String,
    staff: String,
}

impl Customer {
    pub fn new(
        number: usize,
        mut rng: Rng,
        client: Arc<Client>,
        products: Arc<Vec<String>>,
    ) -> Result<Self, TortureError> {
        let id = Id::new(telemetry::now(), u128::from(rng.u64(..)) << 8 | number as u128);
        let mut customer = Self {
            id,
            rng,
            client,
            products,
            token: String::new(),
            stranger: String::new(),
            staff: String::new(),
        };
        customer.take_tokens()?;
        Ok(customer)
    }

    /// Renews the tokens, which expire after minutes.
    fn take_tokens(&mut self) -> Result<(), TortureError> {
        self.token = self.client.token(self.id, Role::Customer)?;
        self.stranger = self.client.token(keys::user(Role::Customer)?, Role::Customer)?;
        self.staff = self.client.token(keys::user(Role::Staff)?, Role::Staff)?;
        Ok(())
    }

    /// Orders and acts on the order, again and again.
    pub async fn live(mut self, until: Instant) {
        self.client.tally().customers.push(self.id);
        while Instant::now() < until && self.take_tokens().is_ok() {
            let Some(order) = self.place().await else { continue };
            for _ in 0..self.rng.usize(..7) {
                self.act(&order).await;
            }
        }
    }

    async fn place(&mut self) -> Option<Value> {
        let mut items = Vec::new();
        for _ in 0..=self.rng.usize(..3) {
            let product_id = self.rng.choice(self.products.iter())?;
            items.push(json!({"product_id": product_id, "quantity": self.rng.usize(..3) + 1}));
        }
        let address = json!({
            "name": "Ada Lind",
            "line1": "Lindenstraße 7",
            "city": "Berlin",
            "postal_code": "10969",
            "country": "DE",
        });
        let body = json!({"items": items, "shipping_address": address});
        let call = Call::post("orders-create", "/orders".to_owned(), body, &self.token, &[201, 409]);
        let answer = self.client.ask_oddly(&call, &mut self.rng).await?;
        if answer.status != 201 {
            return None;
        }
        let mut tally = self.client.tally();
        tally.orders += 1;
        let id = answer.body["id"].as_str().unwrap_or_default();
        tally.acknowledged.push(id.to_owned());
        Some(answer.body)
    }

    async fn act(&mut self, order: &Value) {
        let id = order["id"].as_str().unwrap_or_default();
        let path = |what: &str| format!("/orders/{id}{what}");
        let (own, staff) = (&self.token, &self.staff);
        let some = |rng: &mut Rng| {
            let most = usize::try_from(order["total"]["amount"].as_i64().unwrap_or(1)).unwrap_or(1);
            1 + rng.usize(..(most).max(1))
        };
        let pick = |rng: &mut Rng| {
            let line = &order["lines"][0];
            let most = usize::try_from(line["quantity"].as_i64().unwrap_or(1)).unwrap_or(1);
            json!([{"product_id": line["product_id"], "quantity": 1 + rng.usize(..(most).max(1))}])
        };
        let call = match self.rng.usize(..100) {
            0..40 => {
                let card = self.rng.choice(&CARDS).copied().unwrap_or_default();
                let capture = if self.rng.usize(..100) < 30 { "manual" } else { "automatic" };
                let body = json!({"payment_method": card, "capture": capture});
                Call::post("orders-pay", path("/payments"), body, own, &[201, 202, 402, 409])
            }
            40..50 => {
                let token = if self.rng.usize(..100) < 80 { own } else { staff };
                Call::post("orders-cancel", path("/cancel"), json!({}), token, &[200, 202, 409])
            }
            50..60 => {
                let body = if self.rng.usize(..100) < 70 {
                    json!({})
                } else {
                    json!({"amount": some(&mut self.rng)})
                };
                Call::post("orders-capture", path("/capture"), body, staff, &[200, 202, 402, 409])
            }
            60..72 => {
                let body = if self.rng.usize(..100) < 60 {
                    json!({})
                } else {
                    json!({"lines": pick(&mut self.rng)})
                };
                // 422: less is left by now than is asked for.
                Call::post("orders-fulfil", path("/fulfilments"), body, staff, &[201, 409, 422])
            }
            72..84 => {
                let mut body = json!({});
                if self.rng.usize(..100) < 50 {
                    body["amount"] = some(&mut self.rng).into();
                }
                if self.rng.usize(..100) < 30 {
                    body["restock"] = pick(&mut self.rng);
                }
                if self.rng.usize(..100) < 20 {
                    body["release"] = pick(&mut self.rng);
                }
                Call::post("orders-refund", path("/refunds"), body, staff, &[201, 202, 409, 422])
            }
            84..90 => Call::get("orders-get", path(""), own, &[200]),
            90..94 => Call::get("orders-list", "/orders?limit=5".to_owned(), own, &[200]),
            // Somebody else's order is no order.
            94..97 => Call::get("orders-get", path(""), &self.stranger, &[404]),
            _ => Call::post("orders-cancel", path("/cancel"), json!({}), &self.stranger, &[404]),
        };
        if call.key.is_some() {
            self.client.ask_oddly(&call, &mut self.rng).await;
        } else {
            self.client.ask(&call).await;
        }
    }
}
