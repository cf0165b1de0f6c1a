//! Requests of clients. Each response is checked against the contract.

use std::{collections::BTreeMap, fmt, net::IpAddr, ops::Index, sync::Arc};

use http_body_util::{BodyExt, Full};
use reqwest::{
    Method, RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{
    CONTRACT, Environment, RUNTIME, Shop,
    contract::Received,
    deployed::{Deployed, skip},
    process::{CANARY, Log},
};

/// Scopes of a role, as in a token.
pub const STAFF: &str =
    "products:write inventory:read inventory:write orders:read orders:write payments:write users:read";
pub const ADMIN: &str = "products:write inventory:read inventory:write orders:read orders:write payments:write \
                         users:read users:write clients:write audit:read orders:own profile:read account";
pub const CUSTOMER: &str = "orders:own profile:read account";

/// A request.
#[derive(Clone)]
pub struct Request {
    shop: Shop,
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    way: Way,
    address: IpAddr,
}

/// The way of a request to its function.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// HTTP to the gateway.
    Http,
    /// The gateway, without a connection, which would have an address of its own.
    Address,
    /// The gateway of the twins.
    Twin,
    /// HTTP to `cargo lambda watch`.
    Watch,
}

impl Request {
    /// Takes the path and query of a URL.
    pub(super) fn new(shop: &Shop, method: &'static str, path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty());
        let query = query.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let request = Self {
            shop: shop.clone(),
            method,
            path: path.to_owned(),
            query: query.map(|(name, value)| (percent_decoded(name), percent_decoded(value))).collect(),
            headers: Vec::new(),
            body: Vec::new(),
            way: Way::Http,
            address: [203, 0, 113, 7].into(),
        };
        request.header("User-Agent", CANARY).header("Cookie", "session=CANARY")
    }

    /// Adds a token with all scopes of staff.
    pub fn staff(self) -> Self {
        self.scoped(STAFF)
    }

    /// Adds a token with all scopes of a customer.
    pub fn customer(self) -> Self {
        self.scoped(CUSTOMER)
    }

    /// Adds a token with these scopes, of a common user.
    pub fn scoped(self, scope: &str) -> Self {
        self.caller("usr_01jd0000000000000000000000", scope)
    }

    /// Adds a token for a user with these scopes.
    pub fn caller(self, user: &str, scope: &str) -> Self {
        let token = self.shop.token(user, scope).sign(self.shop.signer());
        self.bearer(&token)
    }

    /// Adds a token, valid or not.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Adds an idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    pub fn if_match(self, etag: &str) -> Self {
        self.header("If-Match", etag)
    }

    pub fn if_none_match(self, etag: &str) -> Self {
        self.header("If-None-Match", etag)
    }

    /// Adds or replaces a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a query parameter, which is encoded later.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sets a JSON body.
    pub fn json(self, document: &Value) -> Self {
        self.body("application/json", document.to_string())
    }

    /// Sets the body of a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", form_encoded(name), form_encoded(value));
        let fields: Vec<String> = fields.iter().map(pair).collect();
        self.body("application/x-www-form-urlencoded", fields.join("&"))
    }

    /// Sets the body and its type.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media_type)
    }

    /// Sets a body without a type.
    pub fn untyped_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it to `cargo lambda watch` itself, which makes events of HTTP APIs (payload 2.0).
    pub fn through_watch(mut self) -> Self {
        self.way = Way::Watch;
        self
    }

    /// Sends it from this address.
    pub fn from(mut self, address: &str) -> Self {
        self.address = address.parse().unwrap();
        if self.way == Way::Http {
            self.way = Way::Address;
        }
        self
    }

    /// Sends it to the twin of the function.
    pub fn through_twin(mut self) -> Self {
        self.way = Way::Twin;
        self
    }

    /// Sends the request and checks the response against the contract.
    pub async fn send(self) -> Answer {
        let answer = self.try_send().await;
        answer.unwrap_or_else(|error| {
            let lines = self.shop.running.log.lines(|line| line.json()["status"].is_null());
            panic!("{self} got no answer: {error} {:#?}", &lines[lines.len().saturating_sub(20)..])
        })
    }

    /// Sends a request that may get no response.
    pub async fn try_send(&self) -> reqwest::Result<Answer> {
        let operation = CONTRACT.operation(self.method, &self.path);
        let pair = |(name, value): &(String, String)| {
            format!("{}={}", percent_encoded(name), percent_encoded(value))
        };
        let query: Vec<String> = self.query.iter().map(pair).collect();
        let path = format!("/v1{}?{}", self.path, query.join("&"));
        let path = path.trim_end_matches('?');
        let (status, headers, body) = match &self.shop.running.environment {
            Environment::Local(local) if matches!(self.way, Way::Address | Way::Twin) => {
                let gateway =
                    if self.way == Way::Twin { local.twins().gateway.clone() } else { local.gateway.clone() };
                let mut request = hyper::Request::builder().method(self.method).uri(path);
                request.headers_mut().unwrap().extend(self.header_map());
                let (parts, body) = request.body(Full::from(self.body.clone())).unwrap().into_parts();
                let source = self.address;
                let answer = RUNTIME.spawn(async move { gateway.answer(source, parts, body).await });
                let answer = answer.await.unwrap();
                let (parts, body) = answer.into_parts();
                (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
            }
            place => {
                let url = match (place, self.way) {
                    (Environment::Local(local), Way::Watch) => local.functions_url(),
                    _ => self.shop.running.url(),
                };
                let method = Method::from_bytes(self.method.as_bytes()).unwrap();
                let mut request =
                    self.shop.http.request(method, format!("{url}{path}")).headers(self.header_map());
                if let Environment::Cloud(cloud) = place {
                    request = self.to_cloud(cloud, request);
                }
                let answer = request.body(self.body.clone()).send().await?;
                (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await?.to_vec())
            }
        };

        let described = self.to_string();
        let received = Received { status, headers: &headers, body: &body };
        let checked = CONTRACT.check_answer(operation, &received);
        let text = String::from_utf8(body).expect("the body is text");
        checked.unwrap_or_else(|error| {
            panic!("{described} got {status} {text} {headers:#?}, against the contract: {error}")
        });
        if status < 300 && !self.body.is_empty() {
            let media_type =
                self.headers.iter().find(|(name, _)| name == "Content-Type").map(|(_, value)| &**value);
            let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
            let media_type = media_type.trim().to_lowercase();
            let accepted = CONTRACT.check_request(operation, &media_type, &self.body);
            accepted
                .unwrap_or_else(|error| panic!("{described} was accepted, against the contract: {error}"));
        }
        self.shop.running.log.assert_clean();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Ok(Answer {
            request: described,
            status,
            headers,
            text,
            json,
            log: Arc::clone(&self.shop.running.log),
        })
    }

    /// Adds the API key, and the address where the emulator believes it.
    fn to_cloud(&self, cloud: &Deployed, request: RequestBuilder) -> RequestBuilder {
        if self.way == Way::Twin {
            skip("a twin");
        }
        if self.headers.iter().any(|(name, _)| name == "x-forwarded-for") {
            skip("an address that a client claims, which the emulator believes");
        }
        let has_key = self.headers.iter().any(|(name, _)| name == "X-Api-Key");
        let request = if has_key { request } else { request.header("X-Api-Key", cloud.api_key()) };
        request.header("X-Forwarded-For", self.address.to_string())
    }

    fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, String)| {
            (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        self.headers.iter().map(pair).collect()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        self.query.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))?;
        let body: String = String::from_utf8_lossy(&self.body).chars().take(500).collect();
        if body.is_empty() { Ok(()) } else { write!(f, " {body}") }
    }
}

