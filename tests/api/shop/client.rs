//! Requests as a client of the shop makes them, and the answers, each held against the contract.

use std::{collections::BTreeMap, fmt, ops::Index, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};

use super::{
    CONTRACT, Place, Shop,
    contract::{Operation, Received},
    deployed::{is_deployed, skip},
    process::{CANARY, Log},
    unique_user,
};

/// All scopes of a role, as tokens carry them.
pub const STAFF: &str =
    "products:write inventory:read inventory:write orders:read orders:write payments:write users:read";
pub const ADMIN: &str = "products:write inventory:read inventory:write orders:read orders:write payments:write \
                         users:read users:write clients:write orders:own profile:read account";
pub const CUSTOMER: &str = "orders:own profile:read account";

/// A request in the making.
#[derive(Clone)]
pub struct Request {
    shop: Shop,
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    through_rest: bool,
    to_twin: bool,
    address: String,
}

impl Request {
    /// `path` as it stands in a URL, with the query.
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
            through_rest: false,
            to_twin: false,
            address: "203.0.113.7".to_owned(),
        };
        request.header("User-Agent", CANARY).header("Cookie", "session=CANARY")
    }

    /// With a token that has all scopes of the staff.
    pub fn staff(self) -> Self {
        self.scoped(STAFF)
    }

    /// With a token that has all scopes of a customer.
    pub fn customer(self) -> Self {
        self.scoped(CUSTOMER)
    }

    /// With a token that has these scopes, of a user whom all requests share.
    pub fn scoped(self, scope: &str) -> Self {
        self.caller("usr_01jd0000000000000000000000", scope)
    }

    /// With a token for this user with these scopes.
    pub fn caller(self, user: &str, scope: &str) -> Self {
        let token = self.shop.token(user, scope).sign(self.shop.signer());
        self.bearer(&token)
    }

    /// With this token, whatever it is.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With this idempotency key.
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    pub fn if_match(self, etag: &str) -> Self {
        self.header("If-Match", etag)
    }

    pub fn if_none_match(self, etag: &str) -> Self {
        self.header("If-None-Match", etag)
    }

    /// With this header, in place of one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this parameter, not encoded yet.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    /// With this document as its body.
    pub fn json(self, document: &Value) -> Self {
        self.body("application/json", document.to_string())
    }

    /// With these fields, as a browser sends a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| format!("{}={}", form_encoded(name), form_encoded(value));
        let fields: Vec<String> = fields.iter().map(pair).collect();
        self.body("application/x-www-form-urlencoded", fields.join("&"))
    }

    /// With this body.
    pub fn body(mut self, media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", media_type)
    }

    /// With this body, and nothing that says what it is.
    pub fn untyped_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sent as the event that API Gateway REST makes of it, straight to the function.
    pub fn through_rest(mut self) -> Self {
        self.through_rest = true;
        self
    }

    /// From this address. Only the event of API Gateway tells a function where a request comes from.
    pub fn from(mut self, address: &str) -> Self {
        self.address = address.to_owned();
        self.through_rest()
    }

    /// To the twin of the function.
    pub fn through_twin(mut self) -> Self {
        self.to_twin = true;
        self.through_rest()
    }

    /// Sends it, and holds the answer against the contract.
    pub async fn send(self) -> Answer {
        let answer = self.try_send().await;
        answer.unwrap_or_else(|error| {
            let lines = self.shop.running.log.lines(|line| line.json()["status"].is_null());
            panic!("{self} got no answer: {error} {:#?}", &lines[lines.len().saturating_sub(20)..])
        })
    }

    /// Sends it, although there may be no answer.
    pub async fn try_send(&self) -> reqwest::Result<Answer> {
        let (operation, parameters) = CONTRACT.operation(self.method, &self.path);
        // What is deployed makes its events itself.
        let (status, headers, body) = if self.through_rest && !is_deployed() {
            let event = self.rest_event(operation, &parameters.into_iter().collect());
            unfold(&match self.to_twin {
                true => self.shop.invoke_twin(&operation.function, &event).await,
                false => self.shop.invoke(&operation.function, &event).await,
            })
        } else {
            let pair = |(name, value): &(String, String)| {
                format!("{}={}", percent_encoded(name), percent_encoded(value))
            };
            let query: Vec<String> = self.query.iter().map(pair).collect();
            let url = format!("{}/v1{}?{}", self.shop.running.url(), self.path, query.join("&"));
            let method = Method::from_bytes(self.method.as_bytes()).unwrap();
            let request =
                self.shop.http.request(method, url.trim_end_matches('?')).headers(self.header_map());
            let request = match &self.shop.running.place {
                Place::Here(_) => request,
                Place::Deployed(_) if self.to_twin => skip("a twin"),
                // Where the emulator takes it from that a request comes from elsewhere.
                Place::Deployed(cloud) => {
                    if self.headers.iter().any(|(name, _)| name == "x-forwarded-for") {
                        skip("an address that a client claims, which the emulator believes");
                    }
                    let has_key = self.headers.iter().any(|(name, _)| name == "X-Api-Key");
                    let request =
                        if has_key { request } else { request.header("X-Api-Key", cloud.api_key()) };
                    request.header("X-Forwarded-For", &self.address)
                }
            };
            let answer = request.body(self.body.clone()).send().await?;
            (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await?.to_vec())
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

    fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, String)| {
            (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        self.headers.iter().map(pair).collect()
    }

    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>
    fn rest_event(&self, operation: &Operation, parameters: &BTreeMap<String, String>) -> Value {
        let nothing_as_null = |object: Value| if object == json!({}) { Value::Null } else { object };
        let one: BTreeMap<_, _> = self.query.iter().cloned().collect();
        let many = |pairs: &[(String, String)]| {
            let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
            pairs.iter().for_each(|(name, value)| all.entry(name.clone()).or_default().push(value.clone()));
            nothing_as_null(json!(all))
        };
        let text = String::from_utf8(self.body.clone());
        let (body, is_base64) = match (&text, self.body.is_empty()) {
            (_, true) => (Value::Null, false),
            (Ok(text), _) => (json!(text), false),
            (Err(_), _) => (json!(BASE64_STANDARD.encode(&self.body)), true),
        };
        json!({
            "resource": operation.path,
            "path": self.path,
            "httpMethod": self.method,
            "headers": self.headers.iter().cloned().collect::<BTreeMap<_, _>>(),
            "multiValueHeaders": many(&self.headers),
            "queryStringParameters": nothing_as_null(json!(one)),
            "multiValueQueryStringParameters": many(&self.query),
            "pathParameters": nothing_as_null(json!(parameters)),
            "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "a1b2c3d4e5",
                "domainName": "api.shop.test",
                "domainPrefix": "api",
                "extendedRequestId": "ExtendedRequestId=",
                "httpMethod": self.method,
                "identity": {"sourceIp": self.address, "userAgent": "CANARY-agent"},
                "path": format!("/v1{}", self.path),
                "protocol": "HTTP/1.1",
                "requestId": format!("gateway-{}", unique_user()),
                "requestTime": "23/Nov/2025:09:00:00 +0000",
                "requestTimeEpoch": 1_763_888_400_000_u64,
                "resourceId": "abc123",
                "resourcePath": operation.path,
                "stage": "v1",
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
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

/// The fields of a form, read as a browser wrote them.
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

/// Takes apart what a function answers to API Gateway.
fn unfold(answer: &Value) -> (u16, HeaderMap, Vec<u8>) {
    let status = answer["statusCode"].as_u64().unwrap_or_else(|| panic!("the function failed: {answer}"));
    let mut headers = HeaderMap::new();
    let none = Map::new();
    for (name, value) in answer["headers"].as_object().unwrap_or(&none) {
        headers.insert(HeaderName::try_from(name).unwrap(), value.as_str().unwrap().parse().unwrap());
    }
    for (name, values) in answer["multiValueHeaders"].as_object().unwrap_or(&none) {
        let name = HeaderName::try_from(name).unwrap();
        headers.remove(&name);
        for value in values.as_array().unwrap() {
            headers.append(&name, value.as_str().unwrap().parse().unwrap());
        }
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"] == true {
        true => BASE64_STANDARD.decode(body).unwrap(),
        false => body.as_bytes().to_vec(),
    };
    (u16::try_from(status).unwrap(), headers, body)
}

/// An answer that keeps the contract.
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
    /// Fails with all that is known where the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Fails where the answer has another status than one of those that may be.
    #[track_caller]
    pub fn expect_any(self, allowed: &[u16]) -> Self {
        assert!(allowed.contains(&self.status), "{self:?}");
        self
    }

    /// Fails where this is not the problem that was expected.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self["code"].as_str()), (status, Some(code)), "{self:?}");
        self
    }

    /// Fails where these are not the fields found invalid, each with its code.
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

    /// A header's value.
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

    /// Whether the answer had been given before.
    pub fn is_replayed(&self) -> bool {
        self.find_header("idempotent-replayed").is_some()
    }

    /// The elements of a list.
    pub fn items(&self) -> &[Value] {
        self["items"].as_array().unwrap()
    }

    /// The values of one field, of all elements of a list.
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

/// How many answers have that status.
pub fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Fails where an answer has another status than one of those that may be.
#[track_caller]
pub fn assert_statuses(answers: &[Answer], allowed: &[u16]) {
    assert!(answers.iter().all(|answer| allowed.contains(&answer.status)), "{answers:#?}");
}
