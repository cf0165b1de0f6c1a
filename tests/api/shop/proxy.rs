//! A proxy between the functions and the services they call. It injects what emulators cannot do: throttling, conflicts,
//! lost responses and held requests. It records calls with their costs, and denies those that template.yaml grants no right
//! to.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use emulators::server;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    http::{HeaderMap, request::Parts},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::timeout};

use super::rights::Rights;

/// A service that functions call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Service {
    Dynamo,
    Secrets,
    Mail,
    EventBridge,
    Payments,
}

impl Service {
    const ALL: [Self; 5] = [Self::Dynamo, Self::Secrets, Self::Mail, Self::EventBridge, Self::Payments];

    /// Returns the prefix of its paths on the proxy.
    fn name(self) -> &'static str {
        match self {
            Self::Dynamo => "dynamo",
            Self::Secrets => "secrets",
            Self::Mail => "mail",
            Self::EventBridge => "bus",
            Self::Payments => "payments",
        }
    }

    /// Returns its protocol.
    fn media_type(self) -> &'static str {
        match self {
            Self::Dynamo => "application/x-amz-json-1.0",
            Self::Secrets | Self::EventBridge => "application/x-amz-json-1.1",
            Self::Mail | Self::Payments => "application/json",
        }
    }
}

/// Timeout of a test that waits for calls.
const PATIENCE: Duration = Duration::from_secs(30);

/// URLs of the services.
pub type Upstreams = [(Service, String); 5];

/// The proxy. Each function has its own paths, so that a call reveals its caller.
#[derive(Clone)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    upstreams: Upstreams,
    http: reqwest::Client,
    rights: Rights,
    rules: Mutex<Vec<Arc<Rule>>>,
}

