//! The rules. Each returns a sentence per violation.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_yaml_ng::Value;
use shared::config::{ATTEMPT_TIMEOUT, CALL_TIMEOUT, HANDLER_TIMEOUT, PROVIDER_TIMEOUT};
use shared::domain::order::TimelineEventType;
use strum::VariantArray;

use super::{
    breaking, generated, modules, prose,
    repository::{Function, Repository, Route, elements, entries, texts},
    text::{anchor, between, code, headings, names_after, pascal, table_rows},
};

pub use super::metrics::metrics;

/// A rule: returns what is wrong in a repository.
pub type Rule = fn(&Repository) -> Vec<String>;

pub const ALL: [Rule; 23] = [
    generated_files,
    packages,
    dependencies,
    variables,
    rights,
    triggers,
    operation,
    alarms,
    throttles,
    resources,
    metrics,
    contracts,
    contracts_are_complete,
    contracts_match_code,
    references,
    released,
    problem_codes,
    events,
    layers,
    order,
    doc_comments,
    links,
    unfinished,
];

/// Generated files are up to date.
pub fn generated_files(repository: &Repository) -> Vec<String> {
    match generated::files(repository) {
        Ok(files) => {
            let stale = files.iter().filter(|file| !file.is_fresh());
            stale.map(|file| format!("{} is stale: run `cargo shop tidy`", file.name)).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// Template, folders, packages, binaries and contracts have the same functions with the same names.
pub fn packages(repository: &Repository) -> Vec<String> {
    let functions = repository.template.functions();
    let in_template: BTreeSet<&str> = functions.iter().map(Function::name).collect();
    let mut findings: Vec<String> =
        functions.iter().flat_map(|function| package(repository, function)).collect();
    for name in repository.folders.keys().filter(|name| !in_template.contains(name.as_str())) {
        findings.push(format!(
            "template.yaml has no function for functions/{name}: add one, or remove the folder"
        ));
    }
    findings
}

fn package(repository: &Repository, function: &Function) -> Vec<String> {
    let (id, name) = (function.id, function.name());
    let Some(folder) = repository.folders.get(name) else {
        return vec![format!("functions/{name} is missing, which {id} in template.yaml is built from")];
    };
    let named_so = |part: Option<&toml::Value>| {
        part.and_then(|part| part.get("name")).and_then(toml::Value::as_str) == Some(name)
    };
    let binary = folder.manifest.get("bin").and_then(|binaries| binaries.get(0));
    let full_name = format!("${{AWS::StackName}}-{name}");
    let mut findings = named([
        (id == pascal(name), format!("template.yaml: call {id} {}, after functions/{name}", pascal(name))),
        (
            function.properties["CodeUri"] == format!("target/lambda/{name}"),
            format!(
                "template.yaml: {id} must have CodeUri target/lambda/{name}, where cargo-lambda builds it"
            ),
        ),
        (
            function.properties["FunctionName"] == full_name,
            format!("template.yaml: {id} must have FunctionName !Sub {full_name}"),
        ),
        (
            named_so(folder.manifest.get("package")) && named_so(binary),
            format!("functions/{name}/Cargo.toml: call package and [[bin]] {name}, like the folder"),
        ),
        (!folder.main.is_empty(), format!("functions/{name}/src/main.rs is missing")),
    ]);
    let wanted: BTreeSet<String> = function.routes().into_iter().map(|route| route.contract).collect();
    let found: BTreeSet<String> = folder.contracts.keys().cloned().collect();
    for file in wanted.symmetric_difference(&found) {
        findings.push(format!(
            "functions/{name} must have an {file} if, and only if, {id} in template.yaml has an event for it"
        ));
    }
    findings
}

/// A function depends on the domain crate alone.
pub fn dependencies(repository: &Repository) -> Vec<String> {
    let allowed = ["shared"];
    let tables = ["package", "bin", "dependencies", "lints"];
    let mut findings = Vec::new();
    for (name, folder) in &repository.folders {
        let dependencies = folder.manifest.get("dependencies").and_then(toml::Value::as_table);
        let dependencies = dependencies.into_iter().flat_map(toml::Table::keys);
        for dependency in dependencies.filter(|dependency| !allowed.contains(&dependency.as_str())) {
            findings.push(format!(
                "functions/{name}/Cargo.toml: leave out {dependency}; what needs it belongs in shared ({} are allowed)",
                allowed.join(", ")
            ));
        }
        for table in folder.manifest.keys().filter(|table| !tables.contains(&table.as_str())) {
            findings.push(format!(
                "functions/{name}/Cargo.toml: leave out [{table}]; functions differ in code alone"
            ));
        }
    }
    findings
}

/// No function repeats a variable of Globals, and local/env mentions every variable. tests/api/variables.rs checks which
/// variables each function reads.
pub fn variables(repository: &Repository) -> Vec<String> {
    let globals = repository.template.variables();
    let mut all = globals.clone();
    let mut findings = Vec::new();
    for function in repository.template.functions() {
        let own = function.variables();
        findings.extend(own.intersection(&globals).map(|variable| {
            format!("template.yaml: {} has {variable}, which Globals gives to all: remove it", function.id)
        }));
        all.extend(own);
    }
    let local = repository.text("local/env");
    findings.extend(all.iter().filter(|variable| !local.contains(**variable)).map(|variable| {
        format!("local/env must set {variable}, or say where it comes from on this machine")
    }));
    findings
}

/// Returns the top module of `shared` that a source belongs to.
fn module(path: &str) -> &str {
    super::text::name(path.trim_start_matches("shared/src/"))
}

/// Resource types that a function may have rights on only if one of its variables names the resource.
const GUARDED: [&str; 3] = ["AWS::DynamoDB::Table", "AWS::Events::EventBus", "AWS::SecretsManager::Secret"];

/// A function has exactly the rights that its code needs, on tables, secrets and event buses that it knows.
pub fn rights(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for function in repository.template.functions() {
        let id = function.id;
        let statements = function.statements();
        if elements(&function.properties["Policies"]).any(|policy| policy["Statement"].is_null()) {
            findings.push(format!(
                "template.yaml: write out the statements of {id}, instead of a ready-made policy"
            ));
        }
        for statement in &statements {
            findings.extend(excess(id, statement));
        }
        let resources: BTreeSet<&str> =
            statements.iter().filter_map(|statement| statement["Resource"].as_str()).collect();
        let known: BTreeMap<&str, &str> = entries(&function.properties["Environment"]["Variables"])
            .filter_map(|(variable, value)| Some((variable, value.as_str()?)))
            .collect();
        for (variable, resource) in &known {
            let guarded = ["_TABLE", "_SECRET", "_BUS"].iter().any(|kind| variable.ends_with(kind));
            if guarded && !resources.iter().any(|granted| resource_of(granted) == *resource) {
                findings.push(format!(
                    "template.yaml: {id} has {variable}, but no right to any action on {resource}"
                ));
            }
        }
        // Whose stream feeds a function is Lambda's to read, in the function's name.
        let streams = entries(&function.properties["Events"])
            .filter_map(|(_, event)| event["Properties"]["Stream"].as_str())
            .map(|stream| format!("${{{}.Arn}}/stream/*", resource_of(stream)));
        let streams: BTreeSet<String> = streams.collect();
        for granted in resources.iter().filter(|granted| !streams.contains(**granted)) {
            let granted = resource_of(granted);
            let kind = repository.template.resource(granted)["Type"].as_str().unwrap_or_default();
            let guarded = GUARDED.contains(&kind);
            if guarded && !known.values().any(|resource| *resource == granted) {
                findings.push(format!(
                    "template.yaml: {id} has rights on {granted}, which none of its variables names"
                ));
            }
        }
        let sends = statements.iter().any(|statement| texts(&statement["Action"]).eq(["ses:SendEmail"]));
        if sends != known.contains_key("MAIL_FROM") {
            findings.push(format!(
                "template.yaml: {id} must have the right to ses:SendEmail if, and only if, it has MAIL_FROM"
            ));
        }
    }
    findings
}

/// Finds wildcards in a statement, except for the indexes or streams of one table.
fn excess(id: &str, statement: &Value) -> Vec<String> {
    let actions: Vec<&str> = texts(&statement["Action"]).collect();
    let resource = statement["Resource"].as_str().unwrap_or("*");
    let fixed = resource.strip_suffix("/index/*").or(resource.strip_suffix("/stream/*")).unwrap_or(resource);
    named([
        (!actions.is_empty(), format!("template.yaml: {id} has a statement without a list of actions")),
        (
            !actions.concat().contains('*'),
            format!("template.yaml: {id} may do {actions:?}: name the actions one by one"),
        ),
        (!fixed.contains('*'), format!("template.yaml: {id} has rights on {resource}: name one resource")),
    ])
}

/// Returns the logical id in a resource's name: `ProductsTable.Arn`, `${ProductsTable.Arn}/index/*`, `HmacSecret`.
fn resource_of(name: &str) -> &str {
    super::text::name(name.trim_start_matches("${"))
}

/// Initial value of a secret whose keys the shop generates.
const NO_KEYS_YET: &str = r#"{"keys":[]}"#;

/// Each function has a trigger with the right to invoke it and sufficient failure handling.
pub fn triggers(repository: &Repository) -> Vec<String> {
    let template = &repository.template;
    let called = |kind, key: &str| -> BTreeSet<&str> {
        template.resources(kind).filter_map(|(_, properties)| properties[key].as_str()).collect()
    };
    let permitted = called("AWS::Lambda::Permission", "FunctionName");
    let rotating = called("AWS::SecretsManager::RotationSchedule", "RotationLambdaARN");
    let rotated = called("AWS::SecretsManager::RotationSchedule", "SecretId");
    let mut findings = Vec::new();
    for function in template.functions() {
        let (id, alias) = (function.id, format!("{}.Alias", function.id));
        let events: Vec<&Value> = entries(&function.properties["Events"]).map(|(_, event)| event).collect();
        let rotates = rotating.contains(alias.as_str());
        findings.extend(named([
            (!events.is_empty() || rotates, format!("template.yaml: nothing calls {id}: give it an event")),
            (
                !rotates || permitted.contains(alias.as_str()),
                format!("template.yaml: Secrets Manager needs a permission to call {alias}"),
            ),
        ]));
        for event in events.iter().filter(|event| event["Type"] == "DynamoDB") {
            findings.extend(stream(id, &event["Properties"]));
        }
    }
    for (secret, properties) in template.resources("AWS::SecretsManager::Secret") {
        if properties["SecretString"] == NO_KEYS_YET && !rotated.contains(secret) {
            findings.push(format!(
                "template.yaml: {secret} needs a rotation schedule, which makes its first key"
            ));
        }
    }
    findings
}

/// Settings that keep one bad record from blocking a stream.
fn stream(id: &str, event: &Value) -> Vec<String> {
    let needs = |holds: bool, what: &str| {
        (
            holds,
            format!(
                "template.yaml: the stream of {id} needs {what}, else one bad record holds up all others"
            ),
        )
    };
    named([
        needs(
            texts(&event["FunctionResponseTypes"]).eq(["ReportBatchItemFailures"]),
            "FunctionResponseTypes [ReportBatchItemFailures]",
        ),
        needs(event["BisectBatchOnFunctionError"] == true, "BisectBatchOnFunctionError"),
        needs(event["MaximumRetryAttempts"].is_u64(), "MaximumRetryAttempts"),
        needs(event["MaximumRecordAgeInSeconds"].is_u64(), "MaximumRecordAgeInSeconds"),
        needs(event["DestinationConfig"]["OnFailure"]["Destination"].is_string(), "an OnFailure destination"),
    ])
}

/// Use cases that hash a password.
const HASHING: [&str; 7] = [
    "accounts::register(",
    "accounts.change_password(",
    "accounts.erase(",
    "accounts.log_in(",
    "accounts.reset_password(",
    "accounts.verify(",
    "authorization.decide(",
];

/// Memory in MB for a whole vCPU:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>.
const WHOLE_CORE: u64 = 1769;

/// Functions run as designed: consistent timeouts, a whole vCPU for password hashing, log retention, and an alarm that rolls
/// back.
pub fn operation(repository: &Repository) -> Vec<String> {
    let globals = repository.template.globals();
    let timeout = Duration::from_secs(globals["Timeout"].as_u64().unwrap_or_default());
    let gateway = Duration::from_secs(29);
    let limits = [ATTEMPT_TIMEOUT, CALL_TIMEOUT, PROVIDER_TIMEOUT, HANDLER_TIMEOUT, timeout, gateway];
    let is = |key: &str, value: &str| globals[key] == value;
    let logs =
        repository.template.resource(globals["LoggingConfig"]["LogGroup"].as_str().unwrap_or_default());
    let mut findings = named([
        (
            limits.is_sorted_by(|shorter, longer| shorter < longer),
            format!(
                "the limits on time must rise from attempt to call, provider, handler, Lambda and API Gateway: {limits:?}"
            ),
        ),
        (
            is("Runtime", "provided.al2023"),
            "template.yaml: Globals must have Runtime provided.al2023".to_owned(),
        ),
        (is("Tracing", "Active"), "template.yaml: Globals must have Tracing Active".to_owned()),
        (
            texts(&globals["Architectures"]).eq(["Architecture"]),
            "template.yaml: Globals must have Architectures [!Ref Architecture], for which `cargo shop deploy` builds"
                .to_owned(),
        ),
        (
            logs["Type"] == "AWS::Logs::LogGroup" && !logs["Properties"]["RetentionInDays"].is_null(),
            "template.yaml: Globals must have a LoggingConfig, with a LogGroup that has RetentionInDays".to_owned(),
        ),
    ]);
    for function in repository.template.functions() {
        findings.extend(roll_back(repository, &function));
        let main =
            repository.folders.get(function.name()).map(|folder| code(&folder.main)).unwrap_or_default();
        let hashes = HASHING.iter().any(|call| main.contains(call));
        if hashes != (function.properties["MemorySize"] == WHOLE_CORE) {
            findings.push(format!(
                "template.yaml: {} must have MemorySize {WHOLE_CORE} if, and only if, it hashes passwords",
                function.id
            ));
        }
    }
    findings
}

/// Alarms that roll back a bad deployment: for each route, on errors and latency.
fn roll_back(repository: &Repository, function: &Function) -> Vec<String> {
    let id = function.id;
    let named = elements(&function.properties["DeploymentPreference"]["Alarms"]);
    let alarms: Vec<&Value> =
        named.map(|alarm| repository.template.resource(alarm.as_str().unwrap_or_default())).collect();
    let mut findings = Vec::new();
    if alarms.is_empty() || alarms.iter().any(|alarm| alarm["Type"] != "AWS::CloudWatch::Alarm") {
        findings.push(format!("template.yaml: {id} needs an alarm, named in its DeploymentPreference"));
    }
    for Route { method, path, .. } in function.routes() {
        let watches = |metric: &&Value| {
            let dimensions = elements(&metric["Dimensions"]);
            let values: Vec<&str> = dimensions.filter_map(|dimension| dimension["Value"].as_str()).collect();
            values.contains(&method) && values.contains(&path)
        };
        let metrics = alarms.iter().flat_map(|alarm| elements(&alarm["Properties"]["Metrics"]));
        let metrics = metrics.map(|metric| &metric["MetricStat"]["Metric"]).filter(watches);
        let names: BTreeSet<&str> = metrics.filter_map(|metric| metric["MetricName"].as_str()).collect();
        if !names.is_superset(&BTreeSet::from(["5XXError", "Latency"])) {
            findings.push(format!(
                "template.yaml: the alarm of {id} must watch 5XXError and Latency of {method} {path}"
            ));
        }
    }
    findings
}

/// Every alarm notifies on start and end, and has a chapter in the runbook. Every chapter has an alarm.
pub fn alarms(repository: &Repository) -> Vec<String> {
    let runbook = "docs/operating.md";
    let chapters: BTreeSet<String> = headings(repository.text(runbook), "### ").map(anchor).collect();
    let mut missing = chapters.clone();
    let mut findings = Vec::new();
    for (id, alarm) in repository.template.resources("AWS::CloudWatch::Alarm") {
        let tells = |key: &str| {
            let told = texts(&alarm[key]);
            told.map(|topic| repository.template.resource(topic))
                .any(|topic| topic["Type"] == "AWS::SNS::Topic")
        };
        let description = alarm["AlarmDescription"].as_str().unwrap_or_default();
        let chapter = description.split_once(&format!("{runbook}#")).map(|(_, anchor)| anchor.trim_end());
        findings.extend(named([
            (
                tells("AlarmActions") && tells("OKActions"),
                format!(
                    "template.yaml: {id} needs AlarmActions and OKActions with a topic, or no one is notified"
                ),
            ),
            (
                chapter.is_some_and(|chapter| chapters.contains(chapter)),
                format!(
                    "template.yaml: {id}'s description must end with {runbook}# and a chapter (###) there"
                ),
            ),
        ]));
        if let Some(chapter) = chapter {
            missing.remove(chapter);
        }
    }
    findings
        .extend(missing.iter().map(|chapter| format!("{runbook}: no alarm leads to #{chapter}: remove it")));
    findings
}

/// Operations that need their own throttling: anyone can guess passwords, cause mails, get tokens, reserve stock or call
/// Stripe with them.
const THROTTLED: [&str; 10] = [
    "oauth-authorize-submit",
    "oauth-token",
    "orders-cancel",
    "orders-create",
    "orders-pay",
    "sessions-create",
    "users-forgot-password",
    "users-register",
    "users-reset-password",
    "users-verify-email",
];

/// Throttling settings belong to existing routes, and the operations that need them have them.
pub fn throttles(repository: &Repository) -> Vec<String> {
    let apis = repository.template.resources("AWS::Serverless::Api");
    let settings = apis.flat_map(|(_, api)| elements(&api["MethodSettings"]));
    let limits: BTreeSet<(String, &str)> = settings
        .filter(|setting| {
            ["Rate", "Burst"].iter().all(|kind| !setting[format!("Throttling{kind}Limit")].is_null())
        })
        .filter_map(|setting| {
            Some((
                setting["ResourcePath"].as_str()?.replace("~1", "/").replacen("//", "/", 1),
                setting["HttpMethod"].as_str()?,
            ))
        })
        .collect();
    let mut findings = Vec::new();
    let mut found = BTreeSet::from([("/*".to_owned(), "*")]);
    for (function, route) in routes(repository) {
        let limit = (route.path.to_owned(), route.method);
        if THROTTLED.contains(&route.operation.as_str()) && !limits.contains(&limit) {
            findings.push(format!(
                "template.yaml: {} {} of {} needs a limit of its own in MethodSettings",
                route.method, route.path, function.id
            ));
        }
        found.insert(limit);
    }
    for (path, method) in limits.difference(&found) {
        findings.push(format!("template.yaml: MethodSettings limits {method} {path}, where nothing answers"));
    }
    if !limits.contains(&("/*".to_owned(), "*")) {
        findings.push("template.yaml: MethodSettings must limit all other methods (/* and \"*\")".to_owned());
    }
    findings
}

/// A stack may have 500 resources, and an operation takes seven. This leaves room for some ten operations, and so time to
/// split the stack.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
const MOST_RESOURCES: usize = 430;

/// The expanded stack stays below the limit of resources.
pub fn resources(repository: &Repository) -> Vec<String> {
    let count: usize = entries(&repository.template.0["Resources"])
        .map(|(_, resource)| made_of(resource))
        .sum::<usize>()
        // CodeDeploy's application and role, for all functions together.
        + 2;
    named([(
        count <= MOST_RESOURCES,
        format!(
            "template.yaml has {count} resources, of {MOST_RESOURCES} at most: split it by service, or make do with fewer"
        ),
    )])
}

/// Returns the number of resources that SAM expands one into. samtranslator 1.115 gives the same total (383).
fn made_of(resource: &Value) -> usize {
    let properties = &resource["Properties"];
    match resource["Type"].as_str() {
        // The API, its deployment, its stage.
        Some("AWS::Serverless::Api") => 3,
        // The function, its version, its alias, its deployment group; its role; what calls it.
        Some("AWS::Serverless::Function") => {
            let events = entries(&properties["Events"]).map(|(_, event)| match event["Type"].as_str() {
                // A rule, and the permission to call.
                Some("Schedule") => 2,
                _ => 1,
            });
            4 + usize::from(properties["Role"].is_null())
                + usize::from(!properties["EventInvokeConfig"].is_null())
                + events.sum::<usize>()
        }
        _ => 1,
    }
}

/// Contracts match routes: names, path parameters, API keys.
pub fn contracts(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (function, route) in routes(repository) {
        let Some(contract) = repository.contract(&function, &route) else { continue };
        let (id, operation) = (function.id, &route.operation);
        let file = format!("functions/{}/{}", function.name(), route.contract);
        let in_path: BTreeSet<&str> = between(route.path, "{", "}").into_iter().collect();
        let parameters: BTreeSet<&str> = parameters(repository, contract)
            .filter(|(_, place)| *place == "path")
            .map(|(name, _)| name)
            .collect();
        let needs_key = elements(&contract["security"]).any(|way| !way["apiKey"].is_null());
        findings.extend(named([
            (contract["operationId"] == *operation, format!("{file} must have operationId {operation}")),
            (
                in_path == parameters,
                format!("{file} has the path parameters {parameters:?}, template.yaml {in_path:?}"),
            ),
            (
                route.needs_key == needs_key,
                format!("{id}: template.yaml must have ApiKeyRequired if, and only if, its contract's security has apiKey"),
            ),
        ]));
    }
    findings
}

/// Contracts are complete: descriptions, examples, and every status that follows from the input.
pub fn contracts_are_complete(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for document in generated::documents(repository).values() {
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                let place = format!("the contract of {} {path}", method.to_uppercase());
                findings.extend(gaps(document, operation).into_iter().map(|gap| format!("{place} {gap}")));
            }
        }
    }
    findings
}

/// Returns what an operation's contract lacks.
fn gaps(document: &Value, operation: &Value) -> Vec<String> {
    let mut gaps = Vec::new();
    for name in ["summary", "description", "tags"].into_iter().filter(|name| operation[name].is_null()) {
        gaps.push(format!("needs a {name}"));
    }
    let parameters: Vec<&Value> =
        elements(&operation["parameters"]).map(|parameter| follow(document, parameter)).collect();
    for parameter in &parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["description"].is_null() {
            gaps.push(format!("needs a description of {name}"));
        }
        let fixed = !parameter["schema"]["const"].is_null();
        if parameter["required"] == true && !fixed && !has_example(parameter) {
            gaps.push(format!("needs an example of {name}"));
        }
    }
    let body = &operation["requestBody"]["content"];
    let responses =
        entries(&operation["responses"]).map(|(status, response)| (status, follow(document, response)));
    let responses: Vec<(&str, &Value)> = responses.collect();
    let answers = responses.iter().map(|(status, response)| (*status, &response["content"]));
    for (what, content) in answers.chain([("what it takes", body)]) {
        // Pages are for people to see.
        let silent = entries(content).filter(|(kind, media)| *kind != "text/html" && !has_example(media));
        gaps.extend(silent.map(|(kind, _)| format!("needs an example of {what} as {kind}")));
    }

    let takes = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
    // OAuth 2.0 and webhooks have rules of their own.
    let json = ["application/json", "application/merge-patch+json"].iter().any(|kind| !body[kind].is_null())
        && !takes("Stripe-Signature");
    let ways: Vec<&Value> = elements(&operation["security"]).collect();
    let guarded = ways.iter().any(|way| !way["accessToken"].is_null());
    let identified = parameters.iter().any(|parameter| parameter["in"] == "path");
    let statuses = [
        (json || takes("cursor"), &["400", "422"][..]),
        (guarded, &["401", "403"]),
        (identified, &["404"]),
        (takes("If-None-Match"), &["304"]),
        (takes("If-Match"), &["412", "428"]),
        (json, &["413", "415"]),
        (true, &["429", "500", "503"]),
    ];
    let wanted = statuses.iter().filter(|(applies, _)| *applies).flat_map(|(_, statuses)| *statuses);
    let missing = wanted.filter(|status| !responses.iter().any(|(there, _)| there == *status));
    gaps.extend(missing.map(|status| format!("needs the answer {status}")));
    gaps
}

