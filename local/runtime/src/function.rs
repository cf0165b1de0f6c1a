//! Functions as `cargo lambda watch` runs them, made as sturdy as Lambda's.
//!
//! Watch starts each function as `$CARGO run --bin NAME`, builds it anew when a file was saved, and leaves it dead when
//! it dies. So `cargo shop up` names itself as `$CARGO`: asked to `run` a function, it builds it, and then keeps as
//! many instances of it alive as it was told, where Lambda would start another environment. Between an instance and
//! watch it passes everything on and remembers which request is in work, so that one whose instance was killed fails,
//! as on Lambda, and does not hang for ever.

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

/// In watch's environment: the real cargo.
const CARGO: &str = "SHOP_CARGO";
/// In watch's environment: how many instances a function has.
const INSTANCES: &str = "SHOP_INSTANCES";
/// In an instance keeper's environment: the function's program.
const PROGRAM: &str = "SHOP_FUNCTION";
/// Set by watch, though no function of the usual kind has it; the runtime would complain on each start.
const MAX_CONCURRENCY: &str = "AWS_LAMBDA_MAX_CONCURRENCY";
/// Where a function finds its requests.
const RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";
/// An instance that ends by itself sooner has a fault that the next will have, too: a pause follows, which doubles.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The variables that make `cargo lambda watch` run its functions through the program at `shop`.
pub fn variables(shop: PathBuf, instances: usize) -> [(&'static str, OsString); 3] {
    [("CARGO", shop.into()), (CARGO, process::cargo().into()), (INSTANCES, instances.to_string().into())]
}

/// Takes over if this process was started in the place of cargo by `cargo lambda watch`. To be called first in `main`.
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

/// Builds a function with the arguments that `cargo run` was to have, and gives the path of its program.
fn build(mut cargo: Command, arguments: Vec<OsString>) -> io::Result<PathBuf> {
    // This process and the build stand in a group of their own.
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

/// Becomes the keeper of the function's instances. In a new process image, because `pkill -f NAME`, meant for the
/// function, would also kill one that has the name among its arguments.
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
