//! Builds the release binaries to measure.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use flate2::{Compression, write::DeflateEncoder};
use runtime::process::{self, Group};
use serde_json::Value;

use super::{BASELINE, BenchError, refused};

/// Bytes that a zip file adds to a file named `bootstrap`: two headers with the name, and the end.
const ZIP_FRAME: u64 = 30 + 46 + 22 + 2 * "bootstrap".len() as u64;

/// A release binary.
pub(super) struct Program {
    /// Name of the function, or the baseline.
    pub name: String,
    pub path: PathBuf,
}

/// Size in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub binary: u64,
    pub zip: u64,
}

/// Builds this program with the profile `bench`. Returns its path.
pub(super) async fn optimized(group: &Group) -> Result<PathBuf, BenchError> {
    const WHAT: &str = "the benchmark itself";
    eprintln!("building {WHAT}: some minutes the first time");
    let selected = ["--profile", "bench", "--package", "local-shop", "--example", "shop"];
    let mut built = cargo(group, WHAT, &selected).await?;
    built.pop().map(|shop| shop.path).ok_or(BenchError::Build(WHAT))
}

/// Builds the baseline and the functions. Returns them in this order.
///
/// Selects only their packages: features of others would be enabled in the functions, too.
pub(super) async fn functions(group: &Group, names: &[String]) -> Result<Vec<Program>, BenchError> {
    const WHAT: &str = "the functions";
    eprintln!("building {WHAT} and the baseline: a minute or two for each that has changed");
    let packages = names.iter().flat_map(|name| ["--package", name.as_str()]);
    let selected =
        ["--release", "--bins", "--example", BASELINE, "--package", "shared"].into_iter().chain(packages);
    let mut built = cargo(group, WHAT, &selected.collect::<Vec<_>>()).await?;
    let wanted = |name: &str| {
        let index = built.iter().position(|program| program.name == name);
        index.map(|index| built.swap_remove(index)).ok_or(BenchError::Build(WHAT))
    };
    [BASELINE].into_iter().chain(names.iter().map(String::as_str)).map(wanted).collect()
}

/// Runs `cargo build`, which shows its progress. Returns the binaries.
async fn cargo(group: &Group, what: &'static str, selected: &[&str]) -> Result<Vec<Program>, BenchError> {
    let not_started = || refused("cargo can't be started");
    let mut cargo = group.command(process::cargo()).map_err(not_started())?;
    cargo.args(["build", "--message-format", "json-render-diagnostics"]).args(selected);
    cargo.current_dir(template::repository()).stdout(Stdio::piped());
    let building = process::without_cargo_run(&mut cargo).spawn().map_err(not_started())?;
    let output = building.wait_with_output().await.map_err(not_started())?;
    if !output.status.success() {
        return Err(BenchError::Build(what));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages.filter_map(|message| {
        let (name, path) = (message["target"]["name"].as_str()?, message["executable"].as_str()?);
        Some(Program { name: name.to_owned(), path: path.into() })
    });
    Ok(programs.collect())
}

/// Returns the size of a binary, and of its zip file for Lambda.
pub(super) fn size(program: &Path) -> Result<Size, BenchError> {
    let unreadable = || refused(format!("{} can't be read", program.display()));
    let binary = fs::read(program).map_err(unreadable())?;
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&binary).map_err(unreadable())?;
    let deflated = deflated.finish().map_err(unreadable())?;
    Ok(Size { binary: binary.len() as u64, zip: deflated.len() as u64 + ZIP_FRAME })
}