impl Proxy {
    /// Starts the proxy on the current runtime.
    pub async fn start(upstreams: Upstreams) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
        let state = Arc::new(State { upstreams, http, rights: Rights::read(), rules: Mutex::default() });
        let proxy = Self { address, state: Arc::clone(&state) };
        // An error cuts the connection, as the rule of a test demands.
        tokio::spawn(server::serve(listener, move |_, request| {
            let state = Arc::clone(&state);
            async move { state.answer(request).await }
        }));
        Ok(proxy)
    }

    /// Returns the URL of a service for a function.
    pub fn url(&self, service: Service, function: &str) -> String {
        format!("http://{}/{}/{function}", self.address, service.name())
    }

    /// Returns rights that no call has needed yet: function, action, resource.
    pub fn unneeded_rights(&self) -> Vec<(String, (String, String))> {
        self.state.rights.unneeded()
    }

    /// Selects calls of an operation, such as `Query` or `POST /v1/refunds`.
    pub fn calls(&self, operation: &'static str) -> Calls {
        Calls { operation: Some(operation), ..self.any_call() }
    }

    /// Selects the reads of public keys and withdrawals, which a function repeats every few seconds.
    pub fn verifier_reads(&self) -> Calls {
        Calls { of_verifiers: true, ..self.any_call() }
    }

    /// Selects all calls but the reads of verifiers.
    pub fn any_call(&self) -> Calls {
        Calls {
            state: Arc::clone(&self.state),
            of_verifiers: false,
            service: None,
            operation: None,
            about: None,
            function: None,
            skip: 0,
            times: usize::MAX,
        }
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut call = Call::of(&parts, &body)?;
        let (observers, rule) = self.rules_for(&call);
        let effect = rule.as_ref().map(|rule| (&rule.effect, rule));
        let missing = self.rights.missing(&call);
        if !missing.is_empty() {
            eprintln!("template.yaml gives {} no right to {missing:?}", call.function);
            let Refusal { status, body } = Refusal::error(400, "AccessDeniedException");
            return Response::builder().status(status).body(Full::from(body)).map_err(io::Error::other);
        }

        match effect {
            Some((Effect::Refuse, rule)) => {
                rule.hit();
                return Err(io::Error::other("refused"));
            }
            Some((Effect::Answer(refusal), rule)) => {
                let Refusal { status, body } = refusal(&call.request);
                rule.hit();
                observers.iter().for_each(|observer| observer.observe(call.clone()));
                let answer = Response::builder().status(status);
                let answer = answer.header("content-type", call.service.media_type());
                return answer.body(Full::from(body)).map_err(io::Error::other);
            }
            Some((Effect::Hold, rule)) => {
                rule.hit();
                rule.released().await?;
            }
            Some((Effect::Rewrite(change), rule)) => {
                change(&mut call.request);
                rule.hit();
            }
            _ => {}
        }

        let answer = self.forward(&parts, &call).await?;
        call.capacity =
            serde_json::from_slice(answer.body()).ok().and_then(|body| Capacity::of(&call.operation, &body));
        observers.iter().for_each(|observer| observer.observe(call.clone()));

        match effect {
            Some((Effect::LoseAnswer, rule)) => {
                rule.hit();
                return Err(io::Error::other("answer lost"));
            }
            Some((Effect::HoldAnswer, rule)) => {
                rule.hit();
                rule.released().await?;
            }
            _ => {}
        }
        Ok(answer.map(Full::from))
    }

    /// Returns the rules that only observe a call, and the one that changes it.
    fn rules_for(&self, call: &Call) -> (Vec<Arc<Rule>>, Option<Arc<Rule>>) {
        let rules = self.rules.lock().unwrap();
        let covering = rules.iter().filter(|rule| rule.calls.cover(call)).cloned();
        let (observers, others): (Vec<_>, Vec<_>) =
            covering.partition(|rule| matches!(rule.effect, Effect::Observe));
        (observers, others.into_iter().find(|rule| rule.take()))
    }

    /// Forwards a call, and asks DynamoDB for its cost.
    async fn forward(&self, parts: &Parts, call: &Call) -> io::Result<Response<Bytes>> {
        let mut document = call.request.clone();
        if call.service == Service::Dynamo {
            document["ReturnConsumedCapacity"] = json!("TOTAL");
        }
        // Stripe takes forms, which are no documents.
        let body = if call.service == Service::Payments { call.text.clone() } else { document.to_string() };
        let mut headers = parts.headers.clone();
        headers.remove("content-length");
        headers.remove("host");
        let upstream = self.upstreams.iter().find(|(service, _)| *service == call.service);
        let (_, url) = upstream.expect("every service has an address");
        let request = self.http.request(parts.method.clone(), format!("{url}{}", call.path));
        let request = request.headers(headers).body(body);
        let answer = request.send().await.map_err(io::Error::other)?;
        let mut response = Response::builder().status(answer.status());
        response.headers_mut().into_iter().for_each(|headers| headers.clone_from(answer.headers()));
        response.body(answer.bytes().await.map_err(io::Error::other)?).map_err(io::Error::other)
    }
}

/// A selection of calls. All conditions must hold.
#[derive(Clone)]
pub struct Calls {
    state: Arc<State>,
    of_verifiers: bool,
    service: Option<Service>,
    operation: Option<&'static str>,
    about: Option<String>,
    function: Option<&'static str>,
    skip: usize,
    times: usize,
}

