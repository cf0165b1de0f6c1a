//! Checks of the repository as a whole, beyond those of the compiler.
//!
//! [`write()`] renews the files that are made from others: `openapi.json`, the routes in `CargoLambda.toml` and the table
//! of variables in `docs/configuration.md`.
//! [`rules`] hold template, contracts, packages and sources against each other; each finding is a sentence that names
//! the place and what to do.

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

/// Renews the generated files of the repository at `root`, and names those that have changed.
///
/// # Errors
/// Where a source is missing or broken, or a file can't be written.
pub fn write(root: &Path) -> Result<Vec<String>, TidyError> {
    let mut changed = Vec::new();
    for file in generated::files(&Repository::new(read(root)?)?)? {
        changed.extend(file.write_if_stale(root)?);
    }
    Ok(changed)
}

/// Releases the API as it is: writes the document of each version below docs/api, where the rules then hold the contracts
/// to it. Names the files that have changed.
///
/// # Errors
/// [`TidyError::Broken`] where it breaks what was released before; where a source is missing or broken, or a file can't
/// be written.
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

/// The OpenAPI document of each version, by its stage.
///
/// # Errors
/// Where a contract holds something that JSON can't.
pub fn documents(repository: &Repository) -> Result<BTreeMap<String, Value>, TidyError> {
    generated::documents_as_json(repository)
}

/// Everything that is not as it should be in the repository at `root`.
///
/// # Errors
/// Where it can't be judged at all.
pub fn findings(root: &Path) -> Result<Vec<String>, TidyError> {
    let repository = Repository::new(read(root)?)?;
    Ok(rules::ALL.iter().flat_map(|rule| rule(&repository)).collect())
}
