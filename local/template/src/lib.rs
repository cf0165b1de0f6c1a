//! template.yaml: its APIs, tables, event source mappings, schedules and secrets, as far as `cargo shop` needs them.

pub mod filter;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Map, json};
use serde_yaml_ng::{Mapping, Value};

use filter::Filter;

/// Returns the root of the repository that this was built from.
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// The template. Short forms of functions that are not evaluated here, such as `!GetAtt X.Arn`, become their text.
pub struct Template(Value);

/// The template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("{0} cannot be read ({1}): run this in a complete clone of the repository")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is not valid YAML ({1}): correct it there")]
    Yaml(PathBuf, #[source] serde_yaml_ng::Error),
    #[error("template.yaml: {0} cannot be used ({1}): correct it there")]
    Resource(String, String),
}

/// A DynamoDB table.
#[derive(Debug)]
pub struct Table {
    /// Its logical id, which `!Ref` returns, and which is its name on this machine.
    pub name: String,
    /// The `CreateTable` request.
    pub definition: serde_json::Value,
    /// The attribute of the time to live.
    pub expires_by: Option<String>,
}

/// An event source mapping of a table's stream.
#[derive(Clone, Debug)]
pub struct Source {
    pub function: String,
    pub table: String,
    /// Maximum records per invocation.
    pub batch_size: usize,
    /// True for `TRIM_HORIZON`, false for `LATEST`.
    pub from_the_beginning: bool,
    /// Retries of a batch before it becomes a dead letter, or `None` for no limit.
    pub retries: Option<u32>,
    /// True for `BisectBatchOnFunctionError`.
    pub bisects: bool,
    /// True for `ReportBatchItemFailures`.
    pub reports_failures: bool,
    /// Alternative filters. None accepts all records.
    pub filters: Vec<Filter>,
}

/// A schedule that invokes a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub function: String,
    pub every: Duration,
}

/// A secret.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its logical id, which is its name and ARN on this machine.
    pub name: String,
    /// Its initial value.
    pub value: String,
    pub rotation: Option<Rotation>,
}

/// The rotation of a secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    pub function: String,
    /// Interval in days.
    pub days: u32,
}

/// A version of the API.
#[derive(Debug)]
pub struct Api {
    /// Name of the stage, the first segment of all paths.
    pub stage: String,
    pub routes: Vec<Route>,
    pub cors: Cors,
    /// Gateway responses, by API Gateway's name of the reason.
    pub refusals: BTreeMap<String, Refusal>,
}

/// A route of the API.
#[derive(Debug)]
pub struct Route {
    pub method: String,
    /// The path below the stage, with parameters in braces.
    pub path: String,
    pub function: String,
}

/// Values of the headers of a preflight response.
#[derive(Debug)]
pub struct Cors {
    pub origin: String,
    pub headers: String,
    /// Seconds.
    pub max_age: String,
}

/// A gateway response.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    /// Strings in quotes, or `context.requestId`.
    pub headers: BTreeMap<String, String>,
    /// The body, with `$context.requestId` for the request id.
    pub body: String,
}

/// Parses YAML and expands `Fn::ForEach` and `Fn::FindInMap` like CloudFormation's transform AWS::LanguageExtensions, as far
/// as template.yaml uses them: no nested loops.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-languageextensions.html>
///
/// # Errors
/// `text` is not valid YAML.
pub fn parse(text: &str) -> Result<Value, serde_yaml_ng::Error> {
    let document: Value = serde_yaml_ng::from_str(text)?;
    Ok(expand(&document, &document["Mappings"], None))
}

/// A loop's variable and its current item.
type Item<'d> = Option<(&'d str, &'d str)>;

