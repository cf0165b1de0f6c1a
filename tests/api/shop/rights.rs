//! Rights of the functions in template.yaml. The proxy checks each call of each test against them. `crate::rights` finds
//! unneeded ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use tidy::{self, Repository};

use super::proxy::{Call, Service};

use serde_json::Value;

/// An action and its resource.
type Right = (String, String);

/// Actions of Lambda with a function's role: reading its stream, and writing to its dead-letter queue.
const OF_LAMBDA: [&str; 5] = [
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "sqs:SendMessage",
];

/// Rights by function.
pub struct Rights {
    granted: BTreeMap<String, BTreeSet<Right>>,
    /// Rights that calls have needed.
    needed: Mutex<BTreeSet<(String, Right)>>,
}

impl Rights {
    /// Reads template.yaml.
    pub fn read() -> Self {
        let files = tidy::read(&template::repository()).unwrap();
        Self { granted: Repository::new(files).unwrap().rights(), needed: Mutex::default() }
    }

    /// Returns the rights that a function lacks for a call. Remembers those it has used.
    pub fn missing(&self, call: &Call) -> Vec<Right> {
        let function = call.function.trim_end_matches(super::TWIN);
        let granted = self.granted.get(function).cloned().unwrap_or_default();
        let needed = needed(call);
        let mut all_needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner);
        all_needed.extend(needed.iter().map(|right| (function.to_owned(), right.clone())));
        needed.into_iter().filter(|right| !granted.iter().any(|granted| covers(granted, right))).collect()
    }

    /// Returns rights that no call has needed yet.
    pub fn unneeded(&self) -> Vec<(String, Right)> {
        let needed = self.needed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let granted = self
            .granted
            .iter()
            .flat_map(|(function, rights)| rights.iter().map(move |right| (function, right)));
        let is_needed = |(function, granted): &(&String, &Right)| {
            let mut needed = needed.iter().filter(|(other, _)| other == *function);
            needed.any(|(_, right)| covers(granted, right))
        };
        let unneeded = granted
            .filter(|(_, (action, _))| !OF_LAMBDA.contains(&&**action))
            .filter(|right| !is_needed(right));
        unneeded.map(|(function, right)| (function.clone(), right.clone())).collect()
    }
}

/// Returns whether a right, possibly with a wildcard, includes another.
fn covers((granted, to): &Right, (action, resource): &Right) -> bool {
    let includes = to.strip_suffix('*').map_or(to == resource, |beginning| resource.starts_with(beginning));
    granted == action && includes
}

/// The sender address in template.yaml, which depends on the deployment.
const SENDER: &str = "arn:AWS::Partition:ses:AWS::Region:AWS::AccountId:identity/MailIdentity";

/// Returns the rights that a call needs:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/api-permissions-reference.html>.
fn needed(Call { service, operation, request, .. }: &Call) -> Vec<(String, String)> {
    let right = |action: &str, resource: String| (format!("dynamodb:{action}"), resource);
    let resource = |call: &Value| {
        let table = call["TableName"].as_str().unwrap_or_default().to_owned();
        call["IndexName"].as_str().map_or(table.clone(), |index| format!("{table}/index/{index}"))
    };
    let parts = |name: &str| request[name].as_array().cloned().unwrap_or_default();
    match (service, &**operation) {
        (Service::Secrets, operation) => {
            let secret = request["SecretId"].as_str().unwrap_or_default();
            vec![(format!("secretsmanager:{operation}"), secret.to_owned())]
        }
        (Service::Mail, operation) => vec![(format!("ses:{operation}"), SENDER.to_owned())],
        // Stripe knows its own keys.
        (Service::Payments, _) => Vec::new(),
        (Service::EventBridge, operation) => {
            let buses =
                parts("Entries").into_iter().map(|entry| entry["EventBusName"].as_str().map(str::to_owned));
            let buses: BTreeSet<_> = buses.map(Option::unwrap_or_default).collect();
            buses.into_iter().map(|bus| (format!("events:{operation}"), bus)).collect()
        }
        (Service::Dynamo, "BatchGetItem" | "BatchWriteItem") => {
            let tables = request["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(table, _)| right(operation, table.clone())).collect()
        }
        // A part such as {"ConditionCheck": …} needs what it would need by itself.
        (Service::Dynamo, "TransactGetItems" | "TransactWriteItems") => {
            let parts = parts("TransactItems");
            let calls = parts.iter().filter_map(Value::as_object).flatten();
            calls.map(|(kind, call)| right(&format!("{kind}Item"), resource(call))).collect()
        }
        (Service::Dynamo, operation) => vec![right(operation, resource(request))],
    }
}

#[test]
fn what_the_template_does_not_grant_is_missing() {
    let rights = Rights::read();
    let lacks = |function, operation, request: &str| {
        !rights.missing(&Call::new(Service::Dynamo, function, operation, request)).is_empty()
    };
    assert!(!lacks("products-get", "Query", r#"{"TableName": "ProductsTable"}"#));
    assert!(lacks("products-get", "Query", r#"{"TableName": "KeysTable"}"#));
    assert!(lacks("products-get", "GetItem", r#"{"TableName": "ProductsTable"}"#));
    assert!(lacks(
        "products-get",
        "Query",
        r#"{"TableName": "ProductsTable", "IndexName": "status-newest"}"#
    ));
    assert!(!lacks(
        "products-list",
        "Query",
        r#"{"TableName": "ProductsTable", "IndexName": "status-newest"}"#
    ));
    assert!(lacks("products-list", "Query", r#"{"TableName": "ProductsTable"}"#));
    assert!(lacks("products-got", "Query", r#"{"TableName": "ProductsTable"}"#));
    let transaction =
        |kind| format!(r#"{{"TransactItems": [{{"{kind}": {{"TableName": "ProductsTable"}}}}]}}"#);
    assert!(!lacks("products-create", "TransactWriteItems", &transaction("Put")));
    assert!(lacks("products-create", "TransactWriteItems", &transaction("Delete")));
    assert!(lacks("products-create", "BatchWriteItem", r#"{"RequestItems": {"ProductsTable": []}}"#));
}
