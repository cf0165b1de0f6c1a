//! `cargo shop`: reads the command line and leaves the rest to the library.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use emulators::{event_bridge::Event, files, ses::Mail, stripe};
use runtime::{data, function, keys, log::say, seed};
use serde::de::DeserializeOwned;
use shared::auth;
use shop::{blocklist, deploy, new, up};

/// The shop on this machine.
#[derive(Parser)]
#[command(name = "cargo shop", bin_name = "cargo shop")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Open the shop: every function under `cargo lambda watch`, on an embedded DynamoDB
    ///
    /// Installs cargo-lambda if it is not there, makes the tables and the secrets from template.yaml, a small catalogue
    /// and a user of each role, builds the functions, and serves them, with each function built anew when a file is
    /// saved. Delivers the tables' streams to their functions as Lambda does, has the keys renewed as Secrets Manager
    /// does, calls functions on schedule, collects the mails and events that it sends, and has a pretend Stripe in the
    /// place of Stripe. Ctrl-C stops everything that it started.
    Up(Up),
    /// Print an access token for one of the seeded users, good for 15 minutes
    ///
    /// For a shop that `cargo shop up` has opened with the same --data-dir and --port. For example:
    ///
    ///     curl -H "Authorization: Bearer $(cargo shop token admin)" http://localhost:9000/v1/products?status=archived
    #[command(verbatim_doc_comment)]
    Token(Token),
    /// Show the mails that the shop has sent, the newest last
    ///
    /// From a shop that `cargo shop up` has opened with the same --data-dir, whether or not it still runs.
    Mail(MailView),
    /// Show the events that the shop has published, the newest last
    ///
    /// From a shop that `cargo shop up` has opened with the same --data-dir, whether or not it still runs.
    Events(EventView),
    /// Show what the pretend Stripe did: each payment, hold and refund, and what each order comes to
    ///
    /// From a shop that `cargo shop up` has opened with the same --data-dir, whether or not it still runs.
    Ledger(LedgerView),
    /// Add an operation: a function that answers 204, with all that belongs to it elsewhere in the repository
    ///
    /// CONTRIBUTING.md tells how to go on from there. For example:
    ///
    ///     cargo shop new categories-get --method GET --path /categories/{category}
    ///     cargo shop new products-restore --method POST --path /products/{product_id}/restore --scope products:write
    #[command(verbatim_doc_comment)]
    New(New),
    /// Renew openapi.json and the routes in CargoLambda.toml, and name what in the repository does not fit together
    Tidy,
    /// Deploy the shop to AWS: build all functions, lint the template, `sam deploy`
    ///
    /// Needs cargo-lambda with zig, Rust's library for the processor, sam, and credentials of AWS; says what is missing.
    /// Prints each command before it runs it. docs/deploying.md tells what has to be done before and after the first time.
    /// For example:
    ///
    ///     cargo shop deploy prod
    ///     cargo shop deploy dev --parameter Architecture=x86_64 --dry-run
    ///     cargo shop deploy prod --skip-build --parameter GradualDeployment=false -- --no-confirm-changeset
    #[command(verbatim_doc_comment)]
    Deploy(Deploy),
    /// Release the API as it is: keep the document of each version in docs/api, to which tidy then holds the contracts
    ///
    /// Refuses, and lists the breaks, where a version that was released would break. docs/versioning.md tells what does.
    Release,
    /// Measure the functions as they are deployed: start, answers, memory, size
    ///
    /// Builds them with the release profile, a minute or more for each that has changed. Then it starts each one many
    /// times, over plain HTTP and over TLS, has one instance answer many requests, and prints each figure beside its
    /// ratio to a function that does nothing. Where orders-create is among them, several instances of it then hold a
    /// sale. For figures that mean something, leave the machine alone meanwhile.
    /// docs/performance.md tells how it measures, and what is aimed at.
    Bench(Bench),
    /// Torture a shop that is open: many customers at once, and whatever can go wrong; then check all its books
    ///
    /// For a shop that `cargo shop up` has opened with the same --data-dir and --port. Customers and staff order, pay with
    /// all kinds of cards, cancel, capture, ship and refund, repeat themselves, and look at each other's orders. In the end
    /// the shop gets some minutes to come to rest. Then its stocks, orders and money must agree, with each other and with
    /// the pretend Stripe's ledger. Fails where they don't, or where an answer was wrong.
    Torture(Torture),
    /// Put the catalogue of local/seed.json and a user of each role into the store that the environment names
    #[command(hide = true)]
    Seed {
        /// The data folder with the users' passwords
        data_dir: PathBuf,
    },
    /// Make the filter of common passwords from lists of them, a word a line and the most used first
    #[command(hide = true)]
    Blocklist {
        /// The lists
        #[arg(required = true)]
        lists: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct Place {
    /// The port of the shop's HTTP address
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct Folder {
    /// The folder that keeps database, keys, passwords, mails and events [default: local/.data in the repository]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(data::default_folder)
    }
}

#[derive(Args)]
struct Up {
    #[command(flatten)]
    place: Place,
    /// Forget all data first
    #[arg(long)]
    fresh: bool,
    /// Build the functions as they are deployed: slower to build, faster to answer
    #[arg(long)]
    release: bool,
    /// How many instances each function has; one answers one request at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

#[derive(Args)]
struct Token {
    /// Whose token
    role: Role,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct MailView {
    /// Only those for this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Only the newest
    #[arg(long)]
    last: bool,
    /// The HTML part in place of the text
    #[arg(long)]
    html: bool,
    /// Wait for those to come, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct EventView {
    /// Only those about this order, product or user
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    /// Only the newest
    #[arg(long)]
    last: bool,
    /// Each whole, as a line of JSON
    #[arg(long)]
    json: bool,
    /// Wait for those to come, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct LedgerView {
    /// Only what is about this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct New {
    /// The operation's name, noun first
    name: String,
    /// The method that it answers
    #[arg(long, value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,
    /// The path that it answers, without the version; parameters stand in braces
    #[arg(long)]
    path: String,
    /// The scope that callers need [default: none; everyone may call it]
    #[arg(long, value_parser = new::scope)]
    scope: Option<auth::Scope>,
}

#[derive(Args)]
struct Deploy {
    /// The environment, as samconfig.toml names it: dev, staging, prod
    environment: String,
    /// A parameter of the template, in the place of samconfig.toml's; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// Take the functions that were built before
    #[arg(long)]
    skip_build: bool,
    /// Only print the commands
    #[arg(long)]
    dry_run: bool,
    /// Further arguments of `sam deploy`
    #[arg(last = true, value_name = "SAM ARGUMENTS")]
    sam: Vec<String>,
}

#[derive(Args)]
struct Bench {
    /// Only this function; may be repeated [default: all of them]
    #[arg(long = "function", value_name = "NAME")]
    functions: Vec<String>,
    /// How many requests each function answers in a row, as far as ten seconds suffice
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// How often each function is started: over plain HTTP, and as often over TLS
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
}

#[derive(Args)]
struct Torture {
    /// What the customers' histories follow from [default: another each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How long it goes on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// How many customers there are at a time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    customers: u16,
    /// Kill the functions' processes meanwhile
    #[arg(long)]
    kill: bool,
    /// Where the shop answers [default: http://localhost at the port]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// May do everything
    Admin,
    /// Runs the shop: products, inventory, orders, payments
    Staff,
    /// Buys
    Customer,
}

impl From<Role> for auth::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Staff => Self::Staff,
            Role::Customer => Self::Customer,
        }
    }
}

