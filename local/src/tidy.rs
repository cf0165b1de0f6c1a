//! What must be true of the repository as a whole, where no compiler looks.
//!
//! [`write()`] renews the files that are made from others: `openapi.json` and the routes in `CargoLambda.toml`.
//! [`rules`] hold template, contracts, packages and sources against each other; each finding is a sentence that names
//! the place and what to do.

mod generated;
mod metrics;
mod repository;
pub mod rules;
mod text;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub use repository::{Files, Repository, read};

/// Why the repository can't be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum TidyError {
    /// A folder is missing or unreadable.
    #[error("{0} can't be read: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// A file is no YAML.
    #[error("{0} is no valid YAML: {1}")]
    Yaml(String, #[source] serde_yaml_ng::Error),
    /// The contracts hold something that JSON can't.
    #[error("the contracts can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A generated file can't be written.
    #[error("{0} can't be written: {1}")]
    Write(PathBuf, #[source] io::Error),
}

/// Renews the generated files of the repository at `root`, and names those that have changed.
///
/// # Errors
/// Where a source is missing or broken, or a file can't be written.
pub fn write(root: &Path) -> Result<Vec<&'static str>, TidyError> {
    let mut changed = Vec::new();
    for file in generated::files(&Repository::new(read(root)?)?)? {
        if !file.is_fresh() {
            let path = root.join(file.name);
            fs::write(&path, &file.wanted).map_err(|cause| TidyError::Write(path, cause))?;
            changed.push(file.name);
        }
    }
    Ok(changed)
}

/// Everything that is not as it should be in the repository at `root`.
///
/// # Errors
/// Where it can't be judged at all.
pub fn findings(root: &Path) -> Result<Vec<String>, TidyError> {
    let repository = Repository::new(read(root)?)?;
    Ok(rules::ALL.iter().flat_map(|rule| rule(&repository)).collect())
}