impl Calls {
    /// Only calls with this text in path or body.
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = Some(text.into());
        self
    }

    /// Only calls of this service.
    pub fn of(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only calls of this function.
    pub fn by(mut self, function: &'static str) -> Self {
        self.function = Some(function);
        self
    }

    /// Only the first calls.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Without the first calls.
    pub fn after(mut self, skip: usize) -> Self {
        self.skip = skip;
        self
    }

    /// Answers the calls instead of the service.
    pub fn answer(self, refusal: Refusal) -> Rigged {
        self.answer_with(move |_| refusal.clone())
    }

    /// Answers the calls by their requests instead of the service.
    pub fn answer_with(self, refusal: impl Fn(&Value) -> Refusal + Send + Sync + 'static) -> Rigged {
        self.rig(Effect::Answer(Box::new(refusal)))
    }

    /// Closes the connection instead of forwarding the call.
    pub fn refuse(self) -> Rigged {
        self.rig(Effect::Refuse)
    }

    /// Forwards the call, then closes the connection.
    pub fn lose_answer(self) -> Rigged {
        self.rig(Effect::LoseAnswer)
    }

    /// Holds the call until released. Closes the connection if dropped.
    pub fn hold(self) -> Rigged {
        self.rig(Effect::Hold)
    }

    /// Forwards the call, then holds the response until released. Closes the connection if dropped.
    pub fn hold_answer(self) -> Rigged {
        self.rig(Effect::HoldAnswer)
    }

    /// Changes the request.
    pub fn rewrite(self, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Rigged {
        self.rig(Effect::Rewrite(Box::new(change)))
    }

    /// Records the calls with their costs.
    pub fn observe(self) -> Rigged {
        self.rig(Effect::Observe)
    }

    fn rig(self, effect: Effect) -> Rigged {
        let state = Arc::clone(&self.state);
        let rule = Arc::new(Rule {
            seen: AtomicUsize::new(0),
            hits: watch::Sender::new(0),
            held: watch::Sender::new(Held::Yes),
            observed: Mutex::default(),
            calls: self,
            effect,
        });
        state.rules.lock().unwrap().push(Arc::clone(&rule));
        Rigged { rule, state }
    }

    fn cover(&self, call: &Call) -> bool {
        self.of_verifiers == call.is_of_verifier()
            && self.service.is_none_or(|service| service == call.service)
            && self.operation.is_none_or(|operation| operation == call.operation)
            && self.function.is_none_or(|function| function == call.function)
            && self.about.as_ref().is_none_or(|about| call.path.contains(about) || call.text.contains(about))
    }
}

enum Effect {
    Answer(Box<dyn Fn(&Value) -> Refusal + Send + Sync>),
    Rewrite(Box<dyn Fn(&mut Value) + Send + Sync>),
    Refuse,
    LoseAnswer,
    Hold,
    HoldAnswer,
    Observe,
}

/// State of held calls.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Yes,
    Released,
    Abandoned,
}

struct Rule {
    calls: Calls,
    effect: Effect,
    seen: AtomicUsize,
    hits: watch::Sender<usize>,
    held: watch::Sender<Held>,
    observed: Mutex<Vec<Call>>,
}

impl Rule {
    /// Returns whether the rule covers a call.
    fn take(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        seen >= self.calls.skip && seen - self.calls.skip < self.calls.times
    }

    fn hit(&self) {
        self.hits.send_modify(|hits| *hits += 1);
    }

    /// Waits for the release of held calls, or fails if they are dropped.
    async fn released(&self) -> io::Result<()> {
        let mut held = self.held.subscribe();
        match held.wait_for(|held| *held != Held::Yes).await.map(|held| *held) {
            Ok(Held::Released) => Ok(()),
            _ => Err(io::Error::other("never released")),
        }
    }

    fn observe(&self, call: Call) {
        self.observed.lock().unwrap().push(call);
        self.hit();
    }
}

/// A rule in force until it is dropped.
#[must_use = "the rule ends when this is dropped"]
pub struct Rigged {
    rule: Arc<Rule>,
    state: Arc<State>,
}

impl Rigged {
    /// Returns the number of calls it was applied to.
    pub fn hits(&self) -> usize {
        *self.rule.hits.borrow()
    }

    /// Waits for a number of calls.
    pub async fn reached(&self, count: usize) {
        let mut hits = self.rule.hits.subscribe();
        let reached = timeout(PATIENCE, hits.wait_for(|hits| *hits >= count)).await;
        assert!(reached.is_ok(), "{} calls came instead of {count}", self.hits());
    }

    /// Releases the held calls and all later ones.
    pub fn release(&self) {
        self.rule.held.send_replace(Held::Released);
    }

    /// Returns the recorded calls.
    pub fn observed(&self) -> Vec<Call> {
        self.rule.observed.lock().unwrap().clone()
    }
}

