//! Generated files.

use std::{collections::BTreeMap, fs, path::Path};

use serde_yaml_ng::{Mapping, Value};

use super::{
    configuration,
    error::TidyError,
    repository::{Repository, entries, texts},
};

/// Everything below this line in CargoLambda.toml is generated.
const MARK: &str = "# From here on written by `cargo shop tidy`, from the routes in template.yaml.\n";

/// A generated file with its current and its expected text.
pub(super) struct File<'r> {
    pub name: String,
    found: &'r str,
    pub wanted: String,
}

impl File<'_> {
    pub fn is_fresh(&self) -> bool {
        self.found == self.wanted
    }

    /// Returns its path if it had to be written.
    pub fn write_if_stale(self, root: &Path) -> Result<Option<String>, TidyError> {
        if self.is_fresh() {
            return Ok(None);
        }
        let path = root.join(&self.name);
        let folder = path.parent().unwrap_or(root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &self.wanted));
        written.map_err(|cause| TidyError::Write(path, cause))?;
        Ok(Some(self.name))
    }
}

/// Returns the generated files: `openapi.json`, for a second version `openapi-v2.json`; the routes in `CargoLambda.toml`;
/// the table of variables in `docs/configuration.md`.
pub(super) fn files(repository: &Repository) -> Result<Vec<File<'_>>, TidyError> {
    let name = |version: &str| match version {
        "v1" => "openapi.json".to_owned(),
        later => format!("openapi-{later}.json"),
    };
    let mut files = written_documents(repository, name)?;
    files.push(file(repository, "CargoLambda.toml".to_owned(), watch_routes(repository)));
    files.push(file(repository, configuration::PATH.to_owned(), configuration::write(repository)));
    Ok(files)
}

/// Returns the documents of a release: `docs/api/v1.json`, and so on for each version.
pub(super) fn released(repository: &Repository) -> Result<Vec<File<'_>>, TidyError> {
    written_documents(repository, |version| format!("docs/api/{version}.json"))
}

fn written_documents(
    repository: &Repository,
    name: impl Fn(&str) -> String,
) -> Result<Vec<File<'_>>, TidyError> {
    let documents = documents(repository).into_iter();
    let files = documents.map(|(version, document)| {
        Ok(file(repository, name(&version), serde_json::to_string_pretty(&document)? + "\n"))
    });
    files.collect()
}

fn file(repository: &Repository, name: String, wanted: String) -> File<'_> {
    File { found: repository.text(&name), name, wanted }
}

/// Returns the OpenAPI document of each version, by its stage.
pub(super) fn documents(repository: &Repository) -> BTreeMap<String, Value> {
    let stages = repository.template.stages().into_iter();
    stages.map(|stage| (stage.to_owned(), document(repository, stage))).collect()
}

/// Returns the documents as JSON.
pub(super) fn documents_as_json(
    repository: &Repository,
) -> Result<BTreeMap<String, serde_json::Value>, TidyError> {
    let documents = documents(repository).into_iter();
    documents.map(|(version, document)| Ok((version, serde_json::to_value(document)?))).collect()
}

/// Assembles the contracts of a version and their shared parts into one OpenAPI document.
fn document(repository: &Repository, stage: &str) -> Value {
    let mut document = Mapping::new();
    let (headers, parts): (Vec<_>, Vec<_>) =
        entries(&repository.common).partition(|(name, _)| *name == "x-headers-of-every-response");
    let headers: Vec<&str> = headers.into_iter().flat_map(|(_, names)| texts(names)).collect();
    for (name, part) in parts {
        // The paths stand before what they refer to.
        if name == "components" {
            document.insert("paths".into(), paths(repository, stage, &headers));
        }
        document.insert(name.into(), part.clone());
    }
    let components = document.get_mut("components").and_then(|components| components.get_mut("responses"));
    add_headers(components, &headers);
    let mut document = Value::Mapping(document);
    document["info"]["version"] = stage.trim_start_matches('v').into();
    for server in document["servers"].as_sequence_mut().into_iter().flatten() {
        let url = server["url"].as_str().and_then(|url| url.rsplit_once('/'));
        if let Some(url) = url.map(|(host, _)| format!("{host}/{stage}")) {
            server["url"] = url.into();
        }
    }
    document
}

fn paths(repository: &Repository, stage: &str, headers: &[&str]) -> Value {
    let mut paths = Mapping::new();
    for function in repository.template.functions() {
        for route in function.routes().into_iter().filter(|route| route.stage == stage) {
            let Some(mut operation) = repository.contract(&function, &route).cloned() else { continue };
            add_headers(operation.get_mut("responses"), headers);
            let path = paths.entry(route.path.into()).or_insert(Value::Mapping(Mapping::new()));
            if let Some(methods) = path.as_mapping_mut() {
                methods.insert(route.method.to_lowercase().into(), operation);
            }
        }
    }
    Value::Mapping(paths)
}

/// Adds the common headers to each response that is not a reference and does not describe them.
fn add_headers(responses: Option<&mut Value>, names: &[&str]) {
    let responses =
        responses.and_then(Value::as_mapping_mut).into_iter().flatten().map(|(_, response)| response);
    for response in
        responses.filter_map(Value::as_mapping_mut).filter(|response| !response.contains_key("$ref"))
    {
        let headers = response.entry("headers".into()).or_insert(Value::Mapping(Mapping::new()));
        let Some(headers) = headers.as_mapping_mut() else { continue };
        for name in names {
            let reference =
                Mapping::from_iter([("$ref".into(), format!("#/components/headers/{name}").into())]);
            headers.entry((*name).into()).or_insert(Value::Mapping(reference));
        }
    }
}

/// Returns CargoLambda.toml: its written part, and the routes of the template.
fn watch_routes(repository: &Repository) -> String {
    let mut routes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for function in repository.template.functions() {
        for route in function.routes() {
            let path = format!("/{}{}", route.stage, route.path);
            let entry =
                format!("    {{ method = \"{}\", function = \"{}\" }},\n", route.method, function.name());
            routes.entry(path).or_default().push(entry);
        }
    }
    let found = repository.text("CargoLambda.toml");
    let by_hand = found.split(MARK).next().unwrap_or_default();
    let routes = routes.into_iter().map(|(path, entries)| format!("\"{path}\" = [\n{}]\n", entries.concat()));
    format!("{by_hand}{MARK}\n[watch.router]\n{}", routes.collect::<String>())
}
