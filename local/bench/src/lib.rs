//! Benchmarks the release binaries: `cargo shop bench`.
//!
//! Serves each function as Lambda and AWS would: runtime API, DynamoDB, Secrets Manager, SES, EventBridge and Stripe, over
//! HTTP and TLS. Times end when a function's call arrives here; CPU time is the kernel's count for its process. Each figure
//! has its ratio to the baseline, a function that does nothing. See docs/performance.md.

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
pub use traffic::is_known;

/// A function that does nothing, in the package `shared`: it has the functions' dependencies and features.
const BASELINE: &str = "baseline";
/// Uncounted requests first, which load all pages of the binary.
const WARM_UP: u32 = 50;
/// Maximum time of the counted requests to a function.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Options {
    /// Functions to measure, or all if empty.
    pub functions: Vec<String>,
    /// Requests to one instance of each function, within [`LONGEST`].
    pub requests: u32,
    /// Starts of each function over HTTP, and as many over TLS.
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

/// Measures functions. Returns the report in Markdown. Progress goes to standard error.
///
/// An unoptimized program replaces itself by an optimized one with the same arguments: slow emulators would be measured
/// otherwise.
///
/// # Errors
/// [`BenchError`].
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

/// Returns the functions to measure.
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
    match all.iter().find(|name| !is_known(name)) {
        Some(unknown) => Err(BenchError::NoEvent(unknown.clone())),
        None => Ok(all),
    }
}

/// Measures starts of a binary, and then many requests to one instance.
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
