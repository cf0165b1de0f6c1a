//! API Gateway: the part of a REST API that the shop uses, in front of `cargo lambda watch`.
//!
//! Finds the function of a request by the routes in template.yaml, sends it the event of a proxy integration and converts
//! its response. Refuses requests with the template's `GatewayResponses` and answers preflight requests with its `Cors`.
//! Checks no API keys, throttles nothing but bursts, and does not rename `WWW-Authenticate`. Lambda's Invoke API is passed
//! on to watch.

mod admission;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_MAX_AGE, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    },
    http::request::Parts,
};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::{domain::time::Timestamp, telemetry};
use tokio::{net::TcpListener, sync::Notify, time::Instant};

use admission::{Admission, NotAdmitted};
use emulators::server::{self, Answer};
use template::{Api, Refusal};

use crate::{
    function::EXIT_ERROR,
    rest_event::{RestEvent, Values},
};

/// Prefix of Lambda's API.
const INVOKE_API: &str = "/2015-03-31/";
/// API Gateway's limits: body, request line and headers together, and response time.
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;
const MAX_HEAD_BYTES: usize = 10_240;
const TIMEOUT: Duration = Duration::from_secs(29);
/// Consecutive timeouts after which watch counts as stuck.
const MAX_TIMEOUTS: u32 = 3;
/// Sets the id of an invocation, which becomes the request id.
const INVOCATION_ID: &str = "lambda-runtime-aws-request-id";

/// API Gateway's name for the reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
    /// Unknown path or method.
    MissingAuthenticationToken,
    RequestTooLarge,
    /// Too many waiting requests.
    Throttled,
    /// Another client error.
    Default4xx,
    /// The function cannot be reached, or has died.
    IntegrationFailure,
    IntegrationTimeout,
    /// Invalid response of the function.
    Default5xx,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => "MISSING_AUTHENTICATION_TOKEN",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::Throttled => "THROTTLED",
            Self::Default4xx => "DEFAULT_4XX",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
            Self::Default5xx => "DEFAULT_5XX",
        }
    }
}

struct Arrival {
    id: String,
    time: Timestamp,
    source: IpAddr,
    parts: Parts,
    body: Bytes,
}

/// A path of the API with the functions of its methods.
#[derive(Debug)]
struct Resource {
    path: String,
    functions: BTreeMap<String, String>,
}

struct Stage {
    api: Api,
    /// Literal paths before those with parameters.
    resources: Vec<Resource>,
}

/// API Gateway in front of `cargo lambda watch`.
pub struct Gateway {
    /// The first one refuses requests to unknown stages.
    stages: Vec<Stage>,
    port: u16,
    /// URL of `cargo lambda watch`.
    watch: String,
    http: reqwest::Client,
    admission: Admission,
    stuck: Arc<Stuck>,
}

/// Detects that `cargo lambda watch` no longer answers.
#[derive(Default)]
pub struct Stuck {
    /// Timeouts of any function since the last response.
    timeouts: AtomicU32,
    noticed: Notify,
}

impl Stuck {
    /// Waits until [`MAX_TIMEOUTS`] requests in a row had no answer.
    pub async fn noticed(&self) {
        self.noticed.notified().await;
    }

    fn answered(&self) {
        self.timeouts.store(0, Ordering::Relaxed);
    }

    fn timed_out(&self) {
        if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 == MAX_TIMEOUTS {
            self.answered();
            self.noticed.notify_one();
        }
    }
}

impl Gateway {
    /// Creates the gateway to the functions of `apis`. `watch` is the URL of `cargo lambda watch`, `port` the port of the
    /// clients.
    ///
    /// # Errors
    /// The HTTP client cannot be created.
    pub fn new(apis: Vec<Api>, port: u16, watch: &str) -> reqwest::Result<Self> {
        let stages = apis.into_iter().map(|api| Stage { resources: resources(&api), api }).collect();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (admission, stuck) = (Admission::default(), Arc::default());
        Ok(Self { stages, port, watch: watch.to_owned(), http, admission, stuck })
    }

    pub fn stuck(&self) -> Arc<Stuck> {
        Arc::clone(&self.stuck)
    }