fn expand(value: &Value, mappings: &Value, item: Item) -> Value {
    match value {
        Value::Sequence(values) => values.iter().map(|value| expand(value, mappings, item)).collect(),
        Value::Mapping(mapping) => {
            let mut expanded = Mapping::new();
            for (key, value) in mapping {
                if let Some((variable, items, body)) = repetition(key, value) {
                    for item in items.map(|item| Some((variable, item))) {
                        let body = body.iter().map(|(key, value)| (key.as_str().unwrap_or_default(), value));
                        expanded.extend(body.map(|(key, value)| {
                            (Value::from(fill_in(key, item)), expand(value, mappings, item))
                        }));
                    }
                } else if key == "Ref" && mapping.len() == 1 {
                    return call("!Ref", expand(value, mappings, item), mappings, item);
                } else {
                    expanded.insert(key.clone(), expand(value, mappings, item));
                }
            }
            expanded.into()
        }
        Value::Tagged(function) => {
            call(&function.tag.to_string(), expand(&function.value, mappings, item), mappings, item)
        }
        plain => plain.clone(),
    }
}

/// Parses a `Fn::ForEach` entry into the loop's variable, items and body.
fn repetition<'d>(
    key: &Value,
    value: &'d Value,
) -> Option<(&'d str, impl Iterator<Item = &'d str>, &'d Mapping)> {
    key.as_str()?.strip_prefix("Fn::ForEach::")?;
    let [variable, items, body] = value.as_sequence()?.as_slice() else { return None };
    Some((variable.as_str()?, items.as_sequence()?.iter().filter_map(Value::as_str), body.as_mapping()?))
}

/// Evaluates a function. One that is unknown here, such as `!GetAtt`, returns its argument.
fn call(function: &str, argument: Value, mappings: &Value, item: Item) -> Value {
    match (function, item, &argument) {
        ("!Ref", Some((variable, item)), Value::String(name)) if name == variable => item.into(),
        ("!Sub", _, Value::String(text)) => fill_in(text, item).into(),
        ("!FindInMap", _, Value::Sequence(keys)) => {
            keys.iter().fold(mappings, |value, key| &value[key]).clone()
        }
        ("!Join", _, Value::Sequence(parts)) if parts.len() == 2 => {
            let texts = parts[1].as_sequence().into_iter().flatten().filter_map(Value::as_str);
            texts.collect::<Vec<_>>().join(parts[0].as_str().unwrap_or_default()).into()
        }
        _ => argument,
    }
}

fn fill_in(text: &str, item: Item) -> String {
    item.map_or_else(|| text.to_owned(), |(variable, item)| text.replace(&format!("${{{variable}}}"), item))
}

