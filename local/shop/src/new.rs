//! Adds an operation to the repository: a function that answers 204, its contract, route, event, row in the access matrix
//! and test. CONTRIBUTING.md describes the next steps.

use std::{fs, io, path::Path};

use serde_yaml_ng::Value;
use shared::auth::Scope;
use strum::VariantNames;
use template;
use tidy::{self, Files, TidyError};

/// A new operation.
pub struct Operation<'o> {
    /// Name of the function and the contract, like `categories-get`.
    pub name: &'o str,
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: &'o str,
    /// Path below the stage, like `/categories/{category}`.
    pub path: &'o str,
    /// Scope that callers need. `None` makes the operation public.
    pub scope: Option<Scope>,
}

/// The operation cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    #[error(
        "{0} is not a valid name: use two or more lower-case words with dashes, noun first, like categories-get"
    )]
    Name(String),
    #[error(
        "{0} is not a valid path: start with /, and put parameters in braces, like /categories/{{category}}"
    )]
    Path(String),
    #[error("functions/{0} exists: choose another name")]
    Exists(String),
    #[error("{0} has this method and path: choose others")]
    Route(String),
    #[error("{0} has no {1} to insert the operation at: add it by hand, and update local/shop/src/new.rs")]
    Place(&'static str, &'static str),
    #[error("template.yaml is not valid YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    #[error(transparent)]
    Tidy(#[from] TidyError),
    #[error("{0} cannot be written: {1}")]
    Write(String, #[source] io::Error),
}

/// Parses a scope.
///
/// # Errors
/// The message lists all scopes.
pub fn scope(name: &str) -> Result<Scope, String> {
    name.parse().map_err(|_| format!("choose one of {}", Scope::VARIANTS.join(", ")))
}

/// Adds an operation to the repository at `root`. Returns the paths of new and changed files.
///
/// # Errors
/// [`NewError`].
pub fn run(root: &Path, operation: &Operation) -> Result<Vec<String>, NewError> {
    let before = tidy::read(root)?;
    let mut changed = Vec::new();
    for (path, text) in files(&before, operation)? {
        if before.get(&path) != Some(&text) {
            let target = root.join(&path);
            let folder = target.parent().unwrap_or(root);
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&target, text));
            written.map_err(|cause| NewError::Write(path.clone(), cause))?;
            changed.push(path);
        }
    }
    changed.extend(tidy::write(root)?);
    Ok(changed)
}

/// Returns the repository's files with the operation, without those that `cargo shop tidy` generates.
///
/// # Errors
/// [`NewError`].
pub fn files(before: &Files, operation: &Operation) -> Result<Files, NewError> {
    let new = New::of(before, operation)?;
    let mut files = before.clone();
    let name = operation.name;
    files.insert(format!("functions/{name}/Cargo.toml"), new.fill(MANIFEST));
    files.insert(format!("functions/{name}/openapi.yaml"), new.contract());
    let main = if operation.scope.is_some() { GUARDED } else { PUBLIC };
    files.insert(format!("functions/{name}/src/main.rs"), new.fill(main));
    files.insert(format!("local/events/{name}.json"), new.event()?);
    files.insert("template.yaml".to_owned(), new.template()?);
    files.insert("tests/api/access.rs".to_owned(), new.access()?);
    new.test(&mut files)?;
    Ok(files)
}

const MANIFEST: &str = r#"[package]
name = "<name>"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[[bin]]
name = "<name>"
path = "src/main.rs"
test = false

[dependencies]
shared.workspace = true

[lints]
workspace = true
"#;

const PUBLIC: &str = r#"//! `<METHOD> <path>`: answers 204.

use shared::prelude::*;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(_: Store) -> Result<(), ConfigError> {
    Ok(())
}

async fn handle((): &(), _request: Request) -> Result<Response, Error> {
    Ok(Response::no_content())
}
"#;

const GUARDED: &str = r#"//! `<METHOD> <path>`: answers 204.

use shared::prelude::*;

fn main() -> ExitCode {
    http::serve(env!("CARGO_PKG_NAME"), open, handle)
}

async fn open(store: Store) -> Result<Keys, ConfigError> {
    store.keys().await
}

async fn handle(keys: &Keys, request: Request) -> Result<Response, Error> {
    request.<kind>(keys, Scope::<Scope>).await?;

    Ok(Response::no_content())
}
"#;

const CONTRACT: &str = r##"operationId: <name>
summary: <Summary>
description: Answers 204.
tags: [<Tag>]
security: [<security>]
<parameters>responses:
  "204":
    description: Done.