    /// Answers all connections, forever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Infallible {
        let answer = move |peer: SocketAddr, request: Request<Incoming>| {
            let gateway = Arc::clone(&self);
            async move {
                let (parts, body) = request.into_parts();
                Ok::<_, Infallible>(gateway.answer(peer.ip(), parts, body).await)
            }
        };
        server::serve(listener, answer).await
    }

    /// Answers a request of the client with the IP address `source`.
    pub async fn answer(
        &self,
        source: IpAddr,
        parts: Parts,
        body: impl Body<Data = Bytes, Error: std::error::Error> + Unpin,
    ) -> Answer {
        let (id, time) = (server::uuid(), telemetry::now());
        let stage = self.stage(parts.uri.path());
        let invokes = parts.uri.path().starts_with(INVOKE_API);
        // Reads the whole body first: a client that is still sending may miss a refusal.
        let answer = match read(body).await {
            // Whoever may invoke functions may invoke each with any event.
            Ok(_)
                if invokes
                    && !(source.to_canonical().is_loopback() && server::is_from_program(&parts.headers)) =>
            {
                Err(Reason::MissingAuthenticationToken)
            }
            Ok(body) if invokes => self.pass_on(parts, body).await,
            Ok(body) => self.integrate(stage, &Arrival { id: id.clone(), time, source, parts, body }).await,
            Err(reason) => Err(reason),
        };
        answer.unwrap_or_else(|reason| self.refuse(stage, reason, &id))
    }

    /// Returns the stage of a path.
    fn stage(&self, path: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| path.split('/').nth(1) == Some(&stage.api.stage))
    }

    /// Invokes the function of a request.
    async fn integrate(&self, stage: Option<&Stage>, arrival: &Arrival) -> Result<Answer, Reason> {
        let Parts { method, uri, .. } = &arrival.parts;
        let stage = stage.ok_or(Reason::MissingAuthenticationToken)?;
        let path = &uri.path()[1 + stage.api.stage.len()..];
        let mut found =
            stage.resources.iter().filter_map(|resource| Some((resource, resource.parameters(path)?)));
        let (resource, parameters) = found.next().ok_or(Reason::MissingAuthenticationToken)?;
        if *method == Method::OPTIONS {
            return stage.preflight(resource).ok_or(Reason::Default5xx);
        }
        let function = resource.functions.get(method.as_str()).ok_or(Reason::MissingAuthenticationToken)?;
        if !is_readable(&arrival.parts) {
            return Err(Reason::Default4xx);
        }
        let event = self.event(arrival, stage, resource, path, parameters);
        let deadline = Instant::now() + TIMEOUT;
        let permit = self.admission.admit(function, TIMEOUT).await.map_err(|refused| match refused {
            NotAdmitted::TooManyWaiting => Reason::Throttled,
            NotAdmitted::Timeout => Reason::IntegrationTimeout,
        })?;
        let url = format!("{}{INVOKE_API}functions/{function}/invocations", self.watch);
        let call = self.http.post(url).header(INVOCATION_ID, &arrival.id).json(&event);
        let call = call.timeout(deadline.saturating_duration_since(Instant::now()));
        // In a separate task: the invocation continues if the client disconnects.
        let stuck = self.stuck();
        let invocation = tokio::spawn(async move {
            let answer = async {
                let answer = call.send().await?;
                Ok((answer.status(), answer.bytes().await?))
            };
            let answer: reqwest::Result<_> = answer.await;
            match &answer {
                Err(error) if error.is_timeout() => stuck.timed_out(),
                _ => stuck.answered(),
            }
            drop(permit);
            answer
        });
        let answer = invocation.await.map_err(|_| Reason::IntegrationFailure)?;
        let (status, body) = answer.map_err(|error| match error.is_timeout() {
            true => Reason::IntegrationTimeout,
            false => Reason::IntegrationFailure,
        })?;
        if status == StatusCode::OK { response(&body).ok_or(Reason::Default5xx) } else { Err(failure(&body)) }
    }

    fn event(
        &self,
        arrival: &Arrival,
        stage: &Stage,
        resource: &Resource,
        path: &str,
        parameters: Map<String, Value>,
    ) -> Value {
        let Arrival { id, time, source, parts, body } = arrival;
        let source = &source.to_canonical().to_string();
        let event = RestEvent {
            id,
            time: *time,
            source,
            stage: &stage.api.stage,
            method: parts.method.as_str(),
            resource: &resource.path,
            path,
            parameters,
            query: &query(parts.uri.query().unwrap_or_default()),
            headers: &self.headers(arrival, source),
            body,
        };
        event.json()
    }

    /// Returns the client's headers with those that API Gateway adds or replaces.
    fn headers(&self, arrival: &Arrival, source: &str) -> Values {
        let sent = &arrival.parts.headers;
        let values = |name: &HeaderName| sent.get_all(name).iter().map(text).collect::<Vec<_>>();
        let mut headers: BTreeMap<_, _> =
            sent.keys().map(|name| (name.as_str().to_owned(), values(name))).collect();
        let mut way = headers.remove("x-forwarded-for").unwrap_or_default();
        way.push(source.to_owned());
        let trace = arrival.id.replace('-', "");
        let trace = format!("Root=1-{:08x}-{}", arrival.time.as_millis() / 1000, &trace[8..]);
        for (name, value) in [
            ("x-forwarded-for", way.join(", ")),
            ("x-forwarded-port", self.port.to_string()),
            ("x-forwarded-proto", "http".to_owned()),
        ] {
            headers.insert(name.to_owned(), vec![value]);
        }
        headers.entry("x-amzn-trace-id".to_owned()).or_insert_with(|| vec![trace]);
        headers
    }

    /// Passes a request on to watch.
    async fn pass_on(&self, mut parts: Parts, body: Bytes) -> Result<Answer, Reason> {
        let path = parts.uri.path_and_query().map_or_else(|| parts.uri.path(), |path| path.as_str());
        let url = format!("{}{path}", self.watch);
        parts.headers.remove(HOST);
        without_framing(&mut parts.headers);
        let call = self.http.request(parts.method, url).headers(parts.headers).body(body);
        let answer = call.send().await.map_err(|_| Reason::IntegrationFailure)?;
        let mut response = Response::new(Full::default());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        without_framing(response.headers_mut());
        *response.body_mut() = Full::from(answer.bytes().await.map_err(|_| Reason::IntegrationFailure)?);
        Ok(response)
    }

    /// Returns a gateway response.
    fn refuse(&self, stage: Option<&Stage>, reason: Reason, id: &str) -> Answer {
        let refusals = stage.or(self.stages.first()).map(|stage| &stage.api.refusals);
        let refusal = refusals.and_then(|refusals| refused(refusals.get(reason.name())?, id));
        refusal.unwrap_or_else(|| {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        })
    }
}