impl Drop for Rigged {
    fn drop(&mut self) {
        self.state.rules.lock().unwrap().retain(|rule| !Arc::ptr_eq(rule, &self.rule));
        self.rule.held.send_if_modified(|held| {
            let abandoned = *held == Held::Yes;
            if abandoned {
                *held = Held::Abandoned;
            }
            abandoned
        });
    }
}

/// A recorded call.
#[derive(Clone, Debug)]
pub struct Call {
    pub service: Service,
    pub function: String,
    /// Path.
    pub path: String,
    pub operation: String,
    /// Headers, such as Stripe's idempotency key.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
    /// Body as JSON, if it is.
    pub request: Value,
    pub capacity: Option<Capacity>,
}

impl Call {
    /// Returns whether a verifier reads what it must know. keys-rotate reads it for its own ends.
    fn is_of_verifier(&self) -> bool {
        self.request["IndexName"] == "verifiers" && self.function != "keys-rotate"
    }

    fn of(parts: &Parts, body: &[u8]) -> io::Result<Self> {
        let whole = parts.uri.path_and_query().map_or("", |path| path.as_str());
        let mut path = whole.trim_start_matches('/').splitn(3, '/');
        let name = path.next().unwrap_or_default();
        let service = Service::ALL.into_iter().find(|service| service.name() == name);
        let service = service.ok_or_else(|| io::Error::other(format!("no service is called {name}")))?;
        let function = path.next().unwrap_or_default();
        let path = format!("/{}", path.next().unwrap_or_default());
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = match service {
            Service::Payments => payment_operation(parts.method.as_str(), &path),
            // SES has a path for each operation instead, and the shop uses one.
            _ => target.and_then(|target| target.rsplit('.').next()).unwrap_or("SendEmail").to_owned(),
        };
        let headers = parts.headers.clone();
        Ok(Self { path, headers, ..Self::new(service, function, &operation, &String::from_utf8_lossy(body)) })
    }

    /// Makes an empty record.
    pub fn new(service: Service, function: &str, operation: &str, request: &str) -> Self {
        Self {
            service,
            function: function.to_owned(),
            path: String::new(),
            operation: operation.to_owned(),
            headers: HeaderMap::new(),
            text: request.to_owned(),
            request: serde_json::from_str(request).unwrap_or_default(),
            capacity: None,
        }
    }
}

/// Returns method and path of a call to Stripe, without ids.
fn payment_operation(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let is_id = |part: &&str| ["pi_", "re_"].iter().any(|prefix| part.starts_with(prefix));
    let parts = path.split('/').map(|part| if is_id(&part) { "{id}" } else { part });
    format!("{method} {}", parts.collect::<Vec<_>>().join("/"))
}

/// Cost of a call, including indexes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    Read(f64),
    Write(f64),
}

impl Capacity {
    fn of(operation: &str, answer: &Value) -> Option<Self> {
        let consumed = answer.get("ConsumedCapacity")?;
        let units = |one: &Value| one["CapacityUnits"].as_f64().unwrap_or_default();
        let units = consumed.as_array().map_or_else(|| units(consumed), |all| all.iter().map(units).sum());
        let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
        Some(if writes.contains(&operation) { Self::Write(units) } else { Self::Read(units) })
    }
}

/// A response of a service.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: u16,
    pub body: String,
}

impl Refusal {
    /// Returns an AWS error by its short name.
    pub fn error(status: u16, name: &str) -> Self {
        let body = json!({
            "__type": format!("com.amazonaws.planted#{name}"),
            "message": "PLANTED-STORE-MESSAGE",
        });
        Self { status, body: body.to_string() }
    }

    /// Returns a Stripe error.
    pub fn of_payments(status: u16, kind: &str, code: Option<&str>) -> Self {
        let mut error = json!({"type": kind, "message": "PLANTED-PROVIDER-MESSAGE"});
        if let Some(code) = code {
            error["code"] = json!(code);
        }
        Self { status, body: json!({"error": error}).to_string() }
    }

