use std::{io, path::PathBuf};

/// The repository cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    #[error("{0} cannot be read: {1}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} is not valid YAML: {1}")]
    Yaml(String, #[source] serde_yaml_ng::Error),
    #[error("{0} is not valid TOML: {1}")]
    Toml(String, #[source] toml::de::Error),
    #[error("{0} is not valid Rust: {1}")]
    Rust(String, #[source] syn::Error),
    #[error("the contracts cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("this breaks a released version (docs/versioning.md):\n{}", .0.join("\n"))]
    Broken(Vec<String>),
    #[error("{0} cannot be written: {1}")]
    Write(PathBuf, #[source] io::Error),
}