impl Stage {
    /// Answers a preflight request.
    fn preflight(&self, resource: &Resource) -> Option<Answer> {
        let cors = &self.api.cors;
        let methods: Vec<&str> = resource.functions.keys().map(String::as_str).chain(["OPTIONS"]).collect();
        let mut answer = Response::new(Full::default());
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_ORIGIN, cors.origin.as_str()),
            (ACCESS_CONTROL_ALLOW_METHODS, &methods.join(",")),
            (ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers),
            (ACCESS_CONTROL_MAX_AGE, &cors.max_age),
        ] {
            answer.headers_mut().insert(name, HeaderValue::from_str(value).ok()?);
        }
        Some(answer)
    }
}

impl Resource {
    /// Returns the decoded path parameters if a path matches.
    fn parameters(&self, path: &str) -> Option<Map<String, Value>> {
        let (mut found, mut expected) = (path.split('/'), self.path.split('/'));
        let mut parameters = Map::new();
        loop {
            match (found.next(), expected.next()) {
                (None, None) => return Some(parameters),
                (Some(found), Some(expected)) => match parameter(expected) {
                    Some(name) if !found.is_empty() => {
                        parameters.insert(name.to_owned(), decoded(found).into());
                    }
                    None if found == expected => {}
                    _ => return None,
                },
                _ => return None,
            }
        }
    }
}

/// Returns the resources of an API in the order of matching.
fn resources(api: &Api) -> Vec<Resource> {
    let mut resources: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for route in &api.routes {
        resources.entry(&route.path).or_default().insert(route.method.to_uppercase(), route.function.clone());
    }
    let resources = resources.into_iter().map(|(path, functions)| Resource { path: path.clone(), functions });
    let mut resources: Vec<_> = resources.collect();
    let parameters = |path: &str| path.split('/').map(|part| parameter(part).is_some()).collect::<Vec<_>>();
    resources.sort_by_cached_key(|resource| parameters(&resource.path));
    resources
}

