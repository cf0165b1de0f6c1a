//! The repository's files, and what they say.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_yaml_ng::Value;

use super::TidyError;

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

/// What begins with a dot, and what is no text, is data and no source.
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

/// What the rules look at.
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

/// A folder below functions/.
#[derive(Default)]
pub(super) struct Folder {
    pub manifest: String,
    pub main: String,
    /// Its openapi.yaml, if it has one.
    pub contract: Option<Value>,
}

impl Repository {
    /// Reads what is YAML among the files.
    ///
    /// # Errors
    /// Where some of it is no valid YAML.
    pub fn new(files: Files) -> Result<Self, TidyError> {
        let yaml = |path: &str| {
            let text = files.get(path).map_or("", String::as_str);
            serde_yaml_ng::from_str(text).map_err(|cause| TidyError::Yaml(path.to_owned(), cause))
        };
        let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
        for (path, text) in &files {
            let Some((name, file)) = path.strip_prefix("functions/").and_then(|path| path.split_once('/'))
            else {
                continue;
            };
            let folder = folders.entry(name.to_owned()).or_default();
            match file {
                "Cargo.toml" => folder.manifest.clone_from(text),
                "src/main.rs" => folder.main.clone_from(text),
                "openapi.yaml" => folder.contract = Some(yaml(path)?),
                _ => {}
            }
        }
        let template = Template(yaml("template.yaml")?);
        let common = yaml("shared/openapi.yaml")?;
        Ok(Self { template, common, folders, files })
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

    /// What a function has if it says nothing else.
    pub fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// The functions, in the template's order.
    pub fn functions(&self) -> Vec<Function<'_>> {
        let resources = entries(&self.0["Resources"]);
        let functions = resources.filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        functions
            .map(|(id, resource)| Function { id, properties: &resource["Properties"], template: self })
            .collect()
    }

    /// The API's stage, with which every path begins: the version.
    pub fn stage(&self) -> &str {
        let stages = entries(&self.0["Resources"]).map(|(_, resource)| resource);
        let mut apis = stages.filter(|resource| resource["Type"] == "AWS::Serverless::Api");
        apis.next().and_then(|api| api["Properties"]["StageName"].as_str()).unwrap_or_default()
    }
}

/// A function as the template has it.
#[derive(Clone, Copy)]
pub(super) struct Function<'t> {
    pub id: &'t str,
    pub properties: &'t Value,
    template: &'t Template,
}

/// Where a function answers HTTP requests.
#[derive(Clone, Copy)]
pub(super) struct Route<'t> {
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

    pub fn route(&self) -> Option<Route<'t>> {
        let events = entries(&self.properties["Events"]).map(|(_, event)| event);
        let api = events.filter(|event| event["Type"] == "Api").map(|event| &event["Properties"]).next()?;
        let needs_key = api["Auth"]["ApiKeyRequired"] == true;
        Some(Route { method: api["Method"].as_str()?, path: api["Path"].as_str()?, needs_key })
    }

    /// The names of its environment variables.
    pub fn variables(&self) -> BTreeSet<&'t str> {
        let everywhere = entries(&self.template.globals()["Environment"]["Variables"]);
        let own = entries(&self.properties["Environment"]["Variables"]);
        everywhere.chain(own).map(|(name, _)| name).collect()
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
