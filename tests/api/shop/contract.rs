//! The contract, openapi.json. Each response to any test is checked against it: an undeclared status, header or field fails
//! the test.

use std::{
    collections::HashMap,
    fs,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};

/// The current contract.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

/// Headers of the transport.
const TRANSPORT: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "date",
    "lambda-runtime-aws-request-id",
    "transfer-encoding",
    "x-amz-request-id",
    "x-amzn-errortype",
    "x-amzn-requestid",
];

/// Returns whether a header differs in each response.
pub fn differs_each_time(name: &HeaderName) -> bool {
    ["date", "x-amz-request-id", "x-amzn-requestid", "x-request-id"].contains(&name.as_str())
}

pub struct Contract {
    document: Value,
    operations: Vec<Operation>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// A declared operation.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: String,
    /// Path with parameters in braces.
    pub path: String,
    /// Scopes, one of which the token must have.
    pub scopes: Vec<String>,
    /// True if a token is optional.
    pub public: bool,
    declared: Value,
}

/// A response.
pub struct Received<'a> {
    pub status: u16,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Contract {
    fn read() -> Self {
        let text = fs::read_to_string(template::repository().join("openapi.json")).unwrap();
        Self::of(serde_json::from_str(&text).unwrap())
    }

    /// Parses an OpenAPI document.
    pub fn of(document: Value) -> Self {
        let methods = |(path, item): (&String, &Value)| {
            let path = path.clone();
            let operations = item.as_object().unwrap().clone().into_iter();
            operations.filter(|(_, declared)| declared.get("operationId").is_some()).map(
                move |(method, declared)| {
                    let security = declared["security"].as_array().cloned().unwrap_or_default();
                    let scopes = security.iter().filter_map(|way| way["accessToken"][0].as_str());
                    let scopes = scopes.map(str::to_owned).collect();
                    let public = security.is_empty() || security.contains(&json!({}));
                    let id = declared["operationId"].as_str().unwrap().to_owned();
                    Operation {
                        id,
                        method: method.to_uppercase(),
                        path: path.clone(),
                        scopes,
                        public,
                        declared,
                    }
                },
            )
        };
        let operations = document["paths"].as_object().unwrap().iter().flat_map(methods).collect();
        Self { document, operations, validators: Mutex::default() }
    }

    /// Returns all operations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Returns the operation of a request.
    pub fn operation(&self, method: &str, path: &str) -> &Operation {
        let found = self.operations.iter().filter(|operation| operation.method == method);
        // Fewest parameters first: `/users/me` is not a `/users/{user_id}`.
        let found = found.filter_map(|operation| Some((operation, parameters(&operation.path, path)?)));
        let found = found.min_by_key(|(_, parameters)| *parameters).map(|(operation, _)| operation);
        found.unwrap_or_else(|| panic!("the contract has no operation {method} {path}"))
    }

    /// Returns how a response differs from the contract.
    pub fn check_answer(&self, operation: &Operation, received: &Received) -> Result<(), String> {
        let Received { status, headers, body } = *received;
        let declared = &operation.declared["responses"][status.to_string()];
        if declared.is_null() {
            return Err(format!("the status {status} is not declared"));
        }
        let declared = self.follow(declared);
        self.check_headers(declared, headers)?;

        let Some(content) = declared["content"].as_object() else {
            return if body.is_empty() { Ok(()) } else { Err("a body is not declared".to_owned()) };
        };
        let media_type = media_type(headers);
        let schema =
            &content.get(media_type).ok_or(format!("the content type {media_type} is not declared"))?;
        let body = parsed(media_type, body)?;
        self.check(&schema["schema"], &body)?;
        if media_type == "application/problem+json" { check_problem(status, headers, &body) } else { Ok(()) }
    }

    /// Returns how an accepted request differs from the contract.
    pub fn check_request(&self, operation: &Operation, media_type: &str, body: &[u8]) -> Result<(), String> {
        let Some(content) = operation.declared["requestBody"]["content"].as_object() else {
            return Ok(());
        };
        let declared =
            content.get(media_type).ok_or(format!("the content type {media_type} is not declared"))?;
        self.check(&declared["schema"], &parsed(media_type, body)?)
    }

    fn check_headers(&self, response: &Value, headers: &HeaderMap) -> Result<(), String> {
        let none = serde_json::Map::new();
        let declared = response["headers"].as_object().unwrap_or(&none);
        let is_declared = |name: &str| declared.keys().any(|declared| declared.eq_ignore_ascii_case(name));
        let undeclared = headers.keys().map(|name| name.as_str());
        let undeclared: Vec<_> =
            undeclared.filter(|name| !TRANSPORT.contains(name) && !is_declared(name)).collect();
        if !undeclared.is_empty() {
            return Err(format!("the headers {undeclared:?} are not declared"));
        }
        for (name, declared) in declared {
            let declared = self.follow(declared);
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (Some(value), None) => {
                    let value = value.to_str().map_err(|error| format!("{name}: {error}"))?;
                    self.check(&declared["schema"], &json!(value))
                        .map_err(|error| format!("{name}: {error}"))?;
                }
                (Some(_), Some(_)) => return Err(format!("the header {name} comes more than once")),
                (None, _) if declared["required"] == true => {
                    return Err(format!("the header {name} is missing"));
                }
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator =
            Arc::clone(self.validators.lock().unwrap().entry(schema.to_string()).or_insert_with(|| {
                let mut whole = schema.clone();
                whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
                whole["components"] = self.document["components"].clone();
                let validator = jsonschema::options().should_validate_formats(true).build(&whole);
                Arc::new(validator.unwrap_or_else(|error| panic!("{schema} is no schema: {error}")))
            }));
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| format!("{} at {:?}", error, error.instance_path().to_string()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }
}

/// Parses a body by its media type.
fn parsed(media_type: &str, body: &[u8]) -> Result<Value, String> {
    match media_type {
        "text/html" => {
            Ok(json!(str::from_utf8(body).map_err(|error| format!("the body is not UTF-8: {error}"))?))
        }
        "application/x-www-form-urlencoded" => Ok(json!(super::client::form_of(body))),
        _ => serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}")),
    }
}

/// Checks what the schemas of a problem cannot express (RFC 9457).
fn check_problem(status: u16, headers: &HeaderMap, problem: &Value) -> Result<(), String> {
    let code = problem["code"].as_str().unwrap_or_default();
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let expectations = [
        (problem["status"] == status, "its status is not the answer's"),
        (problem["type"] == format!("urn:problem-type:lambda-shop:{code}"), "its type is not its code's"),
        // One that comes again is about the first request.
        (
            headers.contains_key("idempotent-replayed") || problem["request_id"].as_str() == request_id,
            "its request id is not the header's",
        ),
        // A signature is no way of authentication that the header could name.
        (
            status != 401 || code == "invalid_signature" || headers.contains_key("www-authenticate"),
            "WWW-Authenticate is missing",
        ),
        (headers["cache-control"] == "private, no-store", "it may be cached"),
    ];
    let broken = expectations.iter().find(|(holds, _)| !holds);
    let text = problem.to_string();
    let leaks = ["PLANTED", "dynamodb", "DynamoDB", "aws_", "Exception", "panicked", ".rs"];
    let leak = leaks.iter().find(|leak| text.contains(**leak));
    match (broken, leak) {
        (Some((_, broken)), _) => Err(format!("the problem is wrong: {broken}")),
        (None, Some(leak)) => Err(format!("the problem tells of {leak}")),
        (None, None) => Ok(()),
    }
}

/// Returns the media type without parameters.
pub fn media_type(headers: &HeaderMap) -> &str {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Counts the parameters in a path that matches the template.
fn parameters(template: &str, path: &str) -> Option<usize> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let is_parameter = |part: &&&str| part.starts_with('{');
    let matches = |(template, part): (&&str, &&str)| is_parameter(&template) || template == part;
    let fits = template.len() == path.len() && template.iter().zip(&path).all(matches);
    fits.then(|| template.iter().filter(is_parameter).count())
}