/// Returns the parameter's name of a path segment like `{name}`.
fn parameter(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// Reads a body to its end, also if it is too large.
async fn read(mut body: impl Body<Data = Bytes, Error: std::error::Error> + Unpin) -> Result<Bytes, Reason> {
    let (mut read, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| Reason::Default4xx)?.into_data().unwrap_or_default();
        size += data.len();
        if size <= MAX_BODY_BYTES {
            read.extend_from_slice(&data);
        }
    }
    if size <= MAX_BODY_BYTES { Ok(read.into()) } else { Err(Reason::RequestTooLarge) }
}

/// Returns whether API Gateway would accept the head of a request: its size and its host.
fn is_readable(parts: &Parts) -> bool {
    let is_host = |host: &str| {
        let url = Url::parse(&format!("http://{host}/"));
        url.is_ok_and(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
    };
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().is_none_or(|host| host.to_str().is_ok_and(is_host)) && hosts.next().is_none();
    let line = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let size = parts.headers.values().fold(line, |size, value| size + value.len());
    host && size <= MAX_HEAD_BYTES
}

/// Converts a function's response. Returns `None` if it is invalid.
fn response(answer: &[u8]) -> Option<Answer> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ProxyAnswer {
        status_code: u16,
        headers: Option<BTreeMap<String, String>>,
        multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
        body: Option<String>,
        is_base64_encoded: Option<bool>,
    }

    let answer: ProxyAnswer = serde_json::from_slice(answer).ok()?;
    let body = answer.body.unwrap_or_default();
    let body = match answer.is_base64_encoded {
        Some(true) => BASE64_STANDARD.decode(body).ok()?,
        _ => body.into_bytes(),
    };
    let mut response = Response::new(Full::from(body));
    let status = StatusCode::from_u16(answer.status_code).ok();
    *response.status_mut() = status.filter(|status| (200..600).contains(&status.as_u16()))?;
    let single = answer.headers.into_iter().flatten().map(|(name, value)| (name, vec![value]));
    for (name, values) in single.chain(answer.multi_value_headers.into_iter().flatten()) {
        let name = HeaderName::try_from(name).ok()?;
        response.headers_mut().remove(&name);
        for value in values {
            response.headers_mut().append(&name, HeaderValue::try_from(value).ok()?);
        }
    }
    without_framing(response.headers_mut());
    Some(response)
}

/// Classifies a failed invocation: an error of the function, or of the way to it.
fn failure(answer: &[u8]) -> Reason {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match answer["errorType"].as_str() {
        Some(error) if error != EXIT_ERROR => Reason::Default5xx,
        _ => Reason::IntegrationFailure,
    }
}

/// Converts a gateway response of the template. Returns `None` if it is invalid.
fn refused(refusal: &Refusal, id: &str) -> Option<Answer> {
    let mut answer = Response::new(Full::from(refusal.body.replace("$context.requestId", id)));
    *answer.status_mut() = StatusCode::from_u16(refusal.status).ok()?;
    for (name, value) in &refusal.headers {
        let literal = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
        let value = literal.or((value == "context.requestId").then_some(id))?;
        let name = HeaderName::try_from(name).ok()?;
        answer.headers_mut().insert(name, HeaderValue::from_str(value).ok()?);
    }
    Some(answer)
}

/// Removes headers that describe a single connection.
fn without_framing(headers: &mut HeaderMap) {
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

/// Parses and decodes a query string.
fn query(query: &str) -> Values {
    let mut parameters = Values::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let decoded = |text: &str| decoded(&text.replace('+', " "));
        parameters.entry(decoded(name)).or_default().push(decoded(value));
    }
    parameters
}

