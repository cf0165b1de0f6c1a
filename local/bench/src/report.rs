//! Formats the figures as tables.

use std::{env::consts, iter, num::NonZero, thread, time::Duration};

use super::{
    LONGEST, Options,
    build::Size,
    instance::Moment,
    sale::{BUYERS, Sale},
};

/// All figures of a function.
pub(super) struct Figures {
    pub name: String,
    pub size: Size,
    pub http: Start,
    pub tls: Start,
    pub warm: Warm,
    pub peak_memory: Option<u64>,
}

impl Figures {
    /// Returns the most important figures as one line.
    pub fn summary(&self) -> String {
        let cpu = |time: Option<Duration>| {
            time.map_or_else(|| "?".to_owned(), |time| format!("{} ms", short(millis(time))))
        };
        format!(
            "{} of CPU to the first answer over TLS, then {} each; zip {} MB",
            cpu(self.tls.answered.cpu),
            cpu(self.warm.cpu),
            short(megabytes(self.size.zip)),
        )
    }
}

/// Time since the start of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Until the end of initialization, the first poll.
    pub ready: Moment,
    /// Until the first response, for which DynamoDB was read.
    pub answered: Moment,
}

impl Start {
    /// Returns the median of each time.
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

/// Consecutive requests over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Warm {
    pub p50: Duration,
    pub p99: Duration,
    /// Average of a request.
    pub cpu: Option<Duration>,
}

impl Warm {
    /// Computes the figures from the duration of each request and the CPU time of all.
    pub fn new(durations: Vec<Duration>, cpu: Option<Duration>) -> Self {
        let cpu = cpu.map(|cpu| cpu.div_f64(durations.len() as f64));
        Self { p50: quantile(durations.clone(), 0.5), p99: quantile(durations, 0.99), cpu }
    }
}

/// Returns a percentile.
fn quantile(mut values: Vec<Duration>, part: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * part).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// Formats the tables. The baseline comes first.
pub(super) fn write(all: &[Figures], sale: Option<Sale>, options: &Options) -> String {
    let Options { starts, requests, .. } = options;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let tls: [Column; 4] = [
        ("ready", |figures| Some(millis(figures.tls.ready.wall))),
        ("ready, CPU", |figures| figures.tls.ready.cpu.map(millis)),
        ("first answer", |figures| Some(millis(figures.tls.answered.wall))),
        ("first answer, CPU", |figures| figures.tls.answered.cpu.map(millis)),
    ];
    let http: [Column; 4] = [
        ("ready", |figures| Some(millis(figures.http.ready.wall))),
        ("ready, CPU", |figures| figures.http.ready.cpu.map(millis)),
        ("first answer", |figures| Some(millis(figures.http.answered.wall))),
        ("first answer, CPU", |figures| figures.http.answered.cpu.map(millis)),
    ];
    let warm: [Column; 4] = [
        ("p50", |figures| Some(millis(figures.warm.p50))),
        ("p99", |figures| Some(millis(figures.warm.p99))),
        ("CPU", |figures| figures.warm.cpu.map(millis)),
        ("peak memory", |figures| figures.peak_memory.map(megabytes)),
    ];
    let size: [Column; 2] = [
        ("binary", |figures| Some(megabytes(figures.size.binary))),
        ("zip", |figures| Some(megabytes(figures.size.zip))),
    ];
    let mut sections = vec![
        (
            format!("From the start of the process, over TLS (ms, medians of {starts} starts)"),
            table(all, &tls),
        ),
        (
            format!("From the start of the process, over plain HTTP (ms, medians of {starts} starts)"),
            table(all, &http),
        ),
        (
            format!(
                "A request to a running instance, over TLS (ms, of {requests} in a row, or as many as fit in {} seconds; \
                 MB)",
                LONGEST.as_secs()
            ),
            table(all, &warm),
        ),
        ("Size (MB)".to_owned(), table(all, &size)),
    ];
    sections.extend(sale.map(|sale| {
        let title = format!("The sale: what {BUYERS} instances answer together, over TLS (a second)");
        (title, sale_table(sale))
    }));
    let sections: String =
        sections.into_iter().map(|(title, table)| format!("{title}:\n\n{table}\n")).collect();
    format!(
        "{sections}In parentheses: times the baseline, a function that does nothing. 1 MB is 1,000,000 bytes. Measured on {} {} \
         with {processors} processors.\n",
        consts::OS,
        consts::ARCH,
    )
}

/// A column's title and its figure.
type Column = (&'static str, fn(&Figures) -> Option<f64>);

/// Formats a row per function and a column per figure, each with its ratio to the baseline.
fn table(all: &[Figures], columns: &[Column]) -> String {
    let titles = columns.iter().map(|(title, _)| (*title).to_owned());
    let mut rows = vec![iter::once(String::new()).chain(titles).collect::<Vec<_>>()];
    for figures in all {
        let cells = columns.iter().map(|(_, figure)| match (figure(figures), all.first().and_then(figure)) {
            (Some(value), Some(baseline)) => format!("{} ({:.1})", short(value), value / baseline),
            _ => "?".to_owned(),
        });
        rows.push(iter::once(figures.name.clone()).chain(cells).collect());
    }
    aligned(&rows)
}

/// Formats a row per kind of sale, each with its ratio to the baseline.
fn sale_table(Sale { baseline, many_products, one_product }: Sale) -> String {
    let row =
        |title: &str, rate: f64| vec![title.to_owned(), format!("{rate:.0} ({})", short(rate / baseline))];
    aligned(&[
        vec![String::new(), "answers".to_owned()],
        row("baseline", baseline),
        row("orders of many products", many_products),
        row("orders of one product", one_product),
    ])
}

/// Formats a Markdown table, titles first: texts left, figures right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(column, &width)| match column {
        0 => "-".repeat(width),
        _ => format!("{:->1$}", ":", width),
    });
    let mut lines: Vec<_> = rows.iter().map(|row| line(row)).collect();
    lines.insert(1, line(&rule.collect::<Vec<_>>()));
    lines.concat()
}

/// Formats a number with three significant digits.
fn short(value: f64) -> String {
    let decimals = if value < 1.0 {
        3
    } else if value < 10.0 {
        2
    } else {
        1
    };
    format!("{value:.decimals$}")
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values = |count: u64| (1..=count).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(values(100), 0.99), Duration::from_millis(99));
        assert_eq!(quantile(values(5), 0.5), Duration::from_millis(3));
        assert_eq!(quantile(values(1), 0.5), Duration::from_millis(1));
        assert_eq!(quantile(values(0), 0.5), Duration::ZERO);
    }

    #[test]
    fn a_table_is_aligned() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let expected = "\
            |              |        CPU |\n\
            | ------------ | ---------: |\n\
            | baseline     | 1.21 (1.0) |\n\
            | products-get | 12.1 (9.9) |\n";
        assert_eq!(
            aligned(&[
                row(["", "CPU"]),
                row(["baseline", "1.21 (1.0)"]),
                row(["products-get", "12.1 (9.9)"])
            ]),
            expected
        );
    }
}