impl Template {
    /// Reads the template of the repository at `root`.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn read(root: &Path) -> Result<Self, TemplateError> {
        let path = root.join("template.yaml");
        let text = fs::read_to_string(&path).map_err(|error| TemplateError::Read(path.clone(), error))?;
        parse(&text).map(Self).map_err(|error| TemplateError::Yaml(path, error))
    }

    /// Returns the APIs, one per version. `origin` is the web origin that CORS allows.
    ///
    /// # Errors
    /// [`TemplateError::Resource`].
    pub fn apis(&self, origin: &str) -> Result<Vec<Api>, TemplateError> {
        let mut routes: BTreeMap<String, Vec<Route>> = BTreeMap::new();
        for (id, function, event) in self.events("Api") {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let (api, method, path) = (&event["RestApiId"], &event["Method"], &event["Path"]);
            let (Some(api), Some(method), Some(path)) = (text(api), text(method), text(path)) else {
                let reason = "one of its events lacks RestApiId, Method or Path".to_owned();
                return Err(TemplateError::Resource(id.to_owned(), reason));
            };
            let route = Route { method, path, function: function.to_owned() };
            routes.entry(api).or_default().push(route);
        }
        let apis = self.resources("AWS::Serverless::Api").map(|(id, api)| {
            let api = serde_yaml_ng::from_value(api.clone());
            let api: ApiProperties =
                api.map_err(|error| TemplateError::Resource(id.to_owned(), error.to_string()))?;
            Ok(api.api(routes.remove(id).unwrap_or_default(), origin))
        });
        apis.collect()
    }

    /// Returns the tables.
    ///
    /// # Errors
    /// [`TemplateError::Resource`].
    pub fn tables(&self) -> Result<Vec<Table>, TemplateError> {
        let mut tables = Vec::new();
        for (name, properties) in self.resources("AWS::DynamoDB::Table") {
            let broken = |reason: String| TemplateError::Resource(name.to_owned(), reason);
            let properties = serde_json::to_value(properties).map_err(|error| broken(error.to_string()))?;
            let mut definition = Map::from_iter([("TableName".to_owned(), json!(name))]);
            for part in [
                "AttributeDefinitions",
                "BillingMode",
                "GlobalSecondaryIndexes",
                "KeySchema",
                "LocalSecondaryIndexes",
                "ProvisionedThroughput",
            ] {
                if let Some(value) = properties.get(part) {
                    definition.insert(part.to_owned(), value.clone());
                }
            }
            // CloudFormation's form of it lacks the switch that the API's has.
            if let Some(view) = properties["StreamSpecification"].get("StreamViewType") {
                let stream = json!({"StreamEnabled": true, "StreamViewType": view});
                definition.insert("StreamSpecification".to_owned(), stream);
            }
            let expiry = &properties["TimeToLiveSpecification"];
            let expires_by = expiry["AttributeName"].as_str().filter(|_| expiry["Enabled"] == true);
            tables.push(Table {
                name: name.to_owned(),
                definition: definition.into(),
                expires_by: expires_by.map(str::to_owned),
            });
        }
        Ok(tables)
    }

    /// Returns the event source mappings: events of type `DynamoDB`.
    ///
    /// # Errors
    /// [`TemplateError::Resource`].
    pub fn sources(&self) -> Result<Vec<Source>, TemplateError> {
        let sources = self.events("DynamoDB").map(|(id, function, event)| {
            let broken = |reason: String| TemplateError::Resource(id.to_owned(), reason);
            let event = serde_yaml_ng::from_value(event.clone());
            let event: DynamoDbEvent = event.map_err(|error| broken(error.to_string()))?;
            event.source(function).map_err(broken)
        });
        sources.collect()
    }

    /// Returns the schedules: events of type `Schedule`.
    ///
    /// # Errors
    /// [`TemplateError::Resource`] for other expressions than `rate(…)`.
    pub fn schedules(&self) -> Result<Vec<Schedule>, TemplateError> {
        let schedules = self.events("Schedule").map(|(id, function, event)| {
            let every = event["Schedule"].as_str().and_then(rate).ok_or_else(|| {
                let reason = "its Schedule must be like rate(1 minute)".to_owned();
                TemplateError::Resource(id.to_owned(), reason)
            })?;
            Ok(Schedule { function: function.to_owned(), every })
        });
        schedules.collect()
    }

    /// Returns the secrets.
    ///
    /// # Errors
    /// [`TemplateError::Resource`].
    pub fn secrets(&self) -> Result<Vec<Secret>, TemplateError> {
        let mut rotations = BTreeMap::new();
        for (id, properties) in self.resources("AWS::SecretsManager::RotationSchedule") {
            let broken = |reason: &str| TemplateError::Resource(id.to_owned(), reason.to_owned());
            let function = properties["RotationLambdaARN"].as_str().and_then(|arn| arn.split('.').next());
            let mut functions = self.resources("AWS::Serverless::Function");
            let function = functions.find(|(id, _)| Some(*id) == function).map(|(_, function)| function);
            let code = function.and_then(|function| function["CodeUri"].as_str());
            let days = properties["RotationRules"]["AutomaticallyAfterDays"].as_u64();
            rotations.insert(
                properties["SecretId"].as_str().ok_or_else(|| broken("its SecretId is no !Ref"))?,
                Rotation {
                    function: code.map(file_name).ok_or_else(|| broken("it names no function"))?.to_owned(),
                    days: days
                        .and_then(|days| u32::try_from(days).ok())
                        .ok_or_else(|| broken("it has no RotationRules with AutomaticallyAfterDays"))?,
                },
            );
        }
        let secrets = self.resources("AWS::SecretsManager::Secret");
        let secrets = secrets.map(|(name, properties)| {
            let value = properties["SecretString"].as_str().ok_or_else(|| {
                TemplateError::Resource(name.to_owned(), "it has no SecretString".to_owned())
            })?;
            let rotation = rotations.remove(name);
            Ok(Secret { name: name.to_owned(), value: value.to_owned(), rotation })
        });
        secrets.collect()
    }

    /// Returns the functions' events of a type: the function's logical id and name, and the event's properties.
    fn events(&self, kind: &str) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.resources("AWS::Serverless::Function").flat_map(move |(id, function)| {
            let name = file_name(function["CodeUri"].as_str().unwrap_or_default());
            let events = entries(&function["Events"]).filter(move |(_, event)| event["Type"] == kind);
            events.map(move |(_, event)| (id, name, &event["Properties"]))
        })
    }

    /// Returns the resources of a type: their logical ids and properties.
    fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let resources = entries(&self.0["Resources"]).filter(move |(_, resource)| resource["Type"] == kind);
        resources.map(|(id, resource)| (id, &resource["Properties"]))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiProperties {
    stage_name: String,
    cors: CorsProperties,
    gateway_responses: BTreeMap<String, GatewayResponse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CorsProperties {
    allow_origin: String,
    allow_headers: String,
    max_age: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayResponse {
    status_code: u16,
    response_parameters: ResponseParameters,
    response_templates: ResponseTemplates,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseParameters {
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ResponseTemplates {
    #[serde(rename = "application/json")]
    json: String,
}

impl ApiProperties {
    fn api(self, routes: Vec<Route>, origin: &str) -> Api {
        let complete = |text: String| text.replace("${AllowedOrigin}", origin);
        let unquoted = |text: String| complete(text).trim_matches('\'').to_owned();
        let refusal = |response: GatewayResponse| {
            let headers = response.response_parameters.headers.into_iter();
            Refusal {
                status: response.status_code,
                headers: headers.map(|(name, value)| (name, complete(value))).collect(),
                body: response.response_templates.json,
            }
        };
        let CorsProperties { allow_origin, allow_headers, max_age } = self.cors;
        Api {
            stage: self.stage_name,
            routes,
            cors: Cors {
                origin: unquoted(allow_origin),
                headers: unquoted(allow_headers),
                max_age: unquoted(max_age),
            },
            refusals: self.gateway_responses.into_iter().map(|(name, it)| (name, refusal(it))).collect(),
        }
    }
}

/// Properties of a SAM event of type `DynamoDB`. `MaximumRecordAgeInSeconds` is left out: records must survive a laptop's
/// night.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DynamoDbEvent {
    stream: String,
    starting_position: String,
    batch_size: Option<usize>,
    maximum_retry_attempts: Option<i64>,
    #[serde(default)]
    bisect_batch_on_function_error: bool,
    #[serde(default)]
    function_response_types: Vec<String>,
    #[serde(default)]
    filter_criteria: FilterCriteria,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterCriteria {
    filters: Vec<FilterPattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterPattern {
    pattern: String,
}

impl DynamoDbEvent {
    fn source(self, function: &str) -> Result<Source, String> {
        let table = self.stream.strip_suffix(".StreamArn").ok_or("its Stream is no !GetAtt X.StreamArn")?;
        let filters = self.filter_criteria.filters.iter().map(|filter| Filter::parse(&filter.pattern));
        Ok(Source {
            function: function.to_owned(),
            table: table.to_owned(),
            batch_size: self.batch_size.unwrap_or(100),
            from_the_beginning: self.starting_position == "TRIM_HORIZON",
            // -1 stands for no limit.
            retries: self.maximum_retry_attempts.and_then(|attempts| u32::try_from(attempts).ok()),
            bisects: self.bisect_batch_on_function_error,
            reports_failures: self
                .function_response_types
                .iter()
                .any(|kind| kind == "ReportBatchItemFailures"),
            filters: filters.collect::<Result<_, _>>()?,
        })
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.filter_map(|(key, value)| key.as_str().map(|key| (key, value)))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Parses EventBridge's `rate(value unit)`:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>.
fn rate(schedule: &str) -> Option<Duration> {
    let (value, unit) = schedule.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let minutes = match unit {
        "minute" | "minutes" => 1,
        "hour" | "hours" => 60,
        "day" | "days" => 24 * 60,
        _ => return None,
    };
    let value: u64 = value.parse().ok().filter(|value| *value > 0)?;
    Some(Duration::from_secs(value.checked_mul(minutes * 60)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template(parse(text).expect("valid YAML"))
    }

    #[test]
    fn a_function_may_read_several_streams() {
        let template = template(
            r#"
            Resources:
              Publish:
                Type: AWS::Serverless::Function
                Properties:
                  CodeUri: target/lambda/publish
                  Events:
                    Users:
                      Type: DynamoDB
                      Properties: { Stream: !GetAtt UsersTable.StreamArn, StartingPosition: TRIM_HORIZON }
                    Orders:
                      Type: DynamoDB
                      Properties:
                        Stream: !GetAtt OrdersTable.StreamArn
                        StartingPosition: LATEST
                        FilterCriteria: { Filters: [{ Pattern: '{"eventName": ["INSERT"]}' }] }
            "#,
        );

        let sources = template.sources().expect("sources");

        let read: Vec<_> = sources
            .iter()
            .map(|source| (source.function.as_str(), source.table.as_str(), source.filters.len()))
            .collect();
        assert_eq!(read, [("publish", "UsersTable", 0), ("publish", "OrdersTable", 1)]);
    }

    #[test]
    fn loops_are_expanded_with_what_they_look_up() {
        let document = parse(
            r#"
            Mappings:
              Sizes: { A: { Count: 1 }, B: { Count: 2 } }
            Resources:
              Fn::ForEach::Loop:
                - Item
                - [A, B]
                - X${Item}:
                    Count: !FindInMap [Sizes, !Ref Item, Count]
                    Other: !Sub "${Item} of ${Other}"
                    Alias: !Join [":", [{ Ref: !Sub "${Item}Y" }, live]]
              Plain: !If [Condition, !GetAtt X.Arn, 2]
            "#,
        );

        let expected = parse(
            r#"
            XA: { Count: 1, Other: "A of ${Other}", Alias: "AY:live" }
            XB: { Count: 2, Other: "B of ${Other}", Alias: "BY:live" }
            Plain: [Condition, X.Arn, 2]
            "#,
        )
        .expect("YAML");
        assert_eq!(document.expect("YAML")["Resources"], expected);
    }

    #[test]
    fn the_shops_own_template_is_understood() {
        let template = Template::read(&crate::repository()).expect("template.yaml");

        let refusals = template.apis("*").expect("an API").remove(0).refusals;
        assert!(refusals.values().all(|refusal| refusal.headers["X-Request-Id"] == "context.requestId"));
        assert_eq!(refusals["THROTTLED"].headers["Retry-After"], "'1'");
        let sources = template.sources().expect("sources");
        assert!(
            sources
                .iter()
                .all(|source| source.bisects && source.reports_failures && source.retries == Some(5))
        );
        assert!(
            template.tables().expect("tables").iter().all(|table| table.definition["KeySchema"].is_array())
        );
        assert_eq!(template.schedules().expect("schedules").len(), 2);
        let rotated = template.secrets().expect("secrets").into_iter().filter_map(|secret| secret.rotation);
        assert_eq!(rotated.map(|rotation| rotation.days).collect::<Vec<_>>(), [30, 30]);
    }

    #[test]
    fn schedules_call_functions_at_a_rate() {
        let template = template(
            r#"
            Resources:
              Expire:
                Type: AWS::Serverless::Function
                Properties:
                  CodeUri: target/lambda/expire
                  Events:
                    Minute: { Type: Schedule, Properties: { Schedule: rate(1 minute) } }
            "#,
        );

        let schedules = template.schedules().expect("schedules");

        let every = Duration::from_secs(60);
        assert_eq!(schedules, [Schedule { function: "expire".to_owned(), every }]);
    }

    #[test]
    fn a_rate_is_a_number_of_minutes_hours_or_days() {
        for (schedule, seconds) in [
            ("rate(5 minutes)", Some(300)),
            ("rate(1 hour)", Some(3600)),
            ("rate(2 days)", Some(172_800)),
            ("rate(0 minutes)", None),
            ("rate(30 seconds)", None),
            ("cron(0 12 * * ? *)", None),
        ] {
            assert_eq!(rate(schedule), seconds.map(Duration::from_secs), "{schedule}");
        }
    }
}
