//! What the functions are asked: requests as API Gateway's REST API sends them, records as a table's stream does. Each
//! event does what its operation is for, and each write is one that the shop has not seen before.

use serde_json::{Map, Value, json};

use super::{
    BenchError,
    store::{self, Store},
};

/// The events for one function.
pub(super) struct Traffic<'a> {
    function: &'a str,
    event: Event,
    store: &'a Store,
    events: u64,
}

/// Makes the event of that number.
type Event = fn(&Store, u64) -> Value;

impl<'a> Traffic<'a> {
    /// Begins with the first event; `None` where none is known for this function.
    pub fn new(function: &'a str, store: &'a Store) -> Option<Self> {
        Some(Self { function, event: event(function)?, store, events: 0 })
    }

    /// The next event.
    pub fn next_event(&mut self) -> Vec<u8> {
        self.events += 1;
        (self.event)(self.store, self.events).to_string().into_bytes()
    }

    /// Goes on if the function did what it was asked.
    pub fn check(&self, answer: &[u8]) -> Result<(), BenchError> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let well = match answer["statusCode"].as_u64() {
            Some(status) => (200..300).contains(&status),
            None => answer["batchItemFailures"].as_array().is_some_and(Vec::is_empty),
        };
        if well {
            Ok(())
        } else {
            Err(BenchError::Failed(self.function.to_owned(), format!("it answered {answer}")))
        }
    }
}

/// Whether the benchmark knows what to ask this function.
pub(super) fn is_known(function: &str) -> bool {
    event(function).is_some()
}

fn event(function: &str) -> Option<Event> {
    Some(match function {
        "health-get" => |_, _| Request::new("GET", "/health").event(),
        "inventory-adjust" => |store, number| {
            let adjustment =
                json!({"delta": 1, "reason": "received", "note": "Delivery of the week, counted twice"});
            let request = Request::new("POST", "/products/{product_id}/inventory/adjustments");
            request.of_product(store, number).staff(store).once(number).json(&adjustment).event()
        },
        "inventory-get" => |store, number| {
            Request::new("GET", "/products/{product_id}/inventory")
                .of_product(store, number)
                .staff(store)
                .event()
        },
        "inventory-movements" => |store, number| {
            let request = Request::new("GET", "/products/{product_id}/inventory/movements");
            request.of_product(store, number).staff(store).event()
        },
        "products-archive" => |store, number| {
            let request = Request::new("DELETE", "/products/{product_id}").of_product(store, number);
            request.staff(store).header("If-Match", "*").event()
        },
        "products-availability" => stock_changes,
        "products-create" => |store, number| {
            let new = store::new_product(&format!("MUG-NEW-{number}"));
            Request::new("POST", "/products").staff(store).once(number).json(&new).event()
        },
        // The baseline does nothing with it.
        "products-get" | super::BASELINE => {
            |store, number| Request::new("GET", "/products/{product_id}").of_product(store, number).event()
        }
        "products-list" => |_, _| Request::new("GET", "/products").query("limit", "20").event(),
        "products-update" => |store, number| {
            let request =
                Request::new("PATCH", "/products/{product_id}").of_product(store, number).staff(store);
            request.header("If-Match", "*").json(&json!({"price": {"amount": 1_000 + number}})).event()
        },
        _ => return None,
    })
}

/// A change of a product's stock that puts it into another band of availability, with a version of its own.
fn stock_changes(store: &Store, number: u64) -> Value {
    let id = store.product(number);
    let (before, after) = if number.is_multiple_of(2) { (240, 3) } else { (3, 240) };
    json!({"Records": [{
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_769_862_896,
            "Keys": {"pk": {"S": format!("PRODUCT#{id}")}, "sk": {"S": "ENTRY#STOCK"}},
            "OldImage": store::stock(id, number, before),
            "NewImage": store::stock(id, number + 1, after),
            "SequenceNumber": format!("{number:021}"),
            "SizeBytes": 512,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN":
            "arn:aws:dynamodb:eu-central-1:123456789012:table/ProductsTable/stream/2026-01-31T12:00:00.000",
    }]})
}

/// A request as a client sends it.
struct Request<'a> {
    method: &'static str,
    resource: &'static str,
    product: Option<&'a str>,
    query: Map<String, Value>,
    headers: Map<String, Value>,
    body: Option<String>,
}

impl<'a> Request<'a> {
    fn new(method: &'static str, resource: &'static str) -> Self {
        let headers = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Host", "api.shop.example"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            ("X-Amzn-Trace-Id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"),
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Proto", "https"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.into()));
        Self {
            method,
            resource,
            product: None,
            query: Map::new(),
            headers: Map::from_iter(headers),
            body: None,
        }
    }

    fn of_product(self, store: &'a Store, number: u64) -> Self {
        Self { product: Some(store.product(number)), ..self }
    }

    fn staff(self, store: &Store) -> Self {
        self.header("Authorization", &format!("Bearer {}", store.token)).header("X-Api-Key", &"k".repeat(40))
    }

    fn once(self, number: u64) -> Self {
        self.header("Idempotency-Key", &format!("8b6cd1c0-7d2e-4b0e-9a43-{number:012}"))
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.insert(name.to_owned(), value.into());
        self
    }

    fn json(self, body: &Value) -> Self {
        Self { body: Some(body.to_string()), ..self.header("Content-Type", "application/json") }
    }

    /// The event: <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>.
    fn event(self) -> Value {
        let path = self.resource.replace("{product_id}", self.product.unwrap_or_default());
        let lists = |values: &Map<String, Value>| {
            values.iter().map(|(name, value)| (name.clone(), json!([value]))).collect::<Map<_, _>>()
        };
        let or_null =
            |values: Map<String, Value>| if values.is_empty() { Value::Null } else { values.into() };
        json!({
            "resource": self.resource,
            "path": path,
            "httpMethod": self.method,
            "multiValueHeaders": lists(&self.headers),
            "headers": self.headers,
            "multiValueQueryStringParameters": or_null(lists(&self.query)),
            "queryStringParameters": or_null(self.query),
            "pathParameters": self.product.map(|id| json!({"product_id": id})),
            "stageVariables": null,
            "requestContext": {
                "resourceId": "a1b2c3",
                "resourcePath": self.resource,
                "httpMethod": self.method,
                "extendedRequestId": "JYOqWFxPFiAFT0Q=",
                "requestTime": "31/Jan/2026:12:34:56 +0000",
                "path": format!("/v1{path}"),
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": "v1",
                "domainPrefix": "api",
                "requestTimeEpoch": 1_769_862_896_789_u64,
                "requestId": "41d7f9d5-0f1c-4a8e-8f6b-2c1f9f3a7d10",
                "identity": {
                    "cognitoIdentityPoolId": null,
                    "accountId": null,
                    "cognitoIdentityId": null,
                    "caller": null,
                    "sourceIp": "203.0.113.7",
                    "principalOrgId": null,
                    "accessKey": null,
                    "cognitoAuthenticationType": null,
                    "cognitoAuthenticationProvider": null,
                    "userArn": null,
                    "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                    "user": null,
                },
                "domainName": "api.shop.example",
                "deploymentId": "d4e5f6",
                "apiId": "abcdef1234",
            },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}