    /// Returns a cancelled transaction with a reason for each item.
    pub fn cancelled<'c>(codes: impl IntoIterator<Item = &'c str>) -> Self {
        let reason = |code: &str| match code {
            "None" => json!({"Code": code}),
            _ => json!({"Code": code, "Message": "PLANTED-STORE-MESSAGE"}),
        };
        let reasons: Vec<Value> = codes.into_iter().map(reason).collect();
        let body = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "PLANTED-STORE-MESSAGE",
            "CancellationReasons": reasons,
        });
        Self { status: 400, body: body.to_string() }
    }

    /// Returns a transaction cancelled by conflicts on all items.
    pub fn conflict() -> impl Fn(&Value) -> Self + Send + Sync + 'static {
        |request| Self::cancelled(vec!["TransactionConflict"; items_of(request)])
    }
}

/// Counts the items of a transaction.
pub fn items_of(transaction: &Value) -> usize {
    transaction["TransactItems"].as_array().map_or(0, Vec::len)
}

/// All faults of a call to Stripe, by name.
pub fn payment_refusals() -> Vec<(&'static str, Refusal)> {
    let error = Refusal::of_payments;
    let text = |status, body: &str| Refusal { status, body: body.to_owned() };
    vec![
        ("over the rate limit", error(429, "invalid_request_error", Some("rate_limit"))),
        ("a lock that another holds", error(429, "invalid_request_error", Some("lock_timeout"))),
        ("the same key at once", error(409, "idempotency_error", Some("idempotency_key_in_use"))),
        ("an internal error", error(500, "api_error", None)),
        ("unavailable", error(503, "api_error", None)),
        ("a gateway's page with status 502", text(502, "<html>PLANTED-PROVIDER-MESSAGE")),
        ("a page of HTML with status 200", text(200, "<html>PLANTED-PROVIDER-MESSAGE")),
        ("nothing with status 500", text(500, "")),
        ("half an answer", text(200, r#"{"id": "pi_"#)),
        ("another thing", text(200, r#"{"id": "cus_1", "object": "customer"}"#)),
        ("a key that is none", error(401, "invalid_request_error", None)),
        ("a key that may not", error(403, "invalid_request_error", None)),
        ("a parameter that is unknown", error(400, "invalid_request_error", Some("parameter_unknown"))),
    ]
}

/// All faults of a call to AWS, by name.
pub fn refusals() -> Vec<(&'static str, Refusal)> {
    vec![
        ("throttled", Refusal::error(400, "ThrottlingException")),
        ("over the table's throughput", Refusal::error(400, "ProvisionedThroughputExceededException")),
        ("over the account's limit", Refusal::error(400, "RequestLimitExceeded")),
        ("a conflict with a transaction", Refusal::error(400, "TransactionConflictException")),
        ("a transaction in progress", Refusal::error(400, "TransactionInProgressException")),
        ("an internal error", Refusal::error(500, "InternalServerError")),
        ("an internal failure", Refusal::error(500, "InternalFailure")),
        ("unavailable", Refusal::error(503, "ServiceUnavailable")),
        ("no such table", Refusal::error(400, "ResourceNotFoundException")),
        ("access denied", Refusal::error(400, "AccessDeniedException")),
        ("expired credentials", Refusal::error(400, "ExpiredTokenException")),
        ("a bad request", Refusal::error(400, "ValidationException")),
        ("an unknown error", Refusal::error(400, "SomethingNewException")),
        (
            "a page of HTML with status 502",
            Refusal { status: 502, body: "<html>PLANTED-STORE-MESSAGE".to_owned() },
        ),
        (
            "a page of HTML with status 200",
            Refusal { status: 200, body: "<html>PLANTED-STORE-MESSAGE".to_owned() },
        ),
        ("nothing with status 500", Refusal { status: 500, body: String::new() }),
        ("half an answer", Refusal { status: 200, body: r#"{"Items": [{"pk"#.to_owned() }),
    ]
}
