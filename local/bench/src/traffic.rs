//! Events for the functions: requests as API Gateway sends them, records as table streams deliver them. Each event uses its
//! operation as intended, and each write is new to the shop.

use std::time::Duration;

use emulators::stripe::SIGNATURE_HEADER;
use runtime::{
    rest_event::{RestEvent, Values},
    schedules,
};
use serde_json::{Value, json};
use shared::domain::time::Timestamp;

use super::{
    BenchError,
    instance::Instance,
    orders::{self, PAYMENT_METHOD, Stage},
    store::{self, Store},
    users::{self, OTHER_PASSWORD, PASSWORD},
};

/// Events for a function.
pub(super) struct Traffic<'a> {
    function: &'a str,
    event: Event,
    store: &'a Store,
    events: u64,
}

/// Demand of the buyers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Demand {
    /// The same product each time.
    OneProduct,
    /// A different product each time.
    ManyProducts,
}

/// Makes the event of a number.
type Event = fn(&Store, u64) -> Result<Value, BenchError>;

impl<'a> Traffic<'a> {
    /// Starts with the first event. Returns `None` for an unknown function.
    pub fn new(function: &'a str, store: &'a Store) -> Option<Self> {
        Some(Self { function, event: event(function)?, store, events: 0 })
    }

    /// Returns the orders of one of several buyers.
    pub fn of_buyer(function: &'a str, store: &'a Store, demand: Demand, buyer: u8) -> Self {
        let event: Event = match demand {
            Demand::OneProduct => |store, number| order(store, number, &[store.product(0)]),
            Demand::ManyProducts => |store, number| order(store, number, &[store.product(number)]),
        };
        // So that no number comes twice, and not all begin with the same product.
        Self { function, event, store, events: u64::from(buyer) * 1_000_000_000 + u64::from(buyer) }
    }

    /// Returns the next event.
    pub fn next_event(&mut self) -> Result<Vec<u8>, BenchError> {
        self.events += 1;
        Ok((self.event)(self.store, self.events)?.to_string().into_bytes())
    }

    /// Sends the next event to an instance, and returns its response time.
    pub async fn next_answer(&mut self, instance: &mut Instance) -> Result<Duration, BenchError> {
        let answer = instance.invoke(self.next_event()?).await?;
        self.check(&answer.body)?;
        let duration = answer.duration;
        instance.settle(answer).await?;
        Ok(duration)
    }

    /// Checks that the function did what it was asked.
    pub fn check(&self, answer: &[u8]) -> Result<(), BenchError> {
        let failed =
            |answer: &str| Err(BenchError::Failed(self.function.to_owned(), format!("it answered {answer}")));
        let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
            return failed("no JSON");
        };
        let well = match answer["statusCode"].as_u64() {
            // What is in doubt is not done.
            Some(202) if self.function.starts_with("orders-") => false,
            // A refusal leads back to the client, too, and a wrong password to the page once more.
            Some(status) if self.function == "oauth-authorize" => {
                status == 303 && answer.to_string().contains("code=")
            }
            Some(status) => (200..300).contains(&status),
            // What is neither HTTP nor on a stream has nothing to say.
            None => answer.is_null() || answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
        };
        if well { Ok(()) } else { failed(&answer.to_string()) }
    }
}

/// Returns whether the benchmark has events for a function.
pub fn is_known(function: &str) -> bool {
    event(function).is_some()
}

fn event(function: &str) -> Option<Event> {
    products(function).or_else(|| orders(function)).or_else(|| users(function)).or_else(|| oauth(function))
}

fn products(function: &str) -> Option<Event> {
    Some(match function {
        "audit-list" => |store, _| Request::new("GET", "/audit").query("limit", "20").token(store).event(),
        "docs-openapi" => |_, _| Request::new("GET", "/openapi.json").event(),
        "docs-page" => |_, _| Request::new("GET", "/docs").event(),
        "health-get" => |_, _| Request::new("GET", "/health").event(),
        "inventory-adjust" => |store, number| {
            let adjustment =
                json!({"delta": 1, "reason": "received", "note": "Delivery of the week, counted twice"});
            let request = Request::new("POST", "/products/{product_id}/inventory/adjustments");
            request.of_product(store, number).token(store).once(number).json(&adjustment).event()
        },
        "inventory-get" => |store, number| {
            Request::new("GET", "/products/{product_id}/inventory")
                .of_product(store, number)
                .token(store)
                .event()
        },
        "inventory-movements" => |store, number| {
            let request = Request::new("GET", "/products/{product_id}/inventory/movements");
            request.of_product(store, number).token(store).event()
        },
        "products-archive" => |store, number| {
            let request = Request::new("DELETE", "/products/{product_id}").of_product(store, number);
            request.token(store).header("If-Match", "*").event()
        },
        "products-availability" => stock_changes,
        "products-create" => |store, number| {
            let new = store::new_product(&format!("MUG-NEW-{number}"));
            Request::new("POST", "/products").token(store).once(number).json(&new).event()
        },
        // The baseline does nothing with it.
        "products-get" | super::BASELINE => {
            |store, number| Request::new("GET", "/products/{product_id}").of_product(store, number).event()
        }
        "products-list" => |_, _| Request::new("GET", "/products").query("limit", "20").event(),
        "products-update" => |store, number| {
            let request =
                Request::new("PATCH", "/products/{product_id}").of_product(store, number).token(store);
            request.header("If-Match", "*").json(&json!({"price": {"amount": 1_000 + number}})).event()
        },
        _ => return None,
    })
}

