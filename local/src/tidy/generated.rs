//! The files that are made from others.

use std::collections::BTreeMap;

use serde_yaml_ng::{Mapping, Value};

use super::{
    TidyError,
    repository::{Repository, entries, texts},
};

/// After this line in CargoLambda.toml nothing is written by hand.
const MARK: &str = "# From here on written by `cargo shop tidy`, from the routes in template.yaml.\n";

/// A generated file: what is there, and what should be.
pub(super) struct File<'r> {
    pub name: &'static str,
    found: &'r str,
    pub wanted: String,
}

impl File<'_> {
    pub fn is_fresh(&self) -> bool {
        self.found == self.wanted
    }
}

pub(super) fn files(repository: &Repository) -> Result<[File<'_>; 2], TidyError> {
    let file = |name, wanted| File { name, found: repository.text(name), wanted };
    let document = serde_json::to_string_pretty(&openapi(repository))? + "\n";
    Ok([file("openapi.json", document), file("CargoLambda.toml", watch_routes(repository))])
}

/// The contracts of all operations, with what they share, as one OpenAPI document.
pub(super) fn openapi(repository: &Repository) -> Value {
    let mut document = Mapping::new();
    let (headers, parts): (Vec<_>, Vec<_>) =
        entries(&repository.common).partition(|(name, _)| *name == "x-headers-of-every-response");
    let headers: Vec<&str> = headers.into_iter().flat_map(|(_, names)| texts(names)).collect();
    for (name, part) in parts {
        // The paths stand before what they refer to.
        if name == "components" {
            document.insert("paths".into(), paths(repository, &headers));
        }
        document.insert(name.into(), part.clone());
    }
    let components = document.get_mut("components").and_then(|components| components.get_mut("responses"));
    add_headers(components, &headers);
    Value::Mapping(document)
}

fn paths(repository: &Repository, headers: &[&str]) -> Value {
    let mut paths = Mapping::new();
    for function in repository.template.functions() {
        for route in function.routes() {
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

/// Gives each response that is no reference the headers that all have, but for those that it describes itself.
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

/// CargoLambda.toml: its part by hand as it is, and the routes as the template has them.
fn watch_routes(repository: &Repository) -> String {
    let mut routes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for function in repository.template.functions() {
        for route in function.routes() {
            let path = format!("/{}{}", repository.template.stage(), route.path);
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
