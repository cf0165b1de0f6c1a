//! The programs to measure, built as they are deployed.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use flate2::{Compression, write::DeflateEncoder};
use serde_json::Value;

use super::{BASELINE, BenchError, refused};
use crate::process::{self, Group};

/// What a zip file adds to a file that is named `bootstrap`: two headers, each with the name, and the end.
const ZIP_FRAME: u64 = 30 + 46 + 22 + 2 * "bootstrap".len() as u64;

/// A program, ready to be run.
pub(super) struct Program {
    /// The function that it is, or the baseline.
    pub name: String,
    pub path: PathBuf,
}

/// How large a program is, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub binary: u64,
    pub zip: u64,
}

/// Builds the baseline and these functions, and gives them in this order. Cargo shows its progress.
///
/// Only their own packages are selected: whatever else is, its features would be switched on in the functions, too.
pub(super) async fn all(group: &Group, functions: &[String]) -> Result<Vec<Program>, BenchError> {
    eprintln!(
        "building {} release functions, each a minute or more where it has changed",
        functions.len() + 1
    );
    let mut cargo = group.command(process::cargo()).map_err(refused("cargo can't be started"))?;
    cargo.args([
        "build",
        "--release",
        "--message-format",
        "json-render-diagnostics",
        "--bins",
        "--example",
        BASELINE,
    ]);
    for package in functions.iter().map(String::as_str).chain(["shared"]) {
        cargo.args(["--package", package]);
    }
    cargo.current_dir(crate::repository()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = process::without_cargo_run(&mut cargo).output().await;
    let output = output.map_err(refused("cargo can't be started"))?;
    if !output.status.success() {
        return Err(BenchError::Build);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |name: &str| {
        let mut built = messages.iter().filter(|message| message["target"]["name"] == name);
        let path = built.find_map(|message| message["executable"].as_str().map(PathBuf::from));
        Ok(Program { name: name.to_owned(), path: path.ok_or(BenchError::Build)? })
    };
    [BASELINE].into_iter().chain(functions.iter().map(String::as_str)).map(program).collect()
}

/// The size of a program, and of the zip file that would be uploaded to Lambda.
pub(super) fn size(program: &Path) -> Result<Size, BenchError> {
    let unreadable = || refused(format!("{} can't be read", program.display()));
    let binary = fs::read(program).map_err(unreadable())?;
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&binary).map_err(unreadable())?;
    let deflated = deflated.finish().map_err(unreadable())?;
    Ok(Size { binary: binary.len() as u64, zip: deflated.len() as u64 + ZIP_FRAME })
}