/// Follows a reference. Returns any other value unchanged.
fn follow<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    let Some(reference) = value["$ref"].as_str() else { return value };
    reference.split('/').skip(1).fold(document, |place, name| &place[name])
}

fn has_example(value: &Value) -> bool {
    !value["example"].is_null() || entries(&value["examples"]).next().is_some()
}

/// Contracts match the code in scopes and inputs.
pub fn contracts_match_code(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, folder) in &repository.folders {
        let contracts: Vec<&Value> = folder.contracts.values().collect();
        if contracts.is_empty() {
            continue;
        }
        let main = code(&folder.main);
        // Who may not reach all orders may reach their own.
        let own = main.contains(".order_access(").then_some("OrdersOwn");
        let asked = names_after(&main, "Scope::").into_iter().chain(own);
        let asked: BTreeSet<String> = asked.map(str::to_owned).collect();
        let said: BTreeSet<String> =
            contracts.iter().flat_map(|contract| scopes(contract)).map(pascal).collect();
        if asked != said {
            findings.push(format!(
                "functions/{name}: main.rs asks for the scopes {asked:?}, openapi.yaml names {said:?}"
            ));
        }
        let parameters: Vec<(&str, &str)> =
            contracts.iter().flat_map(|contract| parameters(repository, contract)).collect();
        let has_body = contracts.iter().any(|contract| !contract["requestBody"].is_null());
        let has = |wanted: &str| parameters.iter().any(|(name, _)| *name == wanted);
        for (calls, what, declared) in [
            (&[".idempotency_key("][..], "the parameter Idempotency-Key", has("Idempotency-Key")),
            (&[".if_match("], "the parameter If-Match", has("If-Match")),
            (
                &[".json(", ".json_if_any(", ".merge_patch(", ".form(", ".own_form(", ".signed("],
                "a requestBody",
                has_body,
            ),
            (
                &[".query(", ".parameters("],
                "query parameters",
                parameters.iter().any(|(_, place)| *place == "query"),
            ),
        ] {
            if calls.iter().any(|call| main.contains(call)) != declared {
                let calls = calls.join(" or ");
                findings.push(format!(
                    "functions/{name}: openapi.yaml must have {what} if, and only if, main.rs calls {calls}…)"
                ));
            }
        }
    }
    findings
}

