use std::{io, path::PathBuf};

/// The reason for which a repository can't be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// A folder is missing or unreadable.
    #[error("{0} can't be read: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// A file is no YAML.
    #[error("{0} is no valid YAML: {1}")]
    Yaml(String, #[source] serde_yaml_ng::Error),
    /// A manifest is no TOML.
    #[error("{0} is no valid TOML: {1}")]
    Toml(String, #[source] toml::de::Error),
    /// A source is no Rust.
    #[error("{0} is no valid Rust: {1}")]
    Rust(String, #[source] syn::Error),
    /// The contracts hold something that JSON can't.
    #[error("the contracts can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A version that was released would break.
    #[error("this breaks what was released (docs/versioning.md):\n{}", .0.join("\n"))]
    Broken(Vec<String>),
    /// A generated file can't be written.
    #[error("{0} can't be written: {1}")]
    Write(PathBuf, #[source] io::Error),
}
