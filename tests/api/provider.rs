//! The same purchases with the Stripe emulator and with localstripe, an independent one. localstripe lacks idempotency keys,
//! 3-D Secure by redirect and webhooks to functions.

use serde_json::{Value, json};

use crate::shop::{
    API_KEY, Options, Shop,
    books::timeline,
    buyers::{VISA, mark_of},
    localstripe::LocalStripe,
    proxy::Refusal,
    unique,
};

const CONFIRM: &str = "POST /v1/payment_intents/{id}/confirm";

fn options() -> Options {
    let functions = [
        "orders-create",
        "orders-get",
        "orders-pay",
        "orders-capture",
        "orders-cancel",
        "orders-refund",
        "orders-expire",
        "payments-reconcile",
        "products-create",
        "inventory-get",
    ];
    Options { only: Some(functions.to_vec()), ..Options::default() }
}

/// An order with a payment and a refund.
async fn purchases(shop: &Shop) {
    let mug = shop.create_stocked("provider", 50).await;
    let goods = [(mug.id(), 2)];
    let statuses = async |order: &str| {
        let order = shop.order(order).await;
        ["status", "payment_status"].map(|axis| order[axis].as_str().unwrap().to_owned())
    };
    // Paid at once; given back in part, then the rest.
    let order = shop.ordered(&goods).await;
    let payment = shop.pay(&order, VISA).send().await.expect(201);
    assert_eq!((&payment["status"], &payment["captured"]["amount"]), (&json!("captured"), &json!(3700)));
    let refund = shop.refund(&order, &json!({"amount": 1000})).send().await.expect(201);
    assert_eq!((&refund["status"], &refund["amount"]["amount"]), (&json!("succeeded"), &json!(1000)));
    assert_eq!(statuses(order.id()).await, ["open", "partially_refunded"]);
    shop.refund(&order, &json!({})).send().await.expect(201);
    assert_eq!(statuses(order.id()).await, ["cancelled", "refunded"]);

    // Declined, then paid with another card.
    let order = shop.ordered(&goods).await;
    let refused = shop.pay(&order, "pm_card_chargeCustomerFail").send().await;
    let refused = refused.expect_problem(402, "card_declined");
    assert!(refused["decline_code"].is_string() && refused["payment"]["status"] == "failed", "{refused:?}");
    shop.pay(&order, VISA).send().await.expect(201);
    assert_eq!(statuses(order.id()).await, ["open", "paid"]);
    // Called off: given back.
    shop.cancel(&order).send().await.expect(200);
    assert_eq!(statuses(order.id()).await, ["cancelled", "refunded"]);

    // Authorized: captured whole, in part, or called off.
    for amount in [None, Some(1000)] {
        let order = shop.authorized(&goods).await;
        let captured = shop.capture(&order, amount).send().await.expect(200);
        assert_eq!(captured["captured"]["amount"], amount.unwrap_or(3700));
        assert_eq!(statuses(order.id()).await, ["open", "paid"]);
    }
    let order = shop.authorized(&goods).await;
    assert_eq!(statuses(order.id()).await, ["open", "authorized"]);
    shop.cancel(&order).send().await.expect(200);
    assert_eq!(statuses(order.id()).await, ["cancelled", "voided"]);

    // A doubt is settled by asking: it was charged, or it was not.
    let order = shop.ordered(&goods).await;
    let lost = shop.calls(CONFIRM).by("orders-pay").lose_answer();
    shop.pay(&order, VISA).send().await.expect(202);
    drop(lost);
    assert_eq!(statuses(order.id()).await, ["open", "processing"]);
    assert_eq!(shop.settle(order.id()).await["payment_status"], "paid");
    let order = shop.ordered(&goods).await;
    let broken = shop.calls(CONFIRM).by("orders-pay").answer(Refusal::of_payments(500, "api_error", None));
    shop.pay(&order, VISA).send().await.expect(202);
    drop(broken);
    shop.meanwhile(order.id());
    shop.run("payments-reconcile").await;
    let read = shop.order(order.id()).await;
    assert_eq!(
        (&read["payments"][0]["status"], timeline(&read.json)["payment_voided"]),
        (&json!("voided"), 1)
    );
    shop.pay(&order, VISA).send().await.expect(201);
    // A capture whose answer was lost.
    let order = shop.authorized(&goods).await;
    let lost = shop.calls("POST /v1/payment_intents/{id}/capture").by("orders-capture").lose_answer();
    shop.capture(&order, None).send().await.expect(202);
    drop(lost);
    assert_eq!(shop.settle(order.id()).await["payment_status"], "paid", "{}", mark_of(&order));
    shop.assert_stock(&[mug.id()], &shop.orders_with(&[mug.id()]));
}

#[tokio::test]
async fn purchases_at_the_pretend_stripe_are_understood() {
    purchases(&Shop::start(options()).await).await;
}