/// Returns the scopes of an operation.
fn scopes(contract: &Value) -> impl Iterator<Item = &str> {
    elements(&contract["security"]).flat_map(|way| texts(&way["accessToken"]))
}

/// Returns all functions with each of their routes.
fn routes(repository: &Repository) -> impl Iterator<Item = (Function<'_>, Route<'_>)> {
    let functions = repository.template.functions().into_iter();
    functions.flat_map(|function| function.routes().into_iter().map(move |route| (function, route)))
}

/// Returns the parameters of an operation: name and place.
fn parameters<'r>(
    repository: &'r Repository,
    contract: &'r Value,
) -> impl Iterator<Item = (&'r str, &'r str)> {
    let shared = &repository.common["components"]["parameters"];
    elements(&contract["parameters"]).filter_map(move |parameter| {
        let reference = parameter["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let parameter = reference.map_or(parameter, |name| &shared[name]);
        Some((parameter["name"].as_str()?, parameter["in"].as_str()?))
    })
}

/// Every reference has a target, and every component is used.
pub fn references(repository: &Repository) -> Vec<String> {
    let mut used = BTreeSet::new();
    for document in generated::documents(repository).values() {
        walk(document, &mut |value| used.extend(value["$ref"].as_str().map(str::to_owned)));
    }
    let there: BTreeSet<String> = entries(&repository.common["components"])
        .filter(|(kind, _)| *kind != "securitySchemes")
        .flat_map(|(kind, parts)| entries(parts).map(move |(name, _)| format!("#/components/{kind}/{name}")))
        .collect();
    let dangling = used
        .difference(&there)
        .map(|name| format!("a contract refers to {name}, which shared/openapi.yaml lacks"));
    let unused = there
        .difference(&used)
        .map(|name| format!("shared/openapi.yaml: nothing refers to {name}: remove it"));
    dangling.chain(unused).collect()
}

/// Contracts stay compatible with the released documents in docs/api.
pub fn released(repository: &Repository) -> Vec<String> {
    let documents = match generated::documents_as_json(repository) {
        Ok(documents) => documents,
        Err(error) => return vec![error.to_string()],
    };
    let mut findings = Vec::new();
    for (path, text) in repository.below("docs/api/", ".json") {
        let version = path.trim_start_matches("docs/api/").trim_end_matches(".json");
        match (serde_json::from_str(text), documents.get(version)) {
            (Ok(old), Some(new)) => {
                let breaks = breaking::breaks(&old, new).into_iter();
                findings.extend(breaks.map(|found| format!("{version} breaks: {found}")));
            }
            (Ok(_), None) => {
                findings.push(format!("{path} is of a version without a stage in template.yaml"))
            }
            (Err(_), _) => findings.push(format!("{path} is no JSON: bring it back as it was released")),
        }
    }
    findings
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    elements(value).for_each(|element| walk(element, visit));
    value.as_mapping().into_iter().flatten().for_each(|(_, entry)| walk(entry, visit));
}

/// docs/errors.md lists every error code with its status: those of the code, the contracts and API Gateway.
pub fn problem_codes(repository: &Repository) -> Vec<String> {
    let rows: BTreeMap<&str, &str> = table_rows(repository.text("docs/errors.md")).into_iter().collect();
    let mut met: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, codes) in [
        ("shared/src/error.rs", codes_in(repository.text("shared/src/error.rs"))),
        ("shared/src/domain/validation.rs", codes_in(repository.text("shared/src/domain/validation.rs"))),
        ("the contracts", codes_in_contracts(repository)),
        ("template.yaml", codes_of_gateway(repository)),
    ] {
        for (code, status) in codes {
            let documented =
                rows.get(code.as_str()).filter(|written| status.is_empty() || **written == status);
            let entry = met.entry(code).or_default();
            if documented.is_none() {
                entry.insert(format!("{status} of {file}"));
            }
        }
    }
    let unknown = rows.keys().filter(|code| !met.contains_key(**code));
    let unknown = unknown.map(|code| format!("docs/errors.md: nothing answers {code}: remove it"));
    let missing = met.iter().flat_map(|(code, places)| {
        places.iter().map(move |place| {
            format!("docs/errors.md must list {code} {place}, with that status").replace("  ", " ")
        })
    });
    unknown.chain(missing).collect()
}

