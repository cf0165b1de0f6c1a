//! A deployed shop: a URL and a cloud instead of processes. `tests/cloud/run` deploys it and describes it in a file, which
//! `SHOP_DEPLOYMENT` names.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    sync::{LazyLock, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use emulators::{event_bridge::EventBridge, ses::Mailbox, stripe::Stripe};

use super::{EVENT_BUS, KEYS, RUNTIME, Shop, token::Signer};

use reqwest::{Client, ClientBuilder, Method, header::HeaderMap};
use serde_json::{Value, json};

/// Maximum age of fetched mails and events.
const FRESH: Duration = Duration::from_millis(200);

/// Description of the deployment, if there is one.
static DEPLOYMENT: LazyLock<Option<Value>> = LazyLock::new(|| {
    let path = env::var_os("SHOP_DEPLOYMENT")?;
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap())
});

/// First number of the names that tests make: a deployment may have those of earlier runs.
pub static FIRST_NUMBER: LazyLock<u64> =
    LazyLock::new(|| if is_deployed() { u64::from(std::process::id()) * 1_000_000 } else { 1 });

/// Returns whether the tests run against a deployed shop.
pub fn is_deployed() -> bool {
    DEPLOYMENT.is_some()
}

/// Ends a test that needs a local shop. `tests/cloud/run` knows the message.
pub fn skip(what: &str) -> ! {
    panic!("not at a deployed shop: {what}")
}

/// Ends a test that needs a local shop, if the shop is deployed.
pub fn skip_where_deployed(what: &str) {
    if is_deployed() {
        skip(what);
    }
}

/// The cloud of a deployed shop.
pub struct Deployed {
    description: &'static Value,
    http: Client,
    /// Time of the last fetch, and number of mails.
    mails: Mutex<(Option<Instant>, usize)>,
    /// Time of the last fetch.
    events: Mutex<Option<Instant>>,
}

impl Deployed {
    /// Returns the cloud of the environment.
    pub fn of_environment() -> Option<Self> {
        let description = DEPLOYMENT.as_ref()?;
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        Some(Self { description, http, mails: Mutex::default(), events: Mutex::default() })
    }