fn orders(function: &str) -> Option<Event> {
    Some(match function {
        "events-publish" => |store, number| {
            let order = store.orders.item(number)?;
            Ok(change("OrdersTable", number, None, order))
        },
        // What was paid goes back.
        "orders-cancel" => |store, number| {
            let order = store.orders.add(&store.dynamo, number, Stage::Paid)?;
            Request::new("POST", "/orders/{order_id}/cancel")
                .of("order_id", &order)
                .token(store)
                .once(number)
                .event()
        },
        "orders-capture" => |store, number| {
            let order = store.orders.add(&store.dynamo, number, Stage::Authorized)?;
            let request = Request::new("POST", "/orders/{order_id}/capture").of("order_id", &order);
            request.token(store).once(number).event()
        },
        "orders-create" => {
            |store, number| order(store, number, &[store.product(number), store.product(number + 1)])
        }
        "orders-expire" => |store, number| {
            store.orders.add_overdue(&store.dynamo, number, Stage::Unpaid)?;
            Ok(schedules::event("orders-expire"))
        },
        "orders-fulfil" => |store, number| {
            let order = store.orders.add(&store.dynamo, number, Stage::Paid)?;
            let request = Request::new("POST", "/orders/{order_id}/fulfilments").of("order_id", &order);
            let tracking = json!({"carrier": "DHL", "number": format!("JD{number:018}")});
            request.token(store).once(number).json(&json!({"tracking": tracking})).event()
        },
        "orders-get" => |store, number| {
            let order = orders::order_of(number)?.to_string();
            Request::new("GET", "/orders/{order_id}").of("order_id", &order).token(store).event()
        },
        "orders-list" => |store, _| Request::new("GET", "/orders").query("limit", "20").token(store).event(),
        "orders-pay" => |store, number| {
            let order = store.orders.add(&store.dynamo, number, Stage::Unpaid)?;
            let request = Request::new("POST", "/orders/{order_id}/payments").of("order_id", &order);
            request.token(store).once(number).json(&json!({"payment_method": PAYMENT_METHOD})).event()
        },
        "orders-refund" => |store, number| {
            let order = store.orders.add(&store.dynamo, number, Stage::Paid)?;
            let request = Request::new("POST", "/orders/{order_id}/refunds").of("order_id", &order);
            let refund = json!({"amount": 500, "reason": "Arrived with a scratch"});
            request.token(store).once(number).json(&refund).event()
        },
        // The shop does not know yet that an order is paid.
        "payments-reconcile" => |store, number| {
            store.orders.add_overdue(&store.dynamo, number, Stage::Charged)?;
            Ok(schedules::event("payments-reconcile"))
        },
        "payments-webhook" => |store, number| {
            let (body, signature) = store.orders.add_webhook(&store.dynamo, number)?;
            Request::new("POST", "/payments/webhooks/stripe").signed(body, &signature).event()
        },
        _ => return None,
    })
}

/// Returns an order for these products.
fn order(store: &Store, number: u64, products: &[&str]) -> Result<Value, BenchError> {
    Request::new("POST", "/orders").token(store).once(number).json(&orders::new_order(products)).event()
}

