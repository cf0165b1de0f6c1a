//! Keeps functions alive under `cargo lambda watch`, as Lambda does.
//!
//! Watch starts each function by `$CARGO run --bin NAME` and rebuilds it when a file is saved, but does not restart a
//! function that has died. `cargo shop up` therefore sets itself as `$CARGO`: for `run` it builds the function and keeps a
//! number of instances alive. A [`Relay`] between each instance and watch remembers the request in progress, so that it
//! fails, as on Lambda, if the instance is killed.

mod relay;

use std::{
    convert::Infallible,
    env,
    ffi::OsString,
    io,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

pub use relay::EXIT_ERROR;
use relay::Relay;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::process::{self, END_GROUP_AT_END_OF_INPUT};

/// Variable of watch: the real cargo.
const CARGO: &str = "SHOP_CARGO";
/// Variable of watch: instances per function.
const INSTANCES: &str = "SHOP_INSTANCES";
/// Variable of the process that keeps instances alive: the function's binary.
const PROGRAM: &str = "SHOP_FUNCTION";
/// Set by watch, but not by Lambda for standard functions. The runtime would warn about it.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
/// Address of the runtime API.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// An instance that lives shorter has failed at start, and the next one probably will: the pause before it doubles.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Variables that make `cargo lambda watch` start functions through the program `shop`.
pub fn variables(shop: PathBuf, instances: usize) -> [(&'static str, OsString); 3] {
    [("CARGO", shop.into()), (CARGO, process::cargo().into()), (INSTANCES, instances.to_string().into())]
}

/// Runs as `$CARGO` of `cargo lambda watch` if this process was started so. Must be called first in `main`.
pub fn take_over() -> Option<ExitCode> {
    let failed = if let Some(program) = env::var_os(PROGRAM) {
        keep_alive(Path::new(&program))
    } else {
        let mut arguments: Vec<_> = env::args_os().skip(1).collect();
        let mut cargo = Command::new(env::var_os(CARGO)?);
        cargo.env_remove("CARGO").env_remove(CARGO);
        if arguments.first().is_some_and(|subcommand| subcommand == "run") {
            arguments.remove(0);
            build(cargo, arguments).and_then(start_keeper)
        } else {
            Err(cargo.args(arguments).exec())
        }
    };
    failed.map_or_else(
        |error| {
            eprintln!("the function can't be started: {error}");
            Some(ExitCode::FAILURE)
        },
        |never| match never {},
    )
}

/// Builds a function with the arguments of `cargo run`. Returns the path of its binary.
fn build(mut cargo: Command, arguments: Vec<OsString>) -> io::Result<PathBuf> {
    // This process and the build are a process group.
    Command::new("sh").args(["-c", END_GROUP_AT_END_OF_INPUT]).spawn()?;
    cargo.args(["build", "--message-format", "json-render-diagnostics"]).args(arguments).stdin(Stdio::null());
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the build has failed; it is tried again once a file is saved"));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program =
        messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.ok_or_else(|| io::Error::other("cargo has built no program"))
}

/// Replaces this process by the one that keeps instances alive. A new process image, because `pkill -f NAME` would otherwise
/// match its arguments.
fn start_keeper(program: PathBuf) -> io::Result<Infallible> {
    Err(Command::new(env::current_exe()?).env(PROGRAM, program).exec())
}

#[tokio::main(flavor = "current_thread")]
async fn keep_alive(program: &Path) -> io::Result<Infallible> {
    let missing = || io::Error::other(format!("the variable {RUNTIME_API} is not set"));
    let api = env::var(RUNTIME_API).map_err(|_| missing())?;
    let instances = env::var(INSTANCES).ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    for _ in 1..instances {
        let (program, api) = (program.to_owned(), api.clone());
        tokio::spawn(async move { keep_instance_alive(&program, &api).await });
    }
    keep_instance_alive(program, &api).await
}

async fn keep_instance_alive(program: &Path, api: &str) -> io::Result<Infallible> {
    let relay = Relay::start(api).await?;
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let mut instance = tokio::process::Command::new(program);
        instance.env(RUNTIME_API, &relay.url).stdin(Stdio::null());
        for name in [CARGO, PROGRAM, INSTANCES, MAX_CONCURRENCY] {
            instance.env_remove(name);
        }
        let ended = instance.status().await;
        match &ended {
            Ok(status) => eprintln!("{name} ended ({status}) and is started again"),
            Err(error) => eprintln!("{name} can't be started ({error}); another try follows"),
        }
        relay.answer_for_the_dead().await;
        let was_killed = ended.is_ok_and(|status| status.signal().is_some());
        if was_killed || started.elapsed() > SHORTEST_LIFE {
            pause = FIRST_PAUSE;
        } else {
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}