    fn text(&self, name: &str) -> &'static str {
        self.description[name].as_str().unwrap_or_else(|| panic!("the deployment has no {name}"))
    }

    fn number(&self, name: &str) -> u16 {
        self.description[name].as_u64().unwrap().try_into().unwrap()
    }

    /// Returns the URL of the API, without `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.text("host"), self.number("port"))
    }

    /// Resolves the host, which no name server knows.
    pub fn reach(&self, client: ClientBuilder) -> ClientBuilder {
        client.resolve(self.text("host"), SocketAddr::from((Ipv4Addr::LOCALHOST, self.number("port"))))
    }

    /// Returns the API key of the back office.
    pub fn api_key(&self) -> &'static str {
        self.text("api_key")
    }

    /// Returns the id of the REST API.
    pub fn api(&self) -> &'static str {
        self.text("api")
    }

    /// Returns the port of the Stripe emulator.
    pub fn stripe_port(&self) -> u16 {
        self.number("stripe_port")
    }

    /// Returns a signing key that the shop accepts, created once per deployment.
    pub fn signer(&self) -> Signer {
        let path = self.text("signing_key");
        if let Ok(text) = fs::read_to_string(path) {
            return Signer::of_secret(&text);
        }
        let signer = Signer::new("key-1");
        self.dynamo("PutItem", json!({"TableName": KEYS, "Item": signer.item()})).unwrap();
        fs::write(path, signer.secret()).unwrap();
        signer
    }

    /// Calls an AWS API that speaks JSON, such as `DynamoDB_20120810.Query`.
    pub fn call(&self, service: &str, target: &str, request: Value) -> Value {
        let (target, request) = (target.to_owned(), request.to_string());
        self.ask(service, "POST", "/", move |call| {
            call.header("X-Amz-Target", target)
                .header("Content-Type", "application/x-amz-json-1.0")
                .body(request)
        })
    }

    /// Calls an AWS API that speaks REST JSON.
    pub fn rest(&self, service: &str, method: &'static str, path: &str, request: &Value) -> Value {
        let request = if request.is_null() { String::new() } else { request.to_string() };
        self.ask(service, method, path, move |call| {
            call.header("Content-Type", "application/json").body(request)
        })
    }

    fn ask(
        &self,
        service: &str,
        method: &'static str,
        path: &str,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Value {
        let url = format!("http://127.0.0.1:{}{path}", self.number("port"));
        // The emulator takes the word of whoever says to be the account's root.
        let scope = format!("test/20260101/{}/{service}/aws4_request", self.text("region"));
        let root = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        let call = self.http.request(method.parse().unwrap(), url).header("Authorization", root);
        let call = fill(call);
        wait(async move {
            let answer = call.send().await.unwrap();
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
        })
    }

    /// Calls DynamoDB, given the logical id of a table.
    pub fn dynamo(&self, operation: &str, mut request: Value) -> Result<Value, String> {
        let table = request["TableName"].as_str().unwrap();
        request["TableName"] = self.description["tables"][table].clone();
        let answer = self.call("dynamodb", &format!("DynamoDB_20120810.{operation}"), request);
        if answer["__type"].is_string() { Err(answer.to_string()) } else { Ok(answer) }
    }

    /// Invokes a function.
    pub fn invoke(&self, function: &str, event: &Value) -> Value {
        let function = format!("{}-{function}:live", self.text("stack"));
        self.rest("lambda", "POST", &format!("/2015-03-31/functions/{function}/invocations"), event)
    }

    /// Fetches the mails from the cloud.
    pub fn fetch_mails(&self, mailbox: &Mailbox) {
        let mut fetched = self.mails.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.0.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let inbox = self.rest("ses", "GET", "/_ministack/ses/messages", &Value::Null);
        let inboxes = inbox["messages"].as_object().unwrap();
        let mails: Vec<_> = inboxes.values().flat_map(|mails| mails.as_array().unwrap()).collect();
        for mail in &mails[fetched.1..] {
            let part = |name: &str| json!({"Data": mail[name], "Charset": "UTF-8"});
            let taken = json!({
                "FromEmailAddress": mail["Source"],
                "Destination": {"ToAddresses": mail["To"]},
                "Content": {"Simple": {
                    "Subject": part("Subject"),
                    "Body": {"Text": part("BodyText"), "Html": part("BodyHtml")},
                }},
            });
            self.pass_on(format!("{}/v2/email/outbound-emails", mailbox.url), "", &taken);
        }
        *fetched = (Some(Instant::now()), mails.len());
    }

    /// Fetches the events from the cloud.
    pub fn fetch_events(&self, bus: &EventBridge) {
        let mut fetched = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let queue = self.text("events");
        loop {
            let receive = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10});
            let received = self.call("sqs", "AmazonSQS.ReceiveMessage", receive);
            let messages = received["Messages"].as_array().cloned().unwrap_or_default();
            if messages.is_empty() {
                break;
            }
            for message in &messages {
                let event: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
                let entry = json!({
                    "EventBusName": EVENT_BUS,
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": event["detail"].to_string(),
                });
                self.pass_on(bus.url.clone(), "AWSEvents.PutEvents", &json!({"Entries": [entry]}));
            }
            let entries = messages.iter().enumerate().map(
                |(id, message)| json!({"Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"]}),
            );
            let delete = json!({"QueueUrl": queue, "Entries": entries.collect::<Vec<_>>()});
            self.call("sqs", "AmazonSQS.DeleteMessageBatch", delete);
        }
        *fetched = Some(Instant::now());
    }

    /// Copies what the cloud has received to a local emulator.
    fn pass_on(&self, url: String, target: &'static str, request: &Value) {
        let call = self.http.post(url).header("X-Amz-Target", target).body(request.to_string());
        let answer = wait(async move { call.send().await.unwrap().text().await.unwrap() });
        assert!(!answer.contains("rror") && !answer.contains("message"), "{request} is not taken: {answer}");
    }

    /// Sends Stripe's webhooks to the deployed shop.
    pub fn send_webhooks_of(&self, stripe: &Stripe) {
        // By its path, because who sends them can't find the host.
        let path = format!("/_aws/execute-api/{}/v1/payments/webhooks/stripe", self.api());
        stripe.send_webhooks_to(Some(&format!("http://127.0.0.1:{}{path}", self.number("port"))));
    }
}

impl Shop {
    /// Sends a request without a contract.
    pub async fn send_raw(&self, method: Method, path: &str) -> (u16, HeaderMap, String) {
        let answer =
            self.http.request(method, format!("{}/v1{path}", self.cloud().url())).send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.text().await.unwrap())
    }
}

/// Runs a future on [`RUNTIME`] and blocks until it ends.
fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    RUNTIME.spawn(async move { drop(sender.send(work.await)) });
    receiver.recv().unwrap()
}
