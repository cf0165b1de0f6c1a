//! Checks the repository beyond the compiler.
//!
//! [`write()`] updates the generated files: `openapi.json`, the routes in `CargoLambda.toml` and the table of variables in
//! `docs/configuration.md`. [`rules`] compare template, contracts, packages and sources; each finding is a sentence with the
//! place and what to do.

mod error;
mod text;

mod repository;

pub mod breaking;
mod configuration;
mod modules;
mod prose;

mod generated;

mod metrics;

pub mod rules;

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

pub use error::TidyError;
pub use repository::{Files, Repository, Variable, read};
pub use text::pascal;

/// Updates the generated files of the repository at `root`. Returns the paths of changed ones.
///
/// # Errors
/// [`TidyError`].
pub fn write(root: &Path) -> Result<Vec<String>, TidyError> {
    let mut changed = Vec::new();
    for file in generated::files(&Repository::new(read(root)?)?)? {
        changed.extend(file.write_if_stale(root)?);
    }
    Ok(changed)
}

/// Releases the API: writes the document of each version to docs/api, which the contracts must then stay compatible with.
/// Returns the paths of changed files.
///
/// # Errors
/// [`TidyError::Broken`] if a released version would break; [`TidyError`].
pub fn release(root: &Path) -> Result<Vec<String>, TidyError> {
    let repository = Repository::new(read(root)?)?;
    let broken = rules::released(&repository);
    if !broken.is_empty() {
        return Err(TidyError::Broken(broken));
    }
    let mut changed = Vec::new();
    for file in generated::released(&repository)? {
        changed.extend(file.write_if_stale(root)?);
    }
    Ok(changed)
}

/// Returns the OpenAPI document of each version, by its stage.
///
/// # Errors
/// [`TidyError`].
pub fn documents(repository: &Repository) -> Result<BTreeMap<String, Value>, TidyError> {
    generated::documents_as_json(repository)
}

/// Returns all findings in the repository at `root`.
///
/// # Errors
/// [`TidyError`].
pub fn findings(root: &Path) -> Result<Vec<String>, TidyError> {
    let repository = Repository::new(read(root)?)?;
    Ok(rules::ALL.iter().flat_map(|rule| rule(&repository)).collect())
}