/// Decodes percent-encoded text. Invalid UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        let octet = digit(0).zip(digit(1)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        let octet = octet.filter(|_| byte == b'%');
        bytes.push(octet.unwrap_or(byte));
        rest = if octet.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns a header's value. Invalid UTF-8 is replaced.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_TYPE, LINK, LOCATION, SET_COOKIE};

    use serde_json::json;

    use super::*;
    use emulators::server::Server;
    use template::Template;

    const ID: &str = "7e5609f9-609c-4576-afa2-d9a519cfbe1e";

    fn gateway() -> Gateway {
        let apis = Template::read(&template::repository()).unwrap().apis("https://shop.example").unwrap();
        Gateway::new(apis, 9000, "http://127.0.0.1:1").unwrap()
    }

    fn arrival(request: hyper::http::request::Builder, body: &'static [u8]) -> Arrival {
        let (parts, body) = request.body(Bytes::from_static(body)).unwrap().into_parts();
        let (id, time) = (ID.to_owned(), Timestamp::from_millis(1_794_389_400_000));
        Arrival { id, time, source: "::ffff:203.0.113.17".parse().unwrap(), parts, body }
    }

    fn event(request: hyper::http::request::Builder, body: &'static [u8]) -> Value {
        let (gateway, arrival) = (gateway(), arrival(request, body));
        let (stage, path) = (&gateway.stages[0], arrival.parts.uri.path().strip_prefix("/v1").unwrap());
        let resource = stage.resources.iter().find(|resource| resource.parameters(path).is_some()).unwrap();
        gateway.event(&arrival, stage, resource, path, resource.parameters(path).unwrap())
    }

    async fn body(answer: Answer) -> Vec<u8> {
        answer.into_body().collect().await.unwrap().to_bytes().to_vec()
    }

    #[test]
    fn literals_come_before_parameters() {
        let mut api = Template::read(&template::repository()).unwrap().apis("*").unwrap().remove(0);
        let route = |path: &str| template::Route {
            method: "get".to_owned(),
            path: path.to_owned(),
            function: path.to_owned(),
        };
        api.routes = ["/users/{id}", "/{any}/me", "/users/me", "/users/{id}/keys"].map(route).into();
        let resources = resources(&api);
        let found = |path: &str| {
            let found = resources.iter().find_map(|resource| Some((resource, resource.parameters(path)?)));
            found.map(|(resource, parameters)| (resource.functions["GET"].as_str(), Value::from(parameters)))
        };
        assert_eq!(found("/users/me"), Some(("/users/me", json!({}))));
        assert_eq!(found("/users/a%2Fb%ff"), Some(("/users/{id}", json!({"id": "a/b\u{fffd}"}))));
        assert_eq!(found("/other/me"), Some(("/{any}/me", json!({"any": "other"}))));
        assert_eq!(found("/users/7/keys"), Some(("/users/{id}/keys", json!({"id": "7"}))));
        for unknown in ["/", "/users", "/users/", "/users/me/", "/users//keys", "/users/7/keys/"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_event_is_that_of_a_rest_api() {
        let request = Request::get("/v1/products/prod_%31?a=x%20y&b=%26&a=z+%2B&c&=&&d=%zz")
            .header("Host", "localhost:9000")
            .header("User-Agent", "test")
            .header("X-Forwarded-For", "198.51.100.1")
            .header("X-Forwarded-Proto", "no such")
            .header("Accept", "a/b")
            .header("Accept", "c/d");
        let headers = json!({
            "accept": ["a/b", "c/d"],
            "host": ["localhost:9000"],
            "user-agent": ["test"],
            "x-amzn-trace-id": ["Root=1-6af43598-609c4576afa2d9a519cfbe1e"],
            "x-forwarded-for": ["198.51.100.1, 203.0.113.17"],
            "x-forwarded-port": ["9000"],
            "x-forwarded-proto": ["http"],
        });
        let event = event(request, b"");
        assert_eq!(event["multiValueHeaders"], headers);
        assert_eq!(event["headers"]["accept"], "c/d");
        let query = json!({"": [""], "a": ["x y", "z +"], "b": ["&"], "c": [""], "d": ["%zz"]});
        assert_eq!(event["multiValueQueryStringParameters"], query);
        assert_eq!(event["queryStringParameters"]["a"], "z +");
        assert_eq!(event["resource"], "/products/{product_id}");
        assert_eq!(event["path"], "/products/prod_%31");
        assert_eq!(event["pathParameters"], json!({"product_id": "prod_1"}));
        let context = &event["requestContext"];
        assert_eq!(context["path"], "/v1/products/prod_%31");
        assert_eq!(context["protocol"], "HTTP/1.1");
        assert_eq!(context["requestId"], ID);
        assert_eq!(context["requestTime"], "11/Nov/2026:09:30:00 +0000");
        assert_eq!(context["identity"]["sourceIp"], "203.0.113.17");
        assert_eq!(context["identity"]["userAgent"], "test");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&Value::Null, &json!(false)));
    }

    #[test]
    fn what_is_absent_is_null_and_what_is_no_text_is_base64() {
        let bytes =
            event(Request::post("/v1/products").header("Idempotency-Key", [0xff].as_slice()), b"\xff");
        for name in ["queryStringParameters", "multiValueQueryStringParameters", "pathParameters"] {
            assert_eq!(bytes[name], Value::Null, "{name}");
        }
        assert_eq!(bytes["headers"]["idempotency-key"], "\u{fffd}");
        assert_eq!((&bytes["body"], &bytes["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
        let text = event(Request::post("/v1/products"), "ü".as_bytes());
        assert_eq!((&text["body"], &text["isBase64Encoded"]), (&json!("ü"), &json!(false)));
    }

    #[test]
    fn a_form_comes_as_it_was_sent() {
        let form = "grant_type=refresh_token&scope=a+b&redirect_uri=https%3A%2F%2Fshop.example%2F";
        let request =
            Request::post("/v1/products").header("Content-Type", "application/x-www-form-urlencoded");
        let event = event(request, form.as_bytes());
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(form), &json!(false)));
        assert_eq!(event["headers"]["content-type"], "application/x-www-form-urlencoded");
    }

    #[test]
    fn heads_that_are_too_large_or_name_no_host_are_refused() {
        let readable = |request| is_readable(&arrival(request, b"").parts);
        assert!(readable(Request::get("/v1/health")));
        assert!(readable(Request::get("/v1/health").header("Host", "[::1]:9000")));
        for host in ["", "a b", "a/b", "a?b", "a#b", "[", "a:b"] {
            assert!(!readable(Request::get("/v1/health").header("Host", host)), "{host}");
        }
        assert!(!readable(Request::get("/v1/health").header("Host", "a").header("Host", "b")));
        assert!(!readable(Request::get("/v1/health").header("X", "x".repeat(MAX_HEAD_BYTES))));
        assert!(!readable(Request::get(format!("/v1/health?{}", "x".repeat(MAX_HEAD_BYTES)))));
    }

    #[tokio::test]
    async fn a_function_s_answer_becomes_a_response() {
        let answer = json!({
            "statusCode": 201,
            "headers": {"Content-Type": "text/plain", "Set-Cookie": "lost", "Content-Length": "7"},
            "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
            "body": "/w==",
            "isBase64Encoded": true,
        });
        let answer = response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain");
        assert_eq!(answer.headers().get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(answer.headers().get(CONTENT_LENGTH), None);
        assert_eq!(body(answer).await, [0xff]);
        let bare = response(br#"{"statusCode": 204, "cookies": [], "body": null}"#).unwrap();
        assert_eq!(bare.status(), StatusCode::NO_CONTENT);
        for none in [
            "",
            "null",
            r#"{"errorType": "E", "errorMessage": "m"}"#,
            r#"{"statusCode": 99}"#,
            r#"{"statusCode": 100}"#,
            r#"{"statusCode": 200, "headers": {"a b": "c"}}"#,
            r#"{"statusCode": 200, "headers": {"a": "b\nc"}}"#,
            r#"{"statusCode": 200, "body": "?", "isBase64Encoded": true}"#,
        ] {
            assert!(response(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[tokio::test]
    async fn pages_and_redirections_pass_unharmed() {
        let page = "<!doctype html>\n<title>Größe &amp; <b>\"</title>";
        let answer = json!({"statusCode": 200, "multiValueHeaders": {"content-type": ["text/html; charset=utf-8"]},
            "body": page, "isBase64Encoded": false});
        let answer = response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(body(answer).await, page.as_bytes());

        let away = "https://shop.example/oauth/callback?code=a%2Bb&state=%C3%BC&iss=https%3A%2F%2Fapi";
        let answer = json!({"statusCode": 303, "headers": {"location": "lost"},
            "multiValueHeaders": {"location": [away], "link": ["<a>; rel=\"next\"", "<b>; rel=\"prev\""]}});
        let answer = response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()[LOCATION]),
            (StatusCode::SEE_OTHER, &away.parse().unwrap())
        );
        assert_eq!(answer.headers().get_all(LINK).iter().count(), 2);
    }

    #[tokio::test]
    async fn clients_are_known_by_the_address_that_they_come_from() {
        let functions = Server::start(0, async |_, event| {
            let event: Value = serde_json::from_slice(&event).unwrap();
            let source = &event["requestContext"]["identity"]["sourceIp"];
            Ok(Answer::new(json!({"statusCode": 200, "body": source}).to_string().into()))
        });
        let functions = functions.await.unwrap();
        let apis = Template::read(&template::repository()).unwrap().apis("*").unwrap();
        // Listens on all addresses, so that IPv4 clients have mapped IPv6 addresses.
        let listener = TcpListener::bind("[::]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(Arc::new(Gateway::new(apis, port, &functions.url).unwrap()).serve(listener));
        for (host, address) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.2"), ("[::1]", "::1")] {
            let client = reqwest::Client::builder().no_proxy().local_address(Some(address.parse().unwrap()));
            let request = client.build().unwrap().get(format!("http://{host}:{port}/v1/health"));
            let answer = request.header("X-Forwarded-For", "198.51.100.1").send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), address);
        }
    }

    #[test]
    fn failures_of_functions_are_not_those_of_the_way_to_them() {
        let error = |kind: &str| json!({"errorType": kind, "errorMessage": "m"}).to_string();
        assert_eq!(failure(error("shared::Error").as_bytes()), Reason::Default5xx);
        assert_eq!(failure(error(EXIT_ERROR).as_bytes()), Reason::IntegrationFailure);
        assert_eq!(failure(br#"{"title": "Internal Server Error"}"#), Reason::IntegrationFailure);
        assert_eq!(failure(b""), Reason::IntegrationFailure);
    }

    #[tokio::test]
    async fn each_refusal_is_in_the_template_and_can_be_sent() {
        for (reason, status) in [
            (Reason::MissingAuthenticationToken, 404),
            (Reason::RequestTooLarge, 413),
            (Reason::Throttled, 429),
            (Reason::Default4xx, 400),
            (Reason::IntegrationFailure, 503),
            (Reason::IntegrationTimeout, 503),
            (Reason::Default5xx, 500),
        ] {
            let answer = gateway().refuse(None, reason, ID);
            assert_eq!(answer.status(), status, "{reason:?}");
            assert_eq!(answer.headers()["access-control-allow-origin"], "https://shop.example");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            let policy = "default-src 'none'; frame-ancestors 'none'";
            assert_eq!(answer.headers()["content-security-policy"], policy);
            assert_eq!(answer.headers()["x-request-id"], ID);
            let problem: Value = serde_json::from_slice(&body(answer).await).unwrap();
            assert_eq!((&problem["status"], &problem["request_id"]), (&json!(status), &json!(ID)));
        }
    }

    #[tokio::test]
    async fn only_programs_on_this_machine_invoke_functions() {
        let functions = Server::start(0, async |_, _| Ok(Answer::new("{}".into()))).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(Arc::new(Gateway::new(Vec::new(), port, &functions.url).unwrap()).serve(listener));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let invoke = async |name: &str, value: &str| {
            let url = format!("http://127.0.0.1:{port}{INVOKE_API}functions/mail-send/invocations");
            client.post(url).body("{}").header(name, value).send().await.unwrap().status()
        };
        assert_eq!(invoke("accept", "*/*").await, StatusCode::OK);
        for (name, value) in [
            ("origin", "https://evil.test"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
            ("host", "rebound.evil.test:9000"),
        ] {
            assert_ne!(invoke(name, value).await, StatusCode::OK, "{name}: {value}");
        }
    }

    #[tokio::test]
    async fn requests_without_a_function_are_answered_here() {
        let gateway = gateway();
        let answer = async |method, path| {
            let arrival = arrival(Request::builder().method(method).uri(path), b"");
            gateway.integrate(gateway.stage(path), &arrival).await
        };
        let preflight = answer("OPTIONS", "/v1/products").await.unwrap();
        assert_eq!(preflight.headers()["access-control-allow-origin"], "https://shop.example");
        assert_eq!(preflight.headers()["access-control-allow-methods"], "GET,POST,OPTIONS");
        assert_eq!(preflight.headers()["access-control-max-age"], "7200");
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/v1"),
            ("GET", "/products"),
            ("GET", "/v1products"),
            ("GET", "/v2/products"),
            ("GET", "/v1/products/"),
            ("HEAD", "/v1/products"),
            ("PUT", "/v1/products"),
            ("OPTIONS", "/v1/nothing"),
        ] {
            let refused = answer(method, path).await.unwrap_err();
            assert_eq!(refused, Reason::MissingAuthenticationToken, "{method} {path}");
        }
        // Nothing listens at the functions' address.
        assert_eq!(answer("GET", "/v1/health").await.unwrap_err(), Reason::IntegrationFailure);
    }
}
