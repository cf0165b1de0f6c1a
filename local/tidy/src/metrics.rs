//! Metrics of alarms and the dashboard: AWS or the functions must emit each of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use serde_yaml_ng::Value;
use shared::telemetry::Metric;
use strum::VariantArray;

use super::{
    repository::{Repository, Template, elements},
    text::between,
};

/// The functions' namespace in the template.
const OWN: &str = "AWS::StackName";

/// Metrics of a namespace, and the sets of dimensions that AWS emits them with.
type Known = (&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

/// Known metrics of AWS. To add one, look up its dimensions:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html>.
const KNOWN: [Known; 12] = [
    (
        "AWS/ApiGateway",
        &["4XXError", "5XXError", "Count", "IntegrationLatency", "Latency"],
        &[&["ApiName"], &["ApiName", "Stage"], &["ApiName", "Method", "Resource", "Stage"]],
    ),
    (
        "AWS/Lambda",
        &["ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles"],
        &[&[], &["FunctionName"], &["FunctionName", "Resource"]],
    ),
    ("AWS/Lambda", &["ClaimedAccountConcurrency", "UnreservedConcurrentExecutions"], &[&[]]),
    (
        "AWS/Lambda",
        &["DestinationDeliveryFailures", "IteratorAge"],
        &[&["FunctionName"], &["FunctionName", "Resource"]],
    ),
    (
        "AWS/SQS",
        &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"],
        &[&["QueueName"]],
    ),
    (
        "AWS/DynamoDB",
        &[
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
        ],
        &[&["TableName"], &["GlobalSecondaryIndexName", "TableName"]],
    ),
    (
        "AWS/DynamoDB",
        &["SuccessfulRequestLatency", "SystemErrors", "ThrottledRequests"],
        &[&["Operation", "TableName"]],
    ),
    ("AWS/DynamoDB", &["ConditionalCheckFailedRequests", "TransactionConflict"], &[&["TableName"]]),
    (
        "AWS/WAFV2",
        &["AllowedRequests", "BlockedRequests", "CountedRequests"],
        &[&["Region", "Rule", "WebACL"]],
    ),
    (
        "AWS/Events",
        &["FailedInvocations", "Invocations", "MatchedEvents", "ThrottledRules", "TriggeredRules"],
        &[&["RuleName"], &["EventBusName", "RuleName"]],
    ),
    ("AWS/Logs", &["EMFParsingErrors", "EMFValidationErrors"], &[&["LogGroupName"]]),
    ("AWS/SES", &["Reputation.BounceRate", "Reputation.ComplaintRate"], &[&[]]),
];

/// A watched metric.
struct Watched {
    /// The alarm, or the dashboard.
    by: String,
    namespace: String,
    name: String,
    /// A search has no values.
    dimensions: BTreeMap<String, Option<String>>,
}

/// Every watched metric is emitted, with these dimensions and about an existing resource. Every business metric is watched.
pub fn metrics(repository: &Repository) -> Vec<String> {
    let template = &repository.template;
    let (watched, mut findings) = watched(template);
    let is_own =
        |metric: &Metric, watched: &Watched| watched.namespace == OWN && watched.name == metric.into_str();
    for metric in
        Metric::VARIANTS.iter().filter(|metric| !watched.iter().any(|watched| is_own(metric, watched)))
    {
        findings
            .push(format!("template.yaml: neither an alarm nor the dashboard watches {}", metric.into_str()));
    }
    for metric in &watched {
        let Watched { by, namespace, name, dimensions } = metric;
        let names: Vec<&str> = dimensions.keys().map(String::as_str).collect();
        if !is_emitted(namespace, name, &names) {
            findings.push(format!(
                "template.yaml: {by} watches {namespace} {name} by {names:?}, which nothing emits"
            ));
        }
        for (dimension, value) in dimensions.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
        {
            if !metric.refers(template, dimension, value) {
                findings.push(format!(
                    "template.yaml: {by} watches {name} of the {dimension} {value}, which the template does not have"
                ));
            }
        }
    }
    findings
}

fn is_emitted(namespace: &str, name: &str, dimensions: &[&str]) -> bool {
    if namespace != OWN {
        return KNOWN.iter().any(|(known, names, sets)| {
            *known == namespace && names.contains(&name) && sets.contains(&dimensions)
        });
    }
    let own = Metric::VARIANTS.iter().find(|metric| metric.into_str() == name);
    own.is_some_and(|metric| dimensions.iter().copied().eq(metric.dimension()))
}

impl Watched {
    /// Returns whether the template has the resource of a dimension's value.
    fn refers(&self, template: &Template, dimension: &str, value: &str) -> bool {
        let is = |id: &str, kind: &str| template.resource(id)["Type"] == kind;
        let one =
            |kind: &str, key: &str| template.resources(kind).any(|(_, properties)| properties[key] == value);
        let other = |name: &str| self.dimensions.get(name).and_then(Option::as_deref).unwrap_or_default();
        let functions = template.functions();
        match (self.namespace.as_str(), dimension) {
            ("AWS/ApiGateway", "ApiName") => one("AWS::Serverless::Api", "Name"),
            ("AWS/ApiGateway", "Stage") => {
                template.stages().contains(&value)
                    || value.strip_suffix(".Stage").is_some_and(|api| is(api, "AWS::Serverless::Api"))
            }
            ("AWS/ApiGateway", "Method" | "Resource") => {
                let mut routes = functions.iter().flat_map(|function| function.routes());
                routes.any(|route| (route.method, route.path) == (other("Method"), other("Resource")))
            }
            ("AWS/Lambda", "FunctionName") => functions
                .iter()
                .any(|function| function.id == value || function.properties["FunctionName"] == value),
            ("AWS/Lambda", "Resource") => value.rsplit_once(':').is_some_and(|(function, alias)| {
                plain(function) == other("FunctionName") && template.globals()["AutoPublishAlias"] == alias
            }),
            ("AWS/SQS", "QueueName") => {
                value.strip_suffix(".QueueName").is_some_and(|id| is(id, "AWS::SQS::Queue"))
            }
            ("AWS/DynamoDB", "TableName") => is(value, "AWS::DynamoDB::Table"),
            ("AWS/DynamoDB", "GlobalSecondaryIndexName") => {
                let table = &template.resource(other("TableName"))["Properties"];
                elements(&table["GlobalSecondaryIndexes"]).any(|index| index["IndexName"] == value)
            }
            ("AWS/DynamoDB", "Operation") => {
                let mut statements = functions.iter().flat_map(|function| function.statements());
                let action = format!("dynamodb:{value}");
                let transaction = ["TransactWriteItems", "TransactGetItems"].contains(&value);
                transaction
                    || statements.any(|statement| elements(&statement["Action"]).any(|a| *a == action))
            }
            ("AWS/WAFV2", "Region") => value == "AWS::Region",
            ("AWS/WAFV2", "WebACL" | "Rule") => {
                let acls = template.resources("AWS::WAFv2::WebACL").map(|(_, acl)| acl);
                let configured = acls
                    .flat_map(|acl| elements(&acl["Rules"]).chain([acl]))
                    .map(|of| &of["VisibilityConfig"]);
                let mut names = configured.map(|config| &config["MetricName"]);
                (dimension == "Rule" && value == "ALL") || names.any(|name| name == value)
            }
            ("AWS/Events", "EventBusName") => is(value, "AWS::Events::EventBus"),
            ("AWS/Events", "RuleName") => {
                is(value, "AWS::Events::Rule") || {
                    // SAM makes a rule of each schedule.
                    functions.iter().any(|function| {
                        let event = value.strip_prefix(function.id).unwrap_or_default();
                        function.properties["Events"][event]["Type"] == "Schedule"
                    })
                }
            }
            ("AWS/Logs", "LogGroupName") => is(value, "AWS::Logs::LogGroup"),
            _ => false,
        }
    }
}

/// Returns all watched metrics, and findings about unreadable ones.
fn watched(template: &Template) -> (Vec<Watched>, Vec<String>) {
    let (mut watched, mut findings) = (Vec::new(), Vec::new());
    for (id, alarm) in template.resources("AWS::CloudWatch::Alarm") {
        let several: Vec<&Value> = elements(&alarm["Metrics"]).collect();
        let stats = several.iter().map(|one| &one["MetricStat"]["Metric"]);
        watched.extend(stats.chain([alarm]).filter_map(|metric| of_alarm(id, metric)));
        for expression in several.iter().filter_map(|one| one["Expression"].as_str()) {
            of_expression(id, expression, &mut watched, &mut findings);
        }
    }
    for (id, dashboard) in template.resources("AWS::CloudWatch::Dashboard") {
        let body = &dashboard["DashboardBody"];
        // !Sub, of a text or of a text and its variables.
        let body = body.as_str().or(elements(body).next().and_then(Value::as_str)).unwrap_or_default();
        let Ok(body) = serde_json::from_str::<Json>(body) else {
            findings.push(format!("template.yaml: the body of {id} is no JSON"));
            continue;
        };
        for widget in list(&body["widgets"]) {
            let mut before = Vec::new();
            for metric in list(&widget["properties"]["metrics"]) {
                let mut parts = list(metric).to_vec();
                let options = parts.pop_if(|last| last.is_object());
                if let Some(expression) = options.as_ref().and_then(|options| options["expression"].as_str())
                {
                    of_expression(id, expression, &mut watched, &mut findings);
                    continue;
                }
                let parts = written_out(parts.iter().filter_map(Json::as_str), &before);
                watched.extend(of_dashboard(id, &parts));
                before = parts;
            }
        }
    }
    (watched, findings)
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Returns the metric of an alarm or of a part of it.
fn of_alarm(id: &str, metric: &Value) -> Option<Watched> {
    let dimension = |dimension: &Value| {
        Some((dimension["Name"].as_str()?.to_owned(), Some(plain(dimension["Value"].as_str()?))))
    };
    Some(Watched {
        by: id.to_owned(),
        namespace: plain(metric["Namespace"].as_str()?),
        name: metric["MetricName"].as_str()?.to_owned(),
        dimensions: elements(&metric["Dimensions"]).filter_map(dimension).collect(),
    })
}

/// Parses a dashboard metric: namespace, name, then names and values of dimensions.
fn of_dashboard(id: &str, parts: &[String]) -> Option<Watched> {
    let (namespace, name) = (plain(parts.first()?), parts.get(1)?.clone());
    let pairs = parts[2..].chunks(2).map(|pair| (pair[0].clone(), pair.get(1).map(|value| plain(value))));
    Some(Watched { by: id.to_owned(), namespace, name, dimensions: pairs.collect() })
}

/// Expands a dashboard metric: `.` repeats an element, `...` repeats all missing ones.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html>.
fn written_out<'p>(parts: impl Iterator<Item = &'p str>, before: &[String]) -> Vec<String> {
    let parts: Vec<&str> = parts.collect();
    let mut all = Vec::new();
    for part in &parts {
        match *part {
            "..." => {
                let until = before.len().saturating_sub(parts.len() - 1);
                all.extend(before.iter().take(until).skip(all.len()).cloned());
            }
            "." => all.push(before.get(all.len()).cloned().unwrap_or_default()),
            part => all.push(part.to_owned()),
        }
    }
    all
}

/// Returns the metrics of a search expression, as in
/// `SEARCH('{AWS/Lambda,FunctionName} MetricName="Errors"', 'Sum', 300)`.
fn of_expression(id: &str, expression: &str, watched: &mut Vec<Watched>, findings: &mut Vec<String>) {
    if expression.contains("SELECT ") {
        findings.push(format!(
            "template.yaml: {id} asks by SELECT, which can't be followed here: name its metrics"
        ));
    }
    let expression = between(expression, "${", "}")
        .into_iter()
        .fold(expression.to_owned(), |text, name| text.replace(&format!("${{{name}}}"), name));
    for search in between(&expression, "SEARCH('", "'") {
        let schema = search.strip_prefix('{').and_then(|search| search.split_once('}'));
        let Some((schema, terms)) = schema else {
            findings
                .push(format!("template.yaml: {id} searches without a namespace and dimensions in braces"));
            continue;
        };
        let names: BTreeSet<&str> = between(terms, "MetricName=\"", "\"").into_iter().collect();
        if names.is_empty() {
            findings.push(format!("template.yaml: {id} searches without a MetricName"));
        }
        let mut schema = schema.split(',').map(|name| name.trim().trim_matches('"'));
        let namespace = schema.next().unwrap_or_default().to_owned();
        let dimensions: BTreeMap<_, _> = schema.map(|name| (name.to_owned(), None)).collect();
        watched.extend(names.into_iter().map(|name| Watched {
            by: id.to_owned(),
            namespace: namespace.clone(),
            name: name.to_owned(),
            dimensions: dimensions.clone(),
        }));
    }
}

/// Returns the `X` of `${X}`, which `!Ref X` and `!GetAtt X` read as. Other text stays unchanged.
fn plain(text: &str) -> String {
    let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
    inner.filter(|inner| !inner.contains('}')).unwrap_or(text).to_owned()
}
