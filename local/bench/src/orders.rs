//! Orders for the events, as the shop and Stripe would have them by then.

use emulators::{
    dynamodb::{DatabaseError, Dynamo},
    stripe::{Settings, Stripe},
};
use serde_json::{Value, json};
use shared::{
    domain::{
        change::{ChangeContext, Initiator},
        id::Id,
        order::Order,
        order_id::OrderId,
        payment::{Capture, Intent, IntentState, NewPayment},
        time::Timestamp,
        user::User,
    },
    store::{SHARDS, Versioned},
    telemetry,
};

use super::{
    BenchError,
    products::{PRICE, product_id},
    users::{self, id},
};

const ORDERS_TABLE: &str = "OrdersTable";
/// API key and webhook secret of Stripe.
const API_KEY: &str = "sk_test_bench";
const WEBHOOK_SECRET: &str = "whsec_bench";
/// A card that is charged.
pub(super) const PAYMENT_METHOD: &str = "pm_card_visa";
/// Orders of other customers: more than a page of a list.
const OTHERS: u64 = 25;
/// Quantity of a product per order.
const QUANTITY: i64 = 2;
/// Request id of the orders' placement.
const REQUEST: &str = "JYOqWFxPFiAFT0Q=";

/// Progress of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Unpaid.
    Unpaid,
    /// Charged by Stripe, but unknown to the shop yet.
    Charged,
    /// Authorized.
    Authorized,
    /// Captured.
    Paid,
}

pub(super) struct Orders {
    pub stripe: Stripe,
    customer: Id<User>,
}

impl Orders {
    /// Places the orders of other customers. Later ones belong to this customer.
    pub async fn open(dynamo: &Dynamo, customer: Id<User>) -> Result<Self, BenchError> {
        let stripe = Stripe::in_memory(Settings::new(API_KEY, WEBHOOK_SECRET)).await?;
        let orders = Self { stripe, customer };
        for number in 0..OTHERS {
            let customer = users::other_id(number)?;
            put(dynamo, &orders.order(number, customer, Stage::Paid, telemetry::now())?)?;
        }
        Ok(orders)
    }

    /// Returns the secret that the shop shares with Stripe.
    pub fn secret() -> String {
        json!({"api_key": API_KEY, "webhook_secrets": [WEBHOOK_SECRET]}).to_string()
    }

    /// Returns a newly placed order as an item.
    pub fn item(&self, number: u64) -> Result<Value, BenchError> {
        item(&self.order(number, self.customer, Stage::Unpaid, telemetry::now())?)
    }

    /// Adds a newly placed order to the table. Returns its id.
    pub fn add(&self, dynamo: &Dynamo, number: u64, stage: Stage) -> Result<String, BenchError> {
        self.add_of(dynamo, number, stage, telemetry::now())
    }

    /// Adds an order that is long overdue.
    pub fn add_overdue(&self, dynamo: &Dynamo, number: u64, stage: Stage) -> Result<(), BenchError> {
        self.add_of(dynamo, number, stage, users::then()).map(drop)
    }

    /// Adds an order with an update at Stripe. Returns body and signature of its webhook.
    pub fn add_webhook(&self, dynamo: &Dynamo, number: u64) -> Result<(String, String), BenchError> {
        let order = self.add(dynamo, number, Stage::Charged)?;
        let mut webhooks = self.stripe.webhooks_of(&order).into_iter();
        let paid = webhooks.find(|webhook| webhook.kind == "payment_intent.succeeded");
        let body = paid.map(|webhook| webhook.body).unwrap_or_default();
        let signature = self.stripe.sign(&body);
        Ok((body, signature))
    }

    fn add_of(
        &self,
        dynamo: &Dynamo,
        number: u64,
        stage: Stage,
        at: Timestamp,
    ) -> Result<String, BenchError> {
        let order = self.order(number, self.customer, stage, at)?;
        put(dynamo, &order)?;
        Ok(order.id.to_string())
    }