#[tokio::test]
async fn purchases_at_localstripe_are_understood() {
    let localstripe = LocalStripe::start().await;
    let payments = Some(localstripe.url.clone());
    purchases(&Shop::start(Options { payments, ..options() }).await).await;
}

/// Fields that must be equal at both. The emulators differ in the others.
const COMPARED: [&str; 6] = ["object", "status", "amount", "currency", "capture_method", "metadata"];

/// An account at one of the emulators.
struct Account {
    url: String,
    http: reqwest::Client,
    /// Intents created so far.
    intents: Vec<String>,
}

impl Account {
    fn at(url: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { url: url.to_owned(), http, intents: Vec::new() }
    }

    /// Calls the emulator; `{n}` stands for the intent of a number. Returns the status and the fields to compare.
    async fn call(&mut self, method: &str, path: &str, form: &str) -> (u16, Value) {
        let fill = |text: &str| {
            let filled = self.intents.iter().enumerate();
            filled.fold(text.to_owned(), |text, (number, id)| text.replace(&format!("{{{number}}}"), id))
        };
        let url = format!("{}{}", self.url, fill(path));
        let request = match method {
            "GET" => self.http.get(url),
            _ => self.http.post(url).header("idempotency-key", unique("provider")).body(fill(form)),
        };
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.bearer_auth(API_KEY).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        if path == "/v1/payment_intents" && status == 200 {
            self.intents.push(answer["id"].as_str().unwrap().to_owned());
        }
        let compared = |thing: &Value| -> Value {
            COMPARED.iter().map(|name| ((*name).to_owned(), thing[*name].clone())).collect()
        };
        let told = match (&answer["error"], answer["data"].as_array()) {
            (Value::Object(error), _) => json!({"code": error.get("code")}),
            (_, Some(list)) => {
                // The newest first; those of one second, as they come.
                let mut all: Vec<Value> = list.iter().map(compared).collect();
                all.sort_by_key(Value::to_string);
                json!(all)
            }
            _ => compared(&answer),
        };
        (status, told)
    }
}

#[tokio::test]
async fn the_pretend_stripe_answers_as_localstripe_does() {
    let (shop, localstripe) = tokio::join!(Shop::shared(), LocalStripe::start());
    let (mut pretend, mut other) = (Account::at(&shop.stripe().url), Account::at(&localstripe.url));
    let intent = |capture: &str| {
        format!(
            "amount=3700&currency=eur&capture_method={capture}&payment_method_types[]=card\
             &metadata[order_id]=ord_of_the_tests&metadata[attempt]=1"
        )
    };
    let (automatic, manual) = (intent("automatic"), intent("manual"));
    let visa = "payment_method=pm_card_visa";
    let steps = [
        ("POST", "/v1/payment_intents", &*automatic),
        ("GET", "/v1/payment_intents/{0}", ""),
        ("POST", "/v1/payment_intents/{0}/confirm", visa),
        ("GET", "/v1/payment_intents/{0}", ""),
        ("POST", "/v1/refunds", "payment_intent={0}&amount=1000&metadata[refund_id]=ref_1"),
        ("POST", "/v1/refunds", "payment_intent={0}&amount=2700&metadata[refund_id]=ref_2"),
        ("GET", "/v1/refunds?payment_intent={0}&limit=100", ""),
        ("GET", "/v1/payment_intents/{0}", ""),
        ("POST", "/v1/payment_intents", &manual),
        ("POST", "/v1/payment_intents/{1}/confirm", visa),
        ("POST", "/v1/payment_intents/{1}/capture", "amount_to_capture=3700"),
        ("GET", "/v1/payment_intents/{1}", ""),
        ("POST", "/v1/payment_intents", &manual),
        ("POST", "/v1/payment_intents/{2}/confirm", visa),
        ("POST", "/v1/payment_intents/{2}/cancel", ""),
        ("GET", "/v1/payment_intents/{2}", ""),
        ("POST", "/v1/payment_intents", &automatic),
        ("POST", "/v1/payment_intents/{3}/confirm", "payment_method=pm_card_chargeCustomerFail"),
        ("GET", "/v1/payment_intents/{3}", ""),
        ("POST", "/v1/payment_intents/{3}/cancel", ""),
        ("POST", "/v1/payment_intents", "amount=0&currency=eur"),
        ("POST", "/v1/payment_intents", "amount=100&currency=eur&unheard_of=1"),
        ("POST", "/v1/refunds", "payment_intent={0}&amount=-1"),
    ];
    for (number, (method, path, form)) in steps.into_iter().enumerate() {
        let (ours, theirs) = tokio::join!(pretend.call(method, path, form), other.call(method, path, form));
        assert_eq!(ours.0, theirs.0, "{number} {method} {path} {form}: {ours:?} {theirs:?}");
        // Of what is wrong with a request, localstripe says less.
        if ours.0 != 400 {
            assert_eq!(ours.1, theirs.1, "{number} {method} {path} {form}");
        }
    }
}