/// <https://url.spec.whatwg.org/#concept-urlencoded-serializer>
fn form_encoded(text: &str) -> String {
    percent_encoded(text).replace("%20", "+")
}

/// Decodes the fields of a form.
pub fn form_of(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (percent_decoded(name), percent_decoded(value))).collect()
}

pub(super) fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

fn percent_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A response that matches the contract.
#[derive(Clone)]
pub struct Answer {
    request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
    log: Arc<Log>,
}

impl Answer {
    /// Fails if the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails if the status is not one of these.
    #[track_caller]
    pub fn expect_any(self, allowed: &[u16]) -> Self {
        assert!(allowed.contains(&self.status), "{self:?}");
        self
    }

    /// Fails unless the response is this problem.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self["code"].as_str()), (status, Some(code)), "{self:?}");
        self
    }

    /// Fails unless exactly these fields are invalid, with these codes.
    #[track_caller]
    pub fn expect_invalid(self, expected: &[(&str, &str)]) -> Self {
        let answer = self.expect_problem(422, "validation_failed");
        let errors = answer["errors"].as_array().unwrap().iter();
        let mut found: Vec<_> = errors
            .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{answer:?}");
        answer
    }

    /// Returns a header's value.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.find_header(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn etag(&self) -> &str {
        self.header("etag")
    }

    pub fn id(&self) -> &str {
        self["id"].as_str().unwrap()
    }

    /// Returns whether the response is repeated for the same idempotency key.
    pub fn is_replayed(&self) -> bool {
        self.find_header("idempotent-replayed").is_some()
    }

    /// Returns the items of a list.
    pub fn items(&self) -> &[Value] {
        self["items"].as_array().unwrap()
    }

    /// Returns the values of a field in all items of a list.
    pub fn all(&self, field: &str) -> Vec<&str> {
        self.items().iter().map(|item| item[field].as_str().unwrap()).collect()
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.json[field]
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} got {} {}", self.request, self.status, self.text)?;
        let id = self.find_header("x-request-id").unwrap_or("no id");
        let lines = self.log.lines(|line| line.text.contains(id) || !line.text.starts_with('{'));
        lines.iter().rev().take(5).try_for_each(|line| writeln!(f, "  {}: {}", line.program, line.text))
    }
}

/// Counts the responses with a status.
pub fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Fails if a response has none of these statuses.
#[track_caller]
pub fn assert_statuses(answers: &[Answer], allowed: &[u16]) {
    assert!(answers.iter().all(|answer| allowed.contains(&answer.status)), "{answers:#?}");
}