fn main() -> ExitCode {
    if let Some(code) = function::take_over() {
        return code;
    }
    let done = match Cli::parse().command {
        Command::Up(up) => open(&up),
        Command::Token(Token { role, place }) => token(role, &place),
        Command::Mail(view) => show_mails(&view),
        Command::Events(view) => show_events(&view),
        Command::Ledger(view) => show_ledger(&view),
        Command::New(new) => add(&new),
        Command::Tidy => tidy(),
        Command::Deploy(deploy) => deploy_to(&deploy),
        Command::Release => release(),
        Command::Bench(bench) => measure(bench),
        Command::Torture(torture) => torment(&torture),
        Command::Seed { data_dir } => seed(&data_dir),
        Command::Blocklist { lists } => list(&lists),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<ExitCode, Box<dyn std::error::Error>>;

fn open(Up { place, fresh, release, concurrency }: &Up) -> Done {
    let (port, data, concurrency) = (place.port, place.folder.path(), usize::from(*concurrency));
    up::run(&up::Options { port, data, fresh: *fresh, release: *release, concurrency })?;
    Ok(ExitCode::SUCCESS)
}

fn token(role: Role, place: &Place) -> Done {
    let key = keys::load(&place.folder.path())?;
    println!("{}", keys::token(&key, &format!("http://localhost:{}/v1", place.port), role.into())?);
    Ok(ExitCode::SUCCESS)
}

fn show_mails(MailView { to, last, html, follow, folder }: &MailView) -> Done {
    let is_wanted = |mail: &Mail| to.as_ref().is_none_or(|to| mail.is_for(to));
    let readable = |mail: &Mail| format!("{}\n{:-<80}\n", mail.readable(*html), "");
    show(&data::mails(&folder.path()), is_wanted, readable, *last, *follow)
}

fn show_events(EventView { about, last, json, follow, folder }: &EventView) -> Done {
    let is_wanted = |event: &Event| about.as_ref().is_none_or(|id| event.is_about(id));
    let readable = |event: &Event| if *json { event.detail.to_string() } else { event.readable() };
    show(&data::events(&folder.path()), is_wanted, readable, *last, *follow)
}

/// How often it is looked for what is new.
const INTERVAL: Duration = Duration::from_millis(200);

/// Prints what has arrived, and what is yet to, if that is wanted.
fn show<T: DeserializeOwned>(
    path: &Path,
    is_wanted: impl Fn(&T) -> bool,
    readable: impl Fn(&T) -> String,
    last: bool,
    follow: bool,
) -> Done {
    let (arrived, mut end) = files::read::<T>(path, 0)?;
    let wanted: Vec<_> = arrived.iter().filter(|entry| is_wanted(entry)).collect();
    let before = if last { wanted.len().saturating_sub(1) } else { 0 };
    wanted.iter().skip(before).for_each(|entry| say(&readable(entry)));
    if wanted.is_empty() {
        eprintln!("nothing has arrived yet");
    }
    if !follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::sleep(INTERVAL);
        let (arrived, read) = files::read::<T>(path, end)?;
        arrived.iter().filter(|entry| is_wanted(entry)).for_each(|entry| say(&readable(entry)));
        end = read;
    }
}

fn show_ledger(LedgerView { order, folder }: &LedgerView) -> Done {
    let ledger = stripe::read_ledger(&data::stripe(&folder.path()))?;
    let ledger = order.as_ref().map_or_else(|| ledger.clone(), |order| ledger.of(order));
    print!("{}", ledger.readable());
    Ok(ExitCode::SUCCESS)
}

fn deploy_to(Deploy { environment, parameters, skip_build, dry_run, sam }: &Deploy) -> Done {
    let (skip_build, dry_run) = (*skip_build, *dry_run);
    deploy::run(&deploy::Options { environment, parameters, sam, skip_build, dry_run })?;
    Ok(ExitCode::SUCCESS)
}

fn measure(Bench { functions, requests, starts }: Bench) -> Done {
    print!("{}", bench::run(&bench::Options { functions, requests, starts })?);
    Ok(ExitCode::SUCCESS)
}

fn torment(Torture { seed, minutes, customers, kill, url, place }: &Torture) -> Done {
    let is_sound = torture::run(&torture::Options {
        url: url.clone().unwrap_or_else(|| format!("http://localhost:{}", place.port)),
        data: place.folder.path(),
        seed: seed.unwrap_or_else(|| fastrand::u64(..)),
        duration: Duration::from_secs(minutes * 60),
        customers: usize::from(*customers),
        kills: *kill,
    })?;
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(lists: &[PathBuf]) -> Done {
    println!("{} words", blocklist::write(lists)?);
    Ok(ExitCode::SUCCESS)
}

fn add(New { name, method, path, scope }: &New) -> Done {
    let operation = new::Operation { name, method, path, scope: *scope };
    for file in new::run(&template::repository(), &operation)? {
        println!("wrote {file}");
    }
    Ok(ExitCode::SUCCESS)
}

fn tidy() -> Done {
    let root = template::repository();
    for file in tidy::write(&root)? {
        println!("renewed {file}");
    }
    let findings = tidy::findings(&root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn release() -> Done {
    let changed = tidy::release(&template::repository())?;
    changed.iter().for_each(|file| println!("released {file}"));
    if changed.is_empty() {
        println!("nothing has changed since the last release");
    }
    Ok(ExitCode::SUCCESS)
}

#[tokio::main(flavor = "current_thread")]
async fn seed(data: &Path) -> Done {
    println!("catalogue: {} products", seed::catalogue().await?);
    println!("users: {}", seed::users(data).await?);
    Ok(ExitCode::SUCCESS)
}