/// Returns the codes of a function `code` in a source.
fn codes_in(source: &str) -> Vec<(String, String)> {
    names_given(source, "code").map(|code| (code.to_owned(), String::new())).collect()
}

/// Returns the strings that a function of a source returns, one for each variant of an enum.
fn names_given<'s>(source: &'s str, function: &str) -> impl Iterator<Item = &'s str> {
    let bodies = between(source, &format!("fn {function}("), "\n    }\n").into_iter();
    bodies.flat_map(|body| between(body, "=> \"", "\""))
}

/// Returns the codes of the contracts with their status. OAuth calls its codes `error`.
fn codes_in_contracts(repository: &Repository) -> Vec<(String, String)> {
    let mut codes = Vec::new();
    let mut collect = |value: &Value| {
        let properties = &value["properties"];
        let status = properties["status"]["const"].as_u64().map(|status| status.to_string());
        for code in [&properties["code"], &properties["error"]] {
            for code in texts(&code["enum"]).chain(code["const"].as_str()) {
                codes.push((code.to_owned(), status.clone().unwrap_or_default()));
            }
        }
    };
    generated::documents(repository).values().for_each(|document| walk(document, &mut collect));
    codes
}

/// Returns the codes of the gateway responses.
fn codes_of_gateway(repository: &Repository) -> Vec<(String, String)> {
    let resources = entries(&repository.template.0["Resources"]).map(|(_, resource)| &resource["Properties"]);
    let responses = resources.flat_map(|properties| entries(&properties["GatewayResponses"]));
    let codes = responses.map(|(_, response)| {
        let body = response["ResponseTemplates"]["application/json"].as_str().unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let status = response["StatusCode"].as_u64().filter(|status| body["status"] == *status);
        let status =
            status.map_or_else(|| "another status in its body".to_owned(), |status| status.to_string());
        (body["code"].as_str().unwrap_or("(no code)").to_owned(), status)
    });
    codes.collect()
}

