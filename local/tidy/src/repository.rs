//! The repository's files and their contents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;
use template::parse;

use super::error::TidyError;

/// Contents of sources and documents, by path.
pub type Files = BTreeMap<String, String>;

/// Reads the repository at `root`.
///
/// # Errors
/// [`TidyError::Read`].
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

/// Collects text files. Hidden and binary files are left out.
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

/// The repository as rules see it.
pub struct Repository {
    pub(super) template: Template,
    pub(super) common: Value,
    /// Folders below functions/, by name.
    pub(super) folders: BTreeMap<String, Folder>,
    pub(super) files: Files,
}

/// An environment variable of a function in template.yaml.
pub struct Variable<'r> {
    pub name: &'r str,
    /// The value, for `!Ref X` the text `X`.
    pub value: &'r str,
    /// The parameter of that name, or null for another value, such as a table.
    pub(super) parameter: &'r Value,
    /// True if Globals set it for all functions.
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

    /// Returns whether it is empty by default. Functions treat an empty variable as missing.
    pub fn is_optional(&self) -> bool {
        self.parameter["Default"] == ""
    }
}

/// A folder below functions/.
#[derive(Default)]
pub(super) struct Folder {
    pub manifest: toml::Table,
    pub main: String,
    /// Operations by file: openapi.yaml, and openapi-….yaml for each further route.
    pub contracts: BTreeMap<String, Value>,
}

impl Repository {
    /// Parses contracts, manifests and the template.
    ///
    /// # Errors
    /// [`TidyError`].
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

    /// Returns the contract of a route.
    pub(super) fn contract(&self, function: &Function, route: &Route) -> Option<&Value> {
        self.folders.get(function.name())?.contracts.get(&route.contract)
    }

    /// Returns the rights of each function: pairs of an action and a resource (`ProductsTable`, `ProductsTable/index/*`).
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

    /// Returns the environment variables of each function, including those of Globals.
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

    /// Returns the text of a file, or an empty one.
    pub(super) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Returns the files with an extension below a folder.
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

/// template.yaml. Short forms of functions (`!Ref X`, `!GetAtt X.Arn`, `!Sub …`) become their text.
pub(super) struct Template(pub Value);

impl Template {
    pub fn resource(&self, id: &str) -> &Value {
        &self.0["Resources"][id]
    }

    /// Returns the properties of all resources of a type, by logical id.
    pub fn resources(&self, kind: &str) -> impl Iterator<Item = (&str, &Value)> {
        let resources = entries(&self.0["Resources"]).filter(move |(_, resource)| resource["Type"] == kind);
        resources.map(|(id, resource)| (id, &resource["Properties"]))
    }

    /// Returns the properties that all functions inherit.
    pub fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// Returns the functions in the template's order.
    pub fn functions(&self) -> Vec<Function<'_>> {
        let functions = self.resources("AWS::Serverless::Function");
        functions.map(|(id, properties)| Function { id, properties, template: self }).collect()
    }

    /// Returns the names of the variables that all functions have.
    pub fn variables(&self) -> BTreeSet<&str> {
        entries(&self.globals()["Environment"]["Variables"]).map(|(name, _)| name).collect()
    }

    /// Returns the stages: the versions of the API, each a REST API.
    pub fn stages(&self) -> Vec<&str> {
        let apis = self.resources("AWS::Serverless::Api");
        apis.filter_map(|(_, api)| api["StageName"].as_str()).collect()
    }
}

/// A function in the template.
#[derive(Clone, Copy)]
pub(super) struct Function<'t> {
    pub id: &'t str,
    pub properties: &'t Value,
    template: &'t Template,
}

/// A route of a function.
pub(super) struct Route<'t> {
    /// Operation id: the function's name, followed by that of the event unless it is `Http`.
    pub operation: String,
    /// Contract file in the function's folder.
    pub contract: String,
    /// Stage of its API.
    pub stage: &'t str,
    pub method: &'t str,
    pub path: &'t str,
    pub needs_key: bool,
}

impl<'t> Function<'t> {
    /// Name of folder, package, binary and operation.
    pub fn name(&self) -> &'t str {
        let code = self.properties["CodeUri"].as_str().unwrap_or_default();
        code.rsplit('/').next().unwrap_or_default()
    }

    /// Routes. A page may have two methods, a document two paths.
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

    /// Returns the names of its own environment variables, without those of Globals.
    pub fn variables(&self) -> BTreeSet<&'t str> {
        entries(&self.properties["Environment"]["Variables"]).map(|(name, _)| name).collect()
    }

    /// Returns its IAM statements, in its policies or in an explicit role.
    pub fn statements(&self) -> Vec<&'t Value> {
        let own = elements(&self.properties["Policies"]).map(|policy| &policy["Statement"]);
        let role =
            self.properties["Role"].as_str().and_then(|role| role.split('.').next()).unwrap_or_default();
        let role = elements(&self.template.resource(role)["Properties"]["Policies"]);
        let role = role.map(|policy| &policy["PolicyDocument"]["Statement"]);
        own.chain(role).flat_map(elements).collect()
    }
}

/// Returns the entries of a mapping with text keys, none for another value.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flatten();
    mapping.filter_map(|(key, value)| key.as_str().map(|key| (key, value)))
}

/// Returns the elements of a sequence, none for another value.
pub(super) fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

/// Returns the texts of a sequence.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    elements(value).filter_map(Value::as_str)
}