fn users(function: &str) -> Option<Event> {
    Some(match function {
        "mail-send" => registrations,
        // One address may not close so many accounts in a row.
        "profile-delete" => |store, number| {
            store.users.open_account(&store.dynamo)?;
            let request = Request::new("POST", "/users/me/delete").token(store);
            request.by(format!("2001:db8:{number:x}::7")).json(&json!({"password": PASSWORD})).event()
        },
        "profile-get" => |store, _| Request::new("GET", "/users/me").token(store).event(),
        "profile-password" => |store, number| {
            let (from, to) = match number % 2 {
                0 => (OTHER_PASSWORD, PASSWORD),
                _ => (PASSWORD, OTHER_PASSWORD),
            };
            let request = Request::new("PUT", "/users/me/password").token(store);
            request.json(&json!({"current_password": from, "new_password": to})).event()
        },
        "profile-update" => |store, number| {
            let request = Request::new("PATCH", "/users/me").token(store).header("If-Match", "*");
            request.json(&json!({"phone": format!("+49 30 {number:07}")})).event()
        },
        "sessions-create" => |_, _| {
            let credentials = json!({"email": users::EMAIL, "password": PASSWORD});
            Request::new("POST", "/sessions").json(&credentials).event()
        },
        "sessions-delete" => |store, _| Request::new("DELETE", "/sessions").token(store).event(),
        "users-forgot-password" => {
            |_, _| Request::new("POST", "/users/password-reset").json(&json!({"email": users::EMAIL})).event()
        }
        "users-get" => |store, _| {
            Request::new("GET", "/users/{user_id}").of("user_id", &users::other(0)).token(store).event()
        },
        "users-list" => |store, _| Request::new("GET", "/users").query("limit", "20").token(store).event(),
        "users-register" => |_, number| {
            let new = json!({"email": users::new_email(number), "password": PASSWORD, "name": "Nora New"});
            Request::new("POST", "/users").json(&new).event()
        },
        "users-reset-password" => |store, number| {
            let token = store.users.add_reset(&store.dynamo, number)?;
            let request = Request::new("POST", "/users/password-reset/confirm");
            request.json(&json!({"token": token, "new_password": OTHER_PASSWORD})).event()
        },
        "users-update" => |store, number| {
            let role = if number.is_multiple_of(2) { "customer" } else { "staff" };
            let request = Request::new("PATCH", "/users/{user_id}").of("user_id", &users::other(0));
            request.token(store).header("If-Match", "*").json(&json!({"role": role})).event()
        },
        "users-verify-email" => |store, number| {
            let token = store.users.add_registration(&store.dynamo, number)?;
            let request = Request::new("POST", "/users/verify-email");
            request.json(&json!({"token": token, "password": PASSWORD})).event()
        },
        _ => return None,
    })
}

fn oauth(function: &str) -> Option<Event> {
    Some(match function {
        "keys-rotate" => rotation,
        // A person signs in and agrees.
        "oauth-authorize" => |_, _| {
            let form = format!(
                "response_type=code&client_id=storefront&redirect_uri=https%3A%2F%2Fshop.example%2Foauth%2Fcallback\
                 &scope=profile%3Aread+orders%3Aown&state=af0ifjsldkj&code_challenge_method=S256\
                 &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
                 &email={}&password={}&decision=allow",
                users::EMAIL,
                PASSWORD.replace(' ', "+"),
            );
            Request::new("POST", "/oauth/authorize").form(form).event()
        },
        "oauth-clients-create" => |store, number| {
            let new = json!({"name": "Warehouse", "scope": "inventory:read inventory:write"});
            Request::new("POST", "/oauth/clients").token(store).once(number).json(&new).event()
        },
        "oauth-clients-delete" => |store, number| {
            let id = store.users.add_client(&store.dynamo, number)?;
            Request::new("DELETE", "/oauth/clients/{client_id}").of("client_id", &id).token(store).event()
        },
        "oauth-secrets-create" => |store, number| {
            let id = store.users.add_client(&store.dynamo, number)?;
            let request = Request::new("POST", "/oauth/clients/{client_id}/secrets");
            request.of("client_id", &id).token(store).event()
        },
        "oauth-secrets-delete" => |store, number| {
            let id = store.users.add_client(&store.dynamo, number)?;
            let request = Request::new("DELETE", "/oauth/clients/{client_id}/secrets/{secret_id}");
            request.of("client_id", &id).of("secret_id", &users::secret()).token(store).event()
        },
        "oauth-clients-list" => {
            |store, _| Request::new("GET", "/oauth/clients").query("limit", "20").token(store).event()
        }
        "oauth-jwks" => |_, _| Request::new("GET", "/.well-known/jwks.json").event(),
        "oauth-metadata" => |_, _| Request::new("GET", "/.well-known/oauth-authorization-server").event(),
        "oauth-revoke" => |store, number| {
            let token = store.users.add_session(&store.dynamo, number)?;
            Request::new("POST", "/oauth/revoke").form(format!("client_id=storefront&token={token}")).event()
        },
        "oauth-token" => |store, number| {
            let token = store.users.add_session(&store.dynamo, number)?;
            let form = format!("grant_type=refresh_token&client_id=storefront&refresh_token={token}");
            Request::new("POST", "/oauth/token").form(form).event()
        },
        _ => return None,
    })
}