/// docs/events describes each event type once in a schema and once in the tables. Each timeline event of an order has one.
pub fn events(repository: &Repository) -> Vec<String> {
    let told: BTreeSet<&str> =
        table_rows(repository.text("docs/events/README.md")).into_iter().map(|(name, _)| name).collect();
    let mut schemas: BTreeMap<String, &str> = BTreeMap::new();
    let mut findings = Vec::new();
    for (path, text) in repository.below("docs/events/", ".json") {
        let schema: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        let types = schema["properties"]["type"]["enum"].as_array().into_iter().flatten();
        for name in types.filter_map(serde_json::Value::as_str) {
            if let Some(other) = schemas.insert(name.to_owned(), path) {
                findings.push(format!("{path} has {name}, which {other} has, too: leave one out"));
            }
        }
    }
    for (name, path) in schemas.iter().filter(|(name, _)| !told.contains(name.as_str())) {
        findings.push(format!("docs/events/README.md must list {name}, which {path} describes"));
    }
    for name in told.into_iter().filter(|name| !schemas.contains_key(*name)) {
        findings.push(format!("docs/events/README.md lists {name}, which no schema describes"));
    }
    let of_timeline: BTreeSet<String> =
        TimelineEventType::VARIANTS.iter().map(|kind| format!("order.{}", kind.into_str())).collect();
    let of_orders: BTreeSet<String> = schemas.into_keys().filter(|name| name.starts_with("order.")).collect();
    for name in of_timeline.symmetric_difference(&of_orders) {
        findings.push(format!("docs/events must have {name} if, and only if, TimelineEventType has it"));
    }
    findings
}

