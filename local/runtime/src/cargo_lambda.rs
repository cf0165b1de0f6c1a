//! cargo-lambda: found, or installed into a folder of its own.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::process::{self, Group};

/// The version that is installed, and the oldest that is taken where one is there already.
pub const VERSION: [u32; 3] = [1, 9, 2];

/// Why there is no cargo-lambda. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No way to install it has worked.
    #[error(
        "cargo-lambda can't be installed, neither with python3 (its modules venv or pip) nor with cargo: install \
         it as https://www.cargo-lambda.info says, then run this again"
    )]
    NoWay,
    /// The folder for it can't be used.
    #[error("cargo-lambda can't be installed in {0}: {1}")]
    Folder(PathBuf, #[source] io::Error),
}

/// The path of cargo-lambda: the one on `PATH`, if it is new enough, or the one in this project's own folder below
/// target/, installed there by the first call. `say` is told what takes long.
///
/// # Errors
/// Where it can't be installed.
pub async fn ensure(group: &Group, say: impl Fn(&str)) -> Result<PathBuf, InstallError> {
    if works(Path::new("cargo-lambda")).await {
        return Ok("cargo-lambda".into());
    }
    let [major, minor, patch] = VERSION;
    let version = format!("{major}.{minor}.{patch}");
    let tools = process::target_folder().join("tools");
    let folder = tools.join(format!("cargo-lambda-{version}"));
    let program = folder.join("bin/cargo-lambda");
    let unusable = |error| InstallError::Folder(tools.clone(), error);
    fs::create_dir_all(&tools).map_err(unusable)?;
    // Two that start at once must not install over each other.
    let lock = File::create(tools.join("lock")).map_err(unusable)?;
    lock.lock().map_err(unusable)?;
    if works(&program).await {
        return Ok(program);
    }

    let path = folder.to_string_lossy();
    let (pip, python) = (format!("{path}/bin/pip"), format!("cargo-lambda=={version}"));
    // Without its dependency: a compiler for other processors, which only a deployment needs.
    let from_pypi = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", &python];
    let ways: [(&str, &[&[&str]]); 3] = [
        ("PyPI", &[&["python3", "-m", "venv", &path], &[&[pip.as_str()], &from_pypi[..]].concat()]),
        (
            "PyPI, with pip alone",
            &[&[&["python3", "-m", "pip"], &from_pypi[..], &["--target", &path]].concat()],
        ),
        (
            "crates.io, which takes some minutes",
            &[&["cargo", "install", "cargo-lambda", "--version", &version, "--locked", "--root", &path]],
        ),
    ];
    for (source, steps) in ways {
        say(&format!("installing cargo-lambda {version} from {source}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(unusable)?;
        }
        if succeeds(group, steps).await && works(&program).await {
            return Ok(program);
        }
    }
    Err(InstallError::NoWay)
}

/// Runs one command after the other until one fails. What it prints is for the next way to do better.
async fn succeeds(group: &Group, steps: &[&[&str]]) -> bool {
    for step in steps {
        let [program, arguments @ ..] = step else { return false };
        let Ok(mut command) = group.command(program) else { return false };
        let status = process::without_cargo_run(command.args(arguments)).status().await;
        if !status.is_ok_and(|status| status.success()) {
            return false;
        }
    }
    true
}

/// Whether there is a cargo-lambda that is new enough.
async fn works(program: &Path) -> bool {
    let output = Command::new(program).args(["lambda", "--version"]).output().await;
    let version = output.ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    version.is_some_and(|version| version >= VERSION && version[0] == VERSION[0])
}

/// The version in `cargo-lambda 1.9.2 (67129fc 2026-08-21Z)`.
fn version(text: &str) -> Option<[u32; 3]> {
    let mut parts = text.split_whitespace().nth(1)?.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        assert_eq!(version("cargo-lambda 1.9.2 (67129fc 2026-08-21Z)\n"), Some([1, 9, 2]));
        assert!(version("cargo-lambda 1.10.0") > Some(VERSION));
        assert_eq!(version("sh: not found"), None);
    }
}