/// Returns a stream record of a stock that changes its availability, with a version of its own.
fn stock_changes(store: &Store, number: u64) -> Result<Value, BenchError> {
    let id = store.product(number);
    let (before, after) = if number.is_multiple_of(2) { (240, 3) } else { (3, 240) };
    let (before, after) = (store::stock(id, number, before), store::stock(id, number + 1, after));
    Ok(change("ProductsTable", number, Some(before), after))
}

/// Returns a step of a key rotation: four in a row make one rotation.
fn rotation(store: &Store, number: u64) -> Result<Value, BenchError> {
    let step = match number % 4 {
        1 => {
            store.undo_rotation()?;
            "createSecret"
        }
        2 => "setSecret",
        3 => "testSecret",
        _ => "finishSecret",
    };
    let token = format!("8b6cd1c0-7d2e-4b0e-9a43-{:012}", number.div_ceil(4));
    Ok(json!({"Step": step, "SecretId": store::SIGNING_SECRET, "ClientRequestToken": token}))
}

/// Returns a stream record of a registration whose address has had no mail.
fn registrations(store: &Store, number: u64) -> Result<Value, BenchError> {
    Ok(change("UsersTable", number, None, store.users.registration(number)))
}

/// Returns a batch of one record, of a new or changed item.
fn change(table: &str, number: u64, before: Option<Value>, after: Value) -> Value {
    let mut record = json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": if before.is_some() { "MODIFY" } else { "INSERT" },
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_769_862_896,
            "Keys": {"pk": after["pk"], "sk": after["sk"]},
            "NewImage": after,
            "SequenceNumber": format!("{number:021}"),
            "SizeBytes": 512,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN":
            format!("arn:aws:dynamodb:eu-central-1:123456789012:table/{table}/stream/2026-01-31T12:00:00.000"),
    });
    if let Some(before) = before {
        record["dynamodb"]["OldImage"] = before;
    }
    json!({"Records": [record]})
}

/// A request as a browser sends it through API Gateway.
struct Request {
    address: String,
    method: &'static str,
    resource: &'static str,
    parameters: Vec<(&'static str, String)>,
    query: Values,
    headers: Values,
    body: String,
}

impl Request {
    fn new(method: &'static str, resource: &'static str) -> Self {
        let headers = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Host", "api.shop.example"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("X-Amzn-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Proto", "https"),
        ];
        let request = Self {
            address: "203.0.113.7".to_owned(),
            method,
            resource,
            parameters: Vec::new(),
            query: Values::new(),
            headers: Values::new(),
            body: String::new(),
        };
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    fn by(self, address: String) -> Self {
        Self { address, ..self }
    }

    fn of_product(self, store: &Store, number: u64) -> Self {
        self.of("product_id", store.product(number))
    }

    fn of(mut self, parameter: &'static str, value: &str) -> Self {
        self.parameters.push((parameter, value.to_owned()));
        self
    }

    fn token(self, store: &Store) -> Self {
        self.header("Authorization", &format!("Bearer {}", store.token)).header("X-Api-Key", &"k".repeat(40))
    }

    fn once(self, number: u64) -> Self {
        self.header("Idempotency-Key", &format!("8b6cd1c0-7d2e-4b0e-9a43-{number:012}"))
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), vec![value.to_owned()]);
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), vec![value.to_owned()]);
        self
    }

    fn json(self, body: &Value) -> Self {
        Self { body: body.to_string(), ..self.header("Content-Type", "application/json") }
    }

    fn signed(self, body: String, signature: &str) -> Self {
        let signed = self.header("Content-Type", "application/json; charset=utf-8");
        Self { body, ..signed.header(SIGNATURE_HEADER, signature) }
    }

    fn form(self, body: String) -> Self {
        Self { body, ..self.header("Content-Type", "application/x-www-form-urlencoded") }
    }

    fn event(self) -> Result<Value, BenchError> {
        let path = self.parameters.iter().fold(self.resource.to_owned(), |path, (name, value)| {
            path.replace(&format!("{{{name}}}"), value)
        });
        let address = self.address.clone();
        let request = self.header("X-Forwarded-For", &address);
        let parameters = request.parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
        let event = RestEvent {
            id: "41d7f9d5-0f1c-4a8e-8f6b-2c1f9f3a7d10",
            time: Timestamp::from_millis(1_769_862_896_789),
            source: &address,
            stage: "v1",
            method: request.method,
            resource: request.resource,
            path: &path,
            parameters: parameters.collect(),
            query: &request.query,
            headers: &request.headers,
            body: request.body.as_bytes(),
        };
        Ok(event.json())
    }
}
