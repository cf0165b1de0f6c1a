//! The repository's files, and what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;
use template::parse;

use super::error::TidyError;

/// The texts of a repository's sources and documents, by their path from its root.
pub type Files = BTreeMap<String, String>;

/// The texts of the repository at `root`.
///
/// # Errors
/// Where a folder is missing or unreadable.
pub fn read(root: &Path) -> Result<Files, TidyError> {
    let mut files = Files::new();
    for path in list(root)?.into_iter().filter(|path| path.is_file()) {
        collect(root, path, &mut files)?;
    }
    for folder in ["docs", "functions", "local", "shared", "tests"] {
        collect(root, root.join(folder), &mut files)?;
    }
    Ok(files)
}

/// Collects texts. Names that begin with a dot, and files that are no text, are data and not sources.
fn collect(root: &Path, path: PathBuf, files: &mut Files) -> Result<(), TidyError> {
    let dotted = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    if dotted {
        return Ok(());
    }
    if path.is_dir() {
        return list(&path)?.into_iter().try_for_each(|path| collect(root, path, files));
    }
    if let (Ok(relative), Ok(text)) = (path.strip_prefix(root), fs::read_to_string(&path)) {
        files.insert(relative.to_string_lossy().replace('\\', "/"), text);
    }
    Ok(())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, TidyError> {
    let unreadable = |cause| TidyError::Read(folder.to_owned(), cause);
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect()
}

/// The repository as the rules see it.
pub struct Repository {
    /// template.yaml.
    pub(super) template: Template,
    /// shared/openapi.yaml.
    pub(super) common: Value,
    /// The folders below functions/, by name.
    pub(super) folders: BTreeMap<String, Folder>,
    /// All of it.
    pub(super) files: Files,
}

/// An environment variable of a function, as template.yaml sets it.
pub struct Variable<'r> {
    /// Its name.
    pub name: &'r str,
    /// The text that it is set to: of `!Ref X`, that is `X`.
    pub value: &'r str,
    /// The parameter of that name; null where the value is something else, such as a table.
    pub(super) parameter: &'r Value,
    /// True if Globals set it, for all functions.
    pub is_global: bool,
}

impl<'r> Variable<'r> {
    fn read(
        template: &'r Template,
        properties: &'r Value,
        is_global: bool,
    ) -> impl Iterator<Item = Variable<'r>> {
        entries(&properties["Environment"]["Variables"]).map(move |(name, value)| {
            let value = value.as_str().unwrap_or_default();
            Variable { name, value, parameter: &template.0["Parameters"][value], is_global }
        })
    }

    /// Tells if it is empty unless a deployment sets it. Functions treat an empty variable as a missing one.
    pub fn is_optional(&self) -> bool {
        self.parameter["Default"] == ""
    }
}

/// A folder below functions/.
#[derive(Default)]
pub(super) struct Folder {
    pub manifest: toml::Table,
    pub main: String,
    /// Its operations, by file: openapi.yaml, and openapi-….yaml for each further route.
    pub contracts: BTreeMap<String, Value>,
}

impl Repository {
    /// Reads the contracts, the manifests and the template among the files.
    ///
    /// # Errors
    /// Where one of them is no valid YAML or TOML.
    pub fn new(files: Files) -> Result<Self, TidyError> {
        let yaml = |path: &str| {
            let text = files.get(path).map_or("", String::as_str);
            parse(text).map_err(|cause| TidyError::Yaml(path.to_owned(), cause))
        };
        let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
        for (path, text) in &files {
            let Some((name, file)) = path.strip_prefix("functions/").and_then(|path| path.split_once('/'))
            else {
                continue;
            };
            let folder = folders.entry(name.to_owned()).or_default();
            match file {
                "Cargo.toml" => {
                    folder.manifest =
                        toml::from_str(text).map_err(|cause| TidyError::Toml(path.clone(), cause))?;
                }
                "src/main.rs" => folder.main.clone_from(text),
                _ if file.starts_with("openapi") => {
                    folder.contracts.insert(file.to_owned(), yaml(path)?);
                }
                _ => {}
            }
        }
        let template = Template(yaml("template.yaml")?);
        let common = yaml("shared/openapi.yaml")?;
        Ok(Self { template, common, folders, files })
    }

    /// The contract of a route, if there is one.
    pub(super) fn contract(&self, function: &Function, route: &Route) -> Option<&Value> {
        self.folders.get(function.name())?.contracts.get(&route.contract)
    }

    /// The rights of each function, by its name: an action and a resource (`ProductsTable`, `ProductsTable/index/*`).
    pub fn rights(&self) -> BTreeMap<String, BTreeSet<(String, String)>> {
        let rights = |statement: &Value| {
            let resource = statement["Resource"].as_str().unwrap_or_default();
            let resource = resource.replace("${", "").replace(".Arn", "").replace('}', "");
            let actions = texts(&statement["Action"]);
            actions.map(|action| (action.to_owned(), resource.clone())).collect::<Vec<_>>()
        };
        let functions = self.template.functions().into_iter();
        functions
            .map(|function| {
                (function.name().to_owned(), function.statements().into_iter().flat_map(rights).collect())
            })
            .collect()
    }