<refusals>  "429": { $ref: "#/components/responses/TooManyRequests" }
  "500": { $ref: "#/components/responses/InternalError" }
  "503": { $ref: "#/components/responses/Unavailable" }
"##;

const PARAMETER: &str = r#"  - name: <parameter>
    in: path
    required: true
    description: The <words>.
    schema: { type: string }
    example: example
"#;

const UNAUTHORIZED: &str = r##"  "401": { $ref: "#/components/responses/Unauthorized" }
  "403": { $ref: "#/components/responses/Forbidden" }
"##;

const NOT_FOUND: &str = r##"  "404":
    description: There is no such resource.
    content:
      application/problem+json:
        schema:
          $ref: "#/components/schemas/Problem"
          properties: { status: { const: 404 }, code: { const: not_found } }
        example:
          type: urn:problem-type:lambda-shop:not_found
          title: Not Found
          status: 404
          detail: There is no such resource.
          code: not_found
          request_id: 4f1d3a53-9e0c-4d5b-8d6c-0a1a6f0f8f2b
"##;

const FUNCTION: &str = r#"  <Name>:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: !Sub ${AWS::StackName}-<name>
      CodeUri: target/lambda/<name>
      Events:
        Http: { Type: Api, Properties: { RestApiId: !Ref Api, Method: <METHOD>, Path: "<path>" } }
<rights>      DeploymentPreference: { Alarms: [!Ref <Name>Alarm] }
"#;

/// Last row of the alarms in `Mappings`, and the row to add.
const ALARM_ROW: &str = "    HealthGet: { Method: GET, Path: /health, MaxLatency: 1000 }\n";
const NEW_ALARM_ROW: &str = "    <Name>: { Method: <METHOD>, Path: \"<path>\", MaxLatency: 1000 }\n";
/// End of the list in the loop of alarms.
const ALARM_NAME: &str = " HealthGet,\n";

const RIGHTS: &str = r#"      Environment: { Variables: { KEYS_TABLE: !Ref KeysTable } }
      Policies:
        - Statement:
            - { Effect: Allow, Action: [dynamodb:Query], Resource: !Sub "${KeysTable.Arn}/index/verifiers" }
"#;

const TEST: &str = r#"
#[tokio::test]
async fn <snake>_answers() {
    let shop = crate::shop::Shop::shared().await;
    shop.<verb>("<example>")<caller>.send().await.expect(204);
}
"#;

/// The operation whose event is the pattern for others.
const NEIGHBOUR: &str = "health-get";

/// A new operation and its surroundings.
struct New<'n> {
    files: &'n Files,
    operation: &'n Operation<'n>,
    /// Path parameters.
    parameters: Vec<Parameter<'n>>,
    tag: String,
}

struct Parameter<'n> {
    name: &'n str,
    shared: Option<String>,
    example: String,
}

