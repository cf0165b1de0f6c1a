//! What template.yaml lets each function do. The proxy holds every call that any test provokes against it: a right that
//! is missing shows here, and not in the cloud.

use std::collections::{BTreeMap, BTreeSet};

use local::tidy::{self, Repository};
use serde_json::Value;

use super::proxy::{Call, Service};

/// Actions and the resources that they may be done to, by the names of the functions.
pub struct Rights(BTreeMap<String, BTreeSet<(String, String)>>);

impl Rights {
    /// Reads them.
    pub fn read() -> Self {
        let files = tidy::read(&local::repository()).unwrap();
        Self(Repository::new(files).unwrap().rights())
    }

    /// What a function lacks for a call.
    pub fn missing(&self, call: &Call) -> Vec<(String, String)> {
        let granted = self.0.get(call.function.trim_end_matches(super::TWIN)).cloned().unwrap_or_default();
        let allows = |(action, resource): &(String, String)| {
            granted.iter().any(|(granted, to)| granted == action && covers(to, resource))
        };
        needed(call).into_iter().filter(|right| !allows(right)).collect()
    }
}

/// What a call needs:
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
        // Which sender's name may be used depends on what is deployed, and Stripe knows its own keys.
        (Service::Mail | Service::Payments, _) => Vec::new(),
        (Service::Bus, operation) => {
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

/// Whether a right to `granted`, perhaps with a star at its end, is one to `resource`.
fn covers(granted: &str, resource: &str) -> bool {
    granted.strip_suffix('*').map_or(granted == resource, |beginning| resource.starts_with(beginning))
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