    /// The environment variables that template.yaml sets for each function, its own and those of Globals, by its name.
    pub fn environment(&self) -> BTreeMap<String, Vec<Variable<'_>>> {
        let template = &self.template;
        let functions = template.functions().into_iter();
        functions
            .map(|function| {
                let globals = Variable::read(template, template.globals(), true);
                let own = Variable::read(template, function.properties, false);
                (function.name().to_owned(), globals.chain(own).collect())
            })
            .collect()
    }

    /// The text of a file; nothing where there is none.
    pub(super) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// The files of that extension below a folder.
    pub(super) fn below<'r>(
        &'r self,
        folder: &str,
        extension: &str,
    ) -> impl Iterator<Item = (&'r str, &'r str)> {
        let files =
            self.files.iter().filter(move |(path, _)| path.starts_with(folder) && path.ends_with(extension));
        files.map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

/// template.yaml. CloudFormation's short forms (`!Ref X`, `!GetAtt X.Arn`, `!Sub …`) read as their text.
pub(super) struct Template(pub Value);

impl Template {
    pub fn resource(&self, id: &str) -> &Value {
        &self.0["Resources"][id]
    }

    /// The properties of all resources of a type, by logical id.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let resources = entries(&self.0["Resources"]).filter(move |(_, resource)| resource["Type"] == kind);
        resources.map(|(id, resource)| (id, &resource["Properties"]))
    }

    /// The properties that all functions inherit.
    pub fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// The functions, in the template's order.
    pub fn functions(&self) -> Vec<Function<'_>> {
        let functions = self.resources("AWS::Serverless::Function");
        functions.map(|(id, properties)| Function { id, properties, template: self }).collect()
    }

    /// The names of the environment variables that all functions have.
    pub fn variables(&self) -> BTreeSet<&str> {
        entries(&self.globals()["Environment"]["Variables"]).map(|(name, _)| name).collect()
    }

    /// The stages, with which every path begins: the versions of the API, each a REST API of its own.
    pub fn stages(&self) -> Vec<&str> {
        let apis = self.resources("AWS::Serverless::Api");
        apis.filter_map(|(_, api)| api["StageName"].as_str()).collect()
    }
}

/// A function as the template has it.
#[derive(Clone, Copy)]
pub(super) struct Function<'t> {
    pub id: &'t str,
    pub properties: &'t Value,
    template: &'t Template,
}

/// A method and path that a function answers.
pub(super) struct Route<'t> {
    /// Its name in the contract: the function's, and after it that of the event where that is not `Http`.
    pub operation: String,
    /// The file in the function's folder that has its contract.
    pub contract: String,
    /// The stage of the API that it belongs to.
    pub stage: &'t str,
    pub method: &'t str,
    pub path: &'t str,
    pub needs_key: bool,
}

impl<'t> Function<'t> {
    /// The name that folder, package, binary and operation share.
    pub fn name(&self) -> &'t str {
        let code = self.properties["CodeUri"].as_str().unwrap_or_default();
        code.rsplit('/').next().unwrap_or_default()
    }

    /// Its routes: none or one for most functions, two where a page has two methods or a document two addresses.
    pub fn routes(&self) -> Vec<Route<'t>> {
        let events = entries(&self.properties["Events"]).filter(|(_, event)| event["Type"] == "Api");
        let route = |(event, properties): (&str, &'t Value)| {
            let api = &properties["Properties"];
            let rest_api = api["RestApiId"].as_str().unwrap_or_default();
            let suffix = if event == "Http" { String::new() } else { format!("-{}", event.to_lowercase()) };
            Some(Route {
                operation: format!("{}{suffix}", self.name()),
                contract: format!("openapi{suffix}.yaml"),
                stage: self.template.resource(rest_api)["Properties"]["StageName"].as_str()?,
                method: api["Method"].as_str()?,
                path: api["Path"].as_str()?,
                needs_key: api["Auth"]["ApiKeyRequired"] == true,
            })
        };
        events.filter_map(route).collect()
    }

    /// The names of its own environment variables, beside those of all functions.
    pub fn variables(&self) -> BTreeSet<&'t str> {
        entries(&self.properties["Environment"]["Variables"]).map(|(name, _)| name).collect()
    }

    /// Its IAM statements, whether in its own policies or in those of a role that is written out.
    pub fn statements(&self) -> Vec<&'t Value> {
        let own = elements(&self.properties["Policies"]).map(|policy| &policy["Statement"]);
        let role =
            self.properties["Role"].as_str().and_then(|role| role.split('.').next()).unwrap_or_default();
        let role = elements(&self.template.resource(role)["Properties"]["Policies"]);
        let role = role.map(|policy| &policy["PolicyDocument"]["Statement"]);
        own.chain(role).flat_map(elements).collect()
    }
}

/// The entries of a mapping whose keys are text; none where the value is something else.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.filter_map(|(key, value)| key.as_str().map(|key| (key, value)))
}

/// The elements of a sequence; none where the value is something else.
pub(super) fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

/// The texts in a sequence.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    elements(value).filter_map(Value::as_str)
}
