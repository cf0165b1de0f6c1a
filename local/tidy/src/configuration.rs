//! The table of environment variables in docs/configuration.md.

use std::collections::BTreeMap;

use super::repository::{Repository, Template, Variable};

pub(super) const PATH: &str = "docs/configuration.md";

/// Everything below this line is generated.
const MARK: &str = "<!-- From here on written by `cargo shop tidy`, from template.yaml. -->\n";

/// Returns the document: its written part, and a row for each variable of template.yaml.
pub(super) fn write(repository: &Repository) -> String {
    let environment = repository.environment();
    let mut variables: BTreeMap<&str, (&Variable, Vec<&str>)> = BTreeMap::new();
    for (function, own) in &environment {
        for variable in own {
            variables.entry(variable.name).or_insert((variable, Vec::new())).1.push(function);
        }
    }
    let rows = variables.into_values().map(|(variable, functions)| {
        let functions = match variable.is_global {
            true => "all".to_owned(),
            false => functions.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        format!(
            "| `{}` | {} | {} `{}` | {} | {functions} |\n",
            variable.name,
            meaning(&repository.template, variable),
            kind(&repository.template, variable),
            variable.value,
            default(variable),
        )
    });
    let by_hand = repository.text(PATH).split(MARK).next().unwrap_or_default();
    let rows: String = rows.collect();
    format!(
        "{by_hand}{MARK}\n| Variable | Meaning | Set to | Default | Functions |\n| --- | --- | --- | --- | --- |\n{rows}"
    )
}

/// Describes a variable by the first sentence of the template about its parameter or resource.
fn meaning(template: &Template, variable: &Variable) -> String {
    let resource = &template.resource(variable.value)["Properties"]["Description"];
    let description = variable.parameter["Description"].as_str().or(resource.as_str());
    let sentence =
        description.and_then(|text| text.split(". ").next()).map(|text| text.trim().trim_end_matches('.'));
    let sentence = sentence.map(|text| text.replace("${AWS::StackName}", "the stack"));
    let text = sentence.unwrap_or_else(|| format!("Name of the {}", kind(template, variable)));
    text.replace('|', "\\|").replace('<', "\\<")
}

/// Returns the kind of a variable's value.
fn kind(template: &Template, variable: &Variable) -> &'static str {
    match template.resource(variable.value)["Type"].as_str() {
        Some("AWS::DynamoDB::Table") => "table",
        Some("AWS::Events::EventBus") => "event bus",
        Some("AWS::SecretsManager::Secret") => "secret",
        _ if !variable.parameter.is_null() => "parameter",
        _ => "value",
    }
}

/// Returns the default value of a variable.
fn default(variable: &Variable) -> String {
    match (variable.parameter.is_null(), variable.parameter["Default"].as_str()) {
        (true, _) => String::new(),
        (false, Some("")) => "empty".to_owned(),
        (false, Some(text)) => format!("`{text}`"),
        (false, None) => "must be given".to_owned(),
    }
}