/// Clients of AWS and Stripe, each with the only module of `shared` that uses it.
const CLIENTS: [(&str, &str); 5] = [
    ("aws_sdk_dynamodb", "store"),
    ("aws_sdk_eventbridge", "events"),
    ("aws_sdk_secretsmanager", "secrets"),
    ("aws_sdk_sesv2", "mail"),
    ("hyper_rustls", "payments"),
];

/// One module of `shared` uses each service, and the domain is pure.
pub fn layers(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, source) in repository.below("shared/src/", ".rs") {
        let (code, own) = (code(source), module(path));
        let foreign = CLIENTS.into_iter().filter(|(_, home)| *home != own);
        let mut banned: Vec<&str> = foreign.map(|(client, _)| client).collect();
        if own == "domain" {
            banned.extend([
                "lambda_", "tokio", "reqwest", "now()", "std::env", "std::fs", "std::net", "Random",
            ]);
        }
        for word in banned.into_iter().filter(|word| code.contains(word)) {
            findings.push(format!("{path} has {word}, which does not belong in {own}"));
        }
    }
    findings
}

/// Each module uses only what is declared above it, in every library crate.
pub fn order(repository: &Repository) -> Vec<String> {
    let crates = repository.files.keys().filter(|path| path.ends_with("/src/lib.rs"));
    let mut findings = Vec::new();
    for circles in crates.map(|root| modules::circles(repository, root)) {
        match circles {
            Ok(circles) => findings.extend(circles),
            Err(error) => findings.push(error.to_string()),
        }
    }
    findings
}

/// Doc comments begin with a verb or a noun.
pub fn doc_comments(repository: &Repository) -> Vec<String> {
    prose::doc_comments(repository)
}

/// Links and paths in documents lead to files, folders and headings of the repository.
pub fn links(repository: &Repository) -> Vec<String> {
    prose::links(repository)
}

/// Nothing is left unfinished.
pub fn unfinished(repository: &Repository) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!")];
    let mut findings = Vec::new();
    for (path, text) in &repository.files {
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{path}:{} says {word}: finish it, or take it out", number + 1));
            }
        }
    }
    findings
}

/// Returns the sentences whose condition does not hold.
fn named<const N: usize>(conditions: [(bool, String); N]) -> Vec<String> {
    conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, sentence)| sentence).collect()
}