    /// Returns an order that was placed at a time and has reached a stage.
    fn order(
        &self,
        number: u64,
        customer: Id<User>,
        stage: Stage,
        at: Timestamp,
    ) -> Result<Order, BenchError> {
        let order_id = OrderId::new(id(number), customer);
        let mut order: Order = serde_json::from_value(placed(order_id, at)).map_err(DatabaseError::from)?;
        let initiator = Initiator::Provider;
        let context = ChangeContext {
            initiator,
            client_id: None,
            operation: "bench",
            at,
            request_id: REQUEST.to_owned(),
            trace_id: None,
        };
        let (capture, state) = match stage {
            Stage::Unpaid => return Ok(order),
            Stage::Authorized => (Capture::Manual, IntentState::Authorized),
            Stage::Charged | Stage::Paid => (Capture::Automatic, IntentState::Captured(order.total.amount())),
        };
        let total = order.total.amount();
        let intent = self.stripe.pay(&order_id.to_string(), total, capture.into_str(), PAYMENT_METHOD)?;
        let new = NewPayment { payment_method: PAYMENT_METHOD.to_owned(), capture, return_url: None };
        order.begin_payment(id(number), intent.clone(), &new, &context)?;
        if stage != Stage::Charged {
            order.apply_payment_update(&Intent { id: intent, state }, &context)?;
        }
        Ok(order)
    }
}

/// Returns the id of another customer's order.
pub(super) fn order_of(number: u64) -> Result<OrderId, BenchError> {
    let number = number % OTHERS;
    Ok(OrderId::new(id(number), users::other_id(number)?))
}

/// Returns the request of an order for these products.
pub(super) fn new_order(products: &[&str]) -> Value {
    let items: Vec<_> =
        products.iter().map(|product| json!({"product_id": product, "quantity": QUANTITY})).collect();
    json!({"items": items, "shipping_address": address()})
}

/// Returns a newly placed order of one product.
fn placed(id: OrderId, at: Timestamp) -> Value {
    let total = json!({"amount": PRICE * QUANTITY, "currency": "EUR"});
    json!({
        "id": id,
        "customer_id": id.customer(),
        "status": "open",
        "payment_status": "unpaid",
        "fulfilment_status": "unfulfilled",
        "lines": [{
            "product_id": product_id(0),
            "sku": "MUG-0000",
            "name": "Stoneware Coffee Mug No. 0",
            "unit_price": {"amount": PRICE, "currency": "EUR"},
            "quantity": QUANTITY,
            "total": total,
            "fulfilled": 0,
            "restocked": 0,
            "released": 0,
        }],
        "total": total,
        "shipping_address": address(),
        "expires_at": Timestamp::from_millis(at.as_millis() + 15 * 60 * 1_000),
        "payments": [],
        "refunds": [],
        "fulfilments": [],
        "timeline": [{
            "type": "created",
            "at": at,
            "actor": id.customer(),
            "request_id": REQUEST,
            "amount": total,
        }],
        "created_at": at,
        "updated_at": at,
    })
}

fn address() -> Value {
    json!({
        "name": "Ada Lind",
        "line1": "Lindenstraße 7",
        "city": "Berlin",
        "postal_code": "10969",
        "country": "DE",
    })
}

fn put(dynamo: &Dynamo, order: &Order) -> Result<(), BenchError> {
    Ok(dynamo.put(ORDERS_TABLE, item(order)?)?)
}

/// Converts an order to an item with its index keys.
fn item(order: &Order) -> Result<Value, BenchError> {
    let kept = Versioned { value: order, version: 1 };
    let mut item = attribute(&serde_json::to_value(kept).map_err(DatabaseError::from)?)["M"].take();
    let text = |text: String| json!({"S": text});
    item["pk"] = text(format!("USER#{}", order.customer_id));
    item["sk"] = text(format!("ORDER#{}", order.id.own_part()));
    item["list"] = text("ORDER".to_owned());
    if let Some((queue, at)) = order.due() {
        item["due"] = text(format!("{}#{}", queue.into_str(), order.id.shard(SHARDS)));
        item["due_at"] = text(at.to_string());
    }
    Ok(item)
}

/// Converts a value to DynamoDB's JSON.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(values) => json!({"L": values.iter().map(attribute).collect::<Vec<_>>()}),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), attribute(value)));
            json!({"M": fields.collect::<serde_json::Map<_, _>>()})
        }
    }
}
