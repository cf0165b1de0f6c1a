//! What was measured, as tables.

use std::time::Duration;

use super::{Options, build::Size, instance::Moment};

/// All that was measured of one function.
pub(super) struct Figures {
    pub name: String,
    pub size: Size,
    pub http: Start,
    pub tls: Start,
    pub warm: Warm,
    pub peak_memory: Option<u64>,
}

/// From the start of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// To the end of its initialization: it asks for its first event.
    pub ready: Moment,
    /// To the first answer, for which the store was read.
    pub answered: Moment,
}

impl Start {
    /// The median of each part.
    pub fn median(starts: &[Self]) -> Self {
        let moment = |of: fn(&Self) -> Moment| Moment {
            wall: quantile(starts.iter().map(|start| of(start).wall).collect(), 0.5),
            cpu: starts
                .iter()
                .map(|start| of(start).cpu)
                .collect::<Option<_>>()
                .map(|all| quantile(all, 0.5)),
        };
        Self { ready: moment(|start| start.ready), answered: moment(|start| start.answered) }
    }
}

/// One request after the other, over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warm {
    pub p50: Duration,
    pub p99: Duration,
    /// Of one request on average.
    pub cpu: Option<Duration>,
}

impl Warm {
    /// From the duration of each request, and the CPU time of all.
    pub fn new(durations: Vec<Duration>, cpu: Option<Duration>) -> Self {
        let cpu = cpu.map(|cpu| cpu.div_f64(durations.len() as f64));
        Self { p50: quantile(durations.clone(), 0.5), p99: quantile(durations, 0.99), cpu }
    }
}

/// The smallest value that this part of all does not exceed.
fn quantile(mut values: Vec<Duration>, part: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The tables. The first of all is the baseline.
pub(super) fn write(all: &[Figures], options: &Options) -> String {
    let Options { starts, requests, .. } = options;
    let cold = table(
        all,
        &[
            ("http: ready", |figures| Some(millis(figures.http.ready.wall))),
            ("CPU", |figures| figures.http.ready.cpu.map(millis)),
            ("first answer", |figures| Some(millis(figures.http.answered.wall))),
            ("CPU", |figures| figures.http.answered.cpu.map(millis)),
            ("TLS: ready", |figures| Some(millis(figures.tls.ready.wall))),
            ("CPU", |figures| figures.tls.ready.cpu.map(millis)),
            ("first answer", |figures| Some(millis(figures.tls.answered.wall))),
            ("CPU", |figures| figures.tls.answered.cpu.map(millis)),
        ],
    );
    let warm = table(
        all,
        &[
            ("p50 (ms)", |figures| Some(millis(figures.warm.p50))),
            ("p99 (ms)", |figures| Some(millis(figures.warm.p99))),
            ("CPU (ms)", |figures| figures.warm.cpu.map(millis)),
            ("peak memory (MB)", |figures| figures.peak_memory.map(megabytes)),
            ("binary (MB)", |figures| Some(megabytes(figures.size.binary))),
            ("zip (MB)", |figures| Some(megabytes(figures.size.zip))),
        ],
    );
    format!(
        "Start of the process to ready, and to the first answer (milliseconds, medians of {starts} starts)\n\n{cold}\n\
         A warm instance over TLS ({requests} requests, one after the other), and sizes (MB = 1,000,000 bytes)\n\n{warm}\n\
         In parentheses: times the baseline, a function that does nothing.\n"
    )
}

/// A column's title, and its figure where the system tells it.
type Column = (&'static str, fn(&Figures) -> Option<f64>);

/// A row a function, a column a figure, each with its ratio to the baseline's.
fn table(all: &[Figures], columns: &[Column]) -> String {
    let titles = columns.iter().map(|(title, _)| (*title).to_owned());
    let mut rows = vec![[String::new()].into_iter().chain(titles).collect::<Vec<_>>()];
    for figures in all {
        let cells = columns.iter().map(|(_, figure)| match (figure(figures), all.first().and_then(figure)) {
            (Some(value), Some(baseline)) => format!("{value:.2} ({:.1})", value / baseline),
            _ => "?".to_owned(),
        });
        rows.push([figures.name.clone()].into_iter().chain(cells).collect());
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, width)| match column {
        0 => "-".repeat(*width),
        _ => format!("{}:", "-".repeat(width - 1)),
    });
    let rule: Vec<_> = rule.collect();
    rows.iter()
        .take(1)
        .map(|row| line(row))
        .chain([line(&rule)])
        .chain(rows.iter().skip(1).map(|row| line(row)))
        .collect()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
