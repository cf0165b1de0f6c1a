//! What template.yaml lets each function do. The proxy holds every call that any test provokes against it: a right that
//! is missing shows here, and not in the cloud. One that nothing needs shows in the target `rights`, which reads what is
//! written down here.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::File,
    io::Write,
    sync::{LazyLock, Mutex},
};

use local::tidy::{self, Repository};
use serde_json::Value;
use shared::telemetry;

use super::proxy::{Call, Service};
use crate::used::{self, covers};

/// The rights that calls have needed so far, where they are written down: in a run of all tests.
static NEEDED: LazyLock<Option<Mutex<Needed>>> = LazyLock::new(|| {
    all_tests(env::args().skip(1)).then(|| {
        let mut file = File::create(used::path()).unwrap();
        writeln!(file, "{}", telemetry::now().as_millis()).unwrap();
        Mutex::new(Needed { file, rights: BTreeSet::new() })
    })
});

struct Needed {
    file: File,
    rights: BTreeSet<String>,
}

/// Whether all tests are run that there are, by the arguments of libtest that leave none out.
fn all_tests(arguments: impl Iterator<Item = String>) -> bool {
    let harmless = ["--color=", "--format=", "--nocapture", "--no-capture", "--quiet", "-q", "--show-output"];
    let mut arguments =
        arguments.filter(|argument| !harmless.iter().any(|known| argument.starts_with(known)));
    while let Some(argument) = arguments.next() {
        let threads = argument.strip_prefix("--test-threads");
        if threads.is_none() || (threads == Some("") && arguments.next().is_none()) {
            return false;
        }
    }
    true
}

/// Actions and the resources that they may be done to, by the names of the functions.
pub struct Rights(BTreeMap<String, BTreeSet<(String, String)>>);

impl Rights {
    /// Reads them.
    pub fn read() -> Self {
        let files = tidy::read(&local::repository()).unwrap();
        Self(Repository::new(files).unwrap().rights())
    }

    /// What a function lacks for a call, which it is about to make.
    pub fn missing(&self, call: &Call) -> Vec<(String, String)> {
        let function = call.function.trim_end_matches(super::TWIN);
        let granted = self.0.get(function).cloned().unwrap_or_default();
        let allows = |(action, resource): &(String, String)| {
            granted.iter().any(|(granted, to)| granted == action && covers(to, resource))
        };
        let needed = needed(call);
        if let Some(record) = &*NEEDED {
            let mut record = record.lock().unwrap();
            for (action, resource) in &needed {
                let right = format!("{function} {action} {resource}");
                if record.rights.insert(right.clone()) {
                    writeln!(record.file, "{right}").unwrap();
                }
            }
        }
        needed.into_iter().filter(|right| !allows(right)).collect()
    }
}

/// In whose name mails may be sent, as the template says it: who that is depends on what is deployed.
const SENDER: &str = "arn:AWS::Partition:ses:AWS::Region:AWS::AccountId:identity/MailIdentity";

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
        (Service::Mail, operation) => vec![(format!("ses:{operation}"), SENDER.to_owned())],
        // Stripe knows its own keys.
        (Service::Payments, _) => Vec::new(),
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

#[test]
fn a_run_is_of_all_tests_unless_its_arguments_leave_some_out() {
    let all = |arguments: &str| all_tests(arguments.split_whitespace().map(str::to_owned));
    for arguments in
        ["", "--nocapture", "--test-threads 4", "--test-threads=1 -q", "--color=always --show-output"]
    {
        assert!(all(arguments), "{arguments}");
    }
    for arguments in
        ["i04", "--nocapture once::", "--skip outages", "--ignored", "--test-threads 4 cost", "--list"]
    {
        assert!(!all(arguments), "{arguments}");
    }
}
