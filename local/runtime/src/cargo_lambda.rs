//! Finds or installs cargo-lambda.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::process::{self, Group};

/// The version to install, and the minimum version of an existing one.
pub const VERSION: [u32; 3] = [1, 9, 2];

/// cargo-lambda cannot be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(
        "cargo-lambda cannot be installed, neither with python3 (venv and pip) nor with cargo: install it as \
         https://www.cargo-lambda.info describes, then try again"
    )]
    NoWay,
    #[error("cargo-lambda cannot be installed in {0}: {1}")]
    Folder(PathBuf, #[source] io::Error),
}

/// Returns the path of cargo-lambda: the one on `PATH` if it is new enough, else one below target/, which the first call
/// installs. `say` reports progress.
///
/// # Errors
/// [`InstallError`].
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
    // Serializes concurrent installations.
    let lock = File::create(tools.join("lock")).map_err(unusable)?;
    lock.lock().map_err(unusable)?;
    if works(&program).await {
        return Ok(program);
    }

    let path = folder.to_string_lossy();
    let (pip, python) = (format!("{path}/bin/pip"), format!("cargo-lambda=={version}"));
    // Without its dependency zig, which only deployments need.
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

/// Runs commands until one fails. Discards their output: the next source may succeed.
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

/// Returns whether a sufficiently new cargo-lambda exists.
async fn works(program: &Path) -> bool {
    let output = Command::new(program).args(["lambda", "--version"]).output().await;
    let version = output.ok().and_then(|output| version(&String::from_utf8_lossy(&output.stdout)));
    version.is_some_and(|version| version >= VERSION && version[0] == VERSION[0])
}

/// Parses `cargo-lambda 1.9.2 (67129fc 2026-08-21Z)`.
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