impl<'n> New<'n> {
    fn of(files: &'n Files, operation: &'n Operation) -> Result<Self, NewError> {
        let Operation { name, path, .. } = *operation;
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        if !name.contains('-') || !name.split('-').all(is_word) {
            return Err(NewError::Name(name.to_owned()));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._{}".contains(c);
        if !path.starts_with('/') || !path.chars().all(is_plain) {
            return Err(NewError::Path(path.to_owned()));
        }
        if files.keys().any(|file| file.starts_with(&format!("functions/{name}/"))) {
            return Err(NewError::Exists(name.to_owned()));
        }
        let template = template::parse(text(files, "template.yaml"))?;
        let functions = template["Resources"].as_mapping().into_iter().flatten();
        for (id, function) in functions {
            let events = function["Properties"]["Events"].as_mapping().into_iter().flatten();
            let mut routes = events.map(|(_, event)| &event["Properties"]);
            if routes.any(|route| route["Method"] == operation.method && route["Path"] == path) {
                return Err(NewError::Route(id.as_str().unwrap_or_default().to_owned()));
            }
        }
        let common = template::parse(text(files, "shared/openapi.yaml"))?;
        let parameters = path.split('{').skip(1).filter_map(|part| part.split_once('}'));
        let parameters = parameters.map(|(name, _)| Parameter::of(name, &common)).collect();
        let tag = tag(files, name, &common);
        Ok(Self { files, operation, parameters, tag })
    }

    /// Fills in the placeholders in angle brackets.
    fn fill(&self, text: &str) -> String {
        let Operation { name, method, path, scope } = self.operation;
        let words: Vec<&str> = name.split('-').collect();
        let (last, first) = words.split_last().unwrap_or((name, &[]));
        let is_customers = matches!(scope, Some(Scope::OrdersOwn | Scope::ProfileRead | Scope::Account));
        let scope_name = scope.map_or("", |scope| scope.into_str());
        let places = [
            ("<name>", (*name).to_owned()),
            ("<Name>", tidy::pascal(name)),
            ("<snake>", name.replace('-', "_")),
            ("<METHOD>", (*method).to_owned()),
            ("<verb>", method.to_lowercase()),
            ("<path>", (*path).to_owned()),
            ("<example>", self.example()),
            ("<Scope>", tidy::pascal(scope_name)),
            ("<kind>", if is_customers { "customer" } else { "staff" }.to_owned()),
            ("<Tag>", self.tag.clone()),
            ("<Summary>", format!("{} {}", tidy::pascal(last), first.join(" "))),
        ];
        places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
    }

    /// Returns the first word of the name, like `categories`.
    fn resource(&self) -> &str {
        resource(self.operation.name)
    }

    /// Returns the path with an example for each parameter.
    fn example(&self) -> String {
        let path = self.operation.path.to_owned();
        self.parameters
            .iter()
            .fold(path, |path, Parameter { name, example, .. }| path.replace(&format!("{{{name}}}"), example))
    }

    fn contract(&self) -> String {
        let scope = self.operation.scope.map(|scope| scope.into_str());
        let parameters = self.parameters.iter().map(|parameter| match &parameter.shared {
            Some(name) => format!("  - $ref: \"#/components/parameters/{name}\"\n"),
            None => PARAMETER
                .replace("<parameter>", parameter.name)
                .replace("<words>", &parameter.name.replace('_', " ")),
        });
        let parameters = parameters.collect::<String>();
        let (parameters, not_found) = match &*parameters {
            "" => (parameters, ""),
            some => (format!("parameters:\n{some}"), NOT_FOUND),
        };
        let (security, unauthorized) = match scope {
            Some(scope) => (format!("{{ accessToken: [{scope}] }}"), UNAUTHORIZED),
            None => (String::new(), ""),
        };
        self.fill(CONTRACT)
            .replace("<security>", &security)
            .replace("<parameters>", &parameters)
            .replace("<refusals>", &format!("{unauthorized}{not_found}"))
    }

    /// Returns the example event, made from that of [`NEIGHBOUR`].
    fn event(&self) -> Result<String, NewError> {
        let path = "local/events/health-get.json";
        let event = self.files.get(path).ok_or(NewError::Place("local/events", "health-get.json"))?;
        let parameters: Vec<String> = self
            .parameters
            .iter()
            .map(|Parameter { name, example, .. }| format!("    \"{name}\": \"{example}\""))
            .collect();
        let parameters = match parameters.is_empty() {
            true => "null".to_owned(),
            false => format!("{{\n{}\n  }}", parameters.join(",\n")),
        };
        let example = self.example();
        let event = event
            .replace("\"path\": \"/health\"", &format!("\"path\": \"{example}\""))
            .replace("\"path\": \"/v1/health\"", &format!("\"path\": \"/v1{example}\""))
            .replace("\"/health\"", &format!("\"{}\"", self.operation.path))
            .replace("\"GET\"", &format!("\"{}\"", self.operation.method))
            .replace(NEIGHBOUR, self.operation.name)
            .replace("\"pathParameters\": null", &format!("\"pathParameters\": {parameters}"));
        Ok(match self.operation.scope {
            None => event,
            Some(_) => event
                .replace(
                    "    \"Host\": \"",
                    "    \"Authorization\": \"Bearer ACCESS_TOKEN\",\n    \"Host\": \"",
                )
                .replace(
                    "    \"Host\": [",
                    "    \"Authorization\": [\n      \"Bearer ACCESS_TOKEN\"\n    ],\n    \"Host\": [",
                ),
        })
    }

    /// Returns template.yaml with the alarm and the function. The function follows the last one of the same resource, or
    /// else the last one.
    fn template(&self) -> Result<String, NewError> {
        let template = self.alarm()?;
        let rights = if self.operation.scope.is_some() { RIGHTS } else { "" };
        let function = self.fill(FUNCTION).replace("<rights>", rights);

        let blocks = blocks(&template);
        let resource = tidy::pascal(self.resource());
        let is_function = |block: &&Block| block.text.contains("Type: AWS::Serverless::Function");
        let functions = || blocks.iter().filter(is_function);
        let last = functions().rfind(|block| begins_with_word(block.id, &resource));
        let last = last.or_else(|| functions().next_back());
        let end = last.ok_or(NewError::Place("template.yaml", "function"))?.end;
        Ok(format!("{}\n{function}{}", &template[..end], &template[end..]))
    }

    /// Returns template.yaml with the operation's row in `Mappings` and its name in the loop of alarms.
    fn alarm(&self) -> Result<String, NewError> {
        let template = text(self.files, "template.yaml");
        if !template.contains(ALARM_ROW) || !template.contains(ALARM_NAME) {
            return Err(NewError::Place("template.yaml", "alarm of HealthGet"));
        }
        let after = |last: &str, line: &str| self.fill(&format!("{last}{line}"));
        let template = template.replacen(ALARM_ROW, &after(ALARM_ROW, NEW_ALARM_ROW), 1);
        Ok(template.replacen(ALARM_NAME, &after(ALARM_NAME, "        <Name>,\n"), 1))
    }

    /// Returns the access matrix with a row for the operation.
    fn access(&self) -> Result<String, NewError> {
        let end = "        unknown => panic!(";
        let access = text(self.files, "tests/api/access.rs");
        let row = self.fill("        \"<name>\" => shop.<verb>(\"<example>\").into(),\n");
        match access.split_once(end) {
            Some((before, after)) => Ok(format!("{before}{row}{end}{after}")),
            None => Err(NewError::Place("tests/api/access.rs", "row for unknown operations")),
        }
    }

    /// Adds a test to the module of the resource.
    fn test(&self, files: &mut Files) -> Result<(), NewError> {
        let caller = self.operation.scope.map(|scope| format!(".scoped(\"{}\")", scope.into_str()));
        let test = self.fill(TEST).replace("<caller>", caller.as_deref().unwrap_or(""));
        let resource = self.resource();
        let path = format!("tests/api/{resource}.rs");
        if !files.contains_key(&path) {
            let main = files.get_mut("tests/api/main.rs").ok_or(NewError::Place("tests/api", "main.rs"))?;
            main.push_str(&format!("\nmod {resource};\n"));
        }
        let module = files.entry(path).or_default();
        module.push_str(if module.is_empty() { test.trim_start() } else { &test });
        Ok(())
    }
}

impl<'n> Parameter<'n> {
    fn of(name: &'n str, common: &Value) -> Self {
        let mut known = common["components"]["parameters"].as_mapping().into_iter().flatten();
        let shared = known.find(|(_, parameter)| parameter["name"] == name && parameter["in"] == "path");
        let example = shared.and_then(|(_, parameter)| parameter["example"].as_str());
        Self {
            name,
            shared: shared.and_then(|(key, _)| key.as_str()).map(str::to_owned),
            example: example.unwrap_or("example").to_owned(),
        }
    }
}

fn resource(name: &str) -> &str {
    name.split_once('-').map_or(name, |(resource, _)| resource)
}

/// Returns the tag of the resource's other functions, or else the last of all tags.
fn tag(files: &Files, name: &str, common: &Value) -> String {
    let resource = resource(name);
    let is_sibling = |path: &str| {
        path.strip_prefix("functions/").is_some_and(|path| path.starts_with(&format!("{resource}-")))
            && path.ends_with("/openapi.yaml")
    };
    let mut siblings = files.iter().filter(|(path, _)| is_sibling(path));
    let tag = siblings.find_map(|(_, contract)| {
        contract.lines().find_map(|line| line.strip_prefix("tags: [")?.strip_suffix(']'))
    });
    let last = common["tags"].as_sequence().and_then(|tags| tags.last()?["name"].as_str());
    tag.or(last).unwrap_or_default().to_owned()
}

/// A resource of template.yaml.
struct Block<'t> {
    id: &'t str,
    text: &'t str,
    /// End of the text in the template.
    end: usize,
}

/// Finds the resources in template.yaml. A resource ends with the last line that is indented deeper than its id.
fn blocks(template: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut start, mut at) = (0, 0);
    let mut is_inside = false;
    for line in template.split_inclusive('\n') {
        let id = line.strip_prefix("  ").and_then(|line| line.trim_end().strip_suffix(':'));
        if let Some(id) = id.filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric())) {
            (start, is_inside) = (at, true);
            blocks.push(Block { id, text: "", end: at });
        } else if !line.starts_with("    ") && !line.trim().is_empty() {
            is_inside = false;
        }
        at += line.len();
        if let Some(block) = blocks.last_mut().filter(|_| is_inside && !line.trim().is_empty()) {
            (block.text, block.end) = (&template[start..at], at);
        }
    }
    blocks
}

/// Returns whether an id begins with a word: `UsersGet` with `Users`, but not with `User`.
fn begins_with_word(id: &str, word: &str) -> bool {
    id.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn text<'f>(files: &'f Files, path: &str) -> &'f str {
    files.get(path).map_or("", String::as_str)
}
