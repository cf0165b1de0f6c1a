//! How fast the functions are: `cargo shop bench`.
//!
//! It builds the functions as they are deployed, and is to each of them all that Lambda and AWS would be: the
//! runtime API that hands out events and takes the answers, and a store, secrets, a post office and a bus, over plain HTTP
//! and over TLS, and the payment provider. Times end where a function's own request arrives here; CPU time is what the kernel has counted for its
//! process. Beside each figure stands its ratio to the baseline, a function that does nothing. docs/performance.md tells
//! more.

use std::{
    env, fs, io,
    os::unix::process::CommandExt,
    process::Command,
    time::{Duration, Instant},
};

use runtime::process::Group;

use build::Program;
use instance::Instance;
use report::{Figures, Start, Warm};
use sale::Sale;
use store::{Protocol, Roots, Store};
use traffic::Traffic;

pub use error::BenchError;
use error::refused;

/// The function that does nothing, of the package `shared`: so it has the functions' own dependencies and features.
const BASELINE: &str = "baseline";
/// Requests before those that count, so that every page of the program that they need is in memory.
const WARM_UP: u32 = 50;
/// No function gets longer for the requests that count: where a password is hashed, some hundred say as much as all.
const LONGEST: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// These functions, or all if there are none.
    pub functions: Vec<String>,
    /// How many requests each function answers in a row, as far as ten seconds suffice.
    pub requests: u32,
    /// How often each function is started: over plain HTTP, and as often over TLS.
    pub starts: u32,
}

mod error;

mod build;
mod instance;

mod products;
mod users;

mod orders;
mod store;

mod traffic;

mod sale;

mod report;

/// Measures, and gives the report: Markdown that reads as plain text, too. Progress goes to standard error.
///
/// In a program that was not optimized, this starts one that is, with the same arguments, in its place: what the
/// functions speak to must be quick, or their waiting and their cold caches are what is measured.
///
/// # Errors
/// Where something can't be built, started or understood.
#[tokio::main]
pub async fn run(options: &Options) -> Result<String, BenchError> {
    let functions = chosen(&options.functions)?;
    let group = Group::new().map_err(refused("no process can be started"))?;
    if cfg!(debug_assertions) {
        let optimized = build::optimized(&group).await?;
        let failed = Command::new(&optimized).args(env::args_os().skip(1)).exec();
        return Err(BenchError::System(format!("{} can't be started", optimized.display()), failed));
    }
    let programs = build::functions(&group, &functions).await?;
    let roots = Roots::make()?;
    let mut figures = Vec::new();
    let Options { starts, requests, .. } = options;
    eprintln!(
        "measuring: {starts} starts over HTTP, {starts} over TLS, then up to {requests} requests in a row"
    );
    for (index, program) in programs.iter().enumerate() {
        eprint!("{:>2}/{} {}: ", index + 1, programs.len(), program.name);
        let measured = measure(program, &group, &roots, options).await?;
        eprintln!("{}", measured.summary());
        figures.push(measured);
    }
    let sale = match (programs.first(), programs.iter().find(|program| program.name == sale::FUNCTION)) {
        (Some(baseline), Some(orders_create)) => {
            eprintln!("measuring the sale");
            Some(Sale::measure(baseline, orders_create, &group, &roots).await?)
        }
        _ => None,
    };
    group.end().await.map_err(refused("the functions can't be ended"))?;
    Ok(report::write(&figures, sale, options))
}

/// The functions to measure: those that were asked for, or all that have a folder.
fn chosen(asked: &[String]) -> Result<Vec<String>, BenchError> {
    let folder = template::repository().join("functions");
    let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(refused(format!("{} can't be read", folder.display())))?;
    let mut all: Vec<_> =
        entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    all.sort();
    if let Some(unknown) = asked.iter().find(|name| !all.contains(name)) {
        return Err(BenchError::NoSuchFunction(unknown.clone(), all.join(", ")));
    }
    all.retain(|name| asked.is_empty() || asked.contains(name));
    match all.iter().find(|name| !traffic::is_known(name)) {
        Some(unknown) => Err(BenchError::NoEvent(unknown.clone())),
        None => Ok(all),
    }
}

/// Starts a program again and again, and then has one instance of it answer many requests.
async fn measure(
    program: &Program,
    group: &Group,
    roots: &Roots,
    options: &Options,
) -> Result<Figures, BenchError> {
    let Program { name, path } = program;
    let store = Store::open(roots).await?;
    let mut traffic = Traffic::new(name, &store).ok_or_else(|| BenchError::NoEvent(name.clone()))?;
    let start = |protocol| Instance::start(name, path, group, store.variables(name, protocol));

    let (mut http, mut tls) = (Vec::new(), Vec::new());
    for (protocol, starts) in [(Protocol::Http, &mut http), (Protocol::Tls, &mut tls)] {
        for _ in 0..options.starts {
            // What the event is about must be there before the clock runs.
            let event = traffic.next_event()?;
            let mut instance = start(protocol).await?;
            let ready = instance.ready().await?;
            let answer = instance.invoke(event).await?;
            starts.push(Start { ready, answered: instance.answered(&answer).await });
            instance.end().await?;
            traffic.check(&answer.body)?;
        }
    }

    let mut instance = start(Protocol::Tls).await?;
    instance.ready().await?;
    for _ in 0..WARM_UP {
        traffic.next_answer(&mut instance).await?;
    }
    let before = instance.cpu().await;
    let (mut durations, begun) = (Vec::new(), Instant::now());
    while durations.len() < options.requests as usize && begun.elapsed() < LONGEST {
        durations.push(traffic.next_answer(&mut instance).await?);
    }
    let cpu = before.zip(instance.cpu().await).map(|(before, after)| after.saturating_sub(before));
    let peak_memory = instance.peak_memory();
    instance.end().await?;
    Ok(Figures {
        name: name.clone(),
        size: build::size(path)?,
        http: Start::median(&http),
        tls: Start::median(&tls),
        warm: Warm::new(durations, cpu),
        peak_memory,
    })
}
