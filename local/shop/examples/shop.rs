//! `cargo shop`: parses the command line and runs the command.

use std::{
    net::IpAddr,
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
use shop::{blocklist, deploy, new, revoke, up};

/// Run, test and deploy the shop
#[derive(Parser)]
#[command(name = "cargo shop", bin_name = "cargo shop")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the whole shop on this machine
    ///
    /// Installs cargo-lambda if it is missing, builds the functions and serves them with `cargo lambda watch`, which rebuilds
    /// a function when you save a file. Creates the tables and secrets of template.yaml in an embedded DynamoDB and a
    /// Secrets Manager emulator, and seeds a small catalogue and a user for each role. Delivers table streams and schedules
    /// to their functions, rotates the keys, collects mails and events, and emulates Stripe. Ctrl-C stops everything.
    Up(Up),
    /// Print an access token for a seeded user, valid for 15 minutes
    ///
    /// Needs a running `cargo shop up` with the same --data-dir and --port. Example:
    ///
    ///     curl -H "Authorization: Bearer $(cargo shop token admin)" http://localhost:9000/v1/products?status=archived
    #[command(verbatim_doc_comment)]
    Token(Token),
    /// Show the mails that the shop has sent, newest last
    ///
    /// Reads the data folder of `cargo shop up`, which need not be running.
    Mail(MailView),
    /// Show the events that the shop has published, newest last
    ///
    /// Reads the data folder of `cargo shop up`, which need not be running.
    Events(EventView),
    /// Show every charge, authorization and refund in the Stripe emulator, with totals per order
    ///
    /// Reads the data folder of `cargo shop up`, which need not be running.
    Ledger(LedgerView),
    /// Add an operation: a function that answers 204, with its contract, route, event and test
    ///
    /// CONTRIBUTING.md describes the next steps. Examples:
    ///
    ///     cargo shop new categories-get --method GET --path /categories/{category}
    ///     cargo shop new products-restore --method POST --path /products/{product_id}/restore --scope products:write
    #[command(verbatim_doc_comment)]
    New(New),
    /// Update the generated files, such as openapi.json, and check the rules of the repository
    Tidy,
    /// Deploy the shop to AWS: build all functions, lint the template, run `sam deploy`
    ///
    /// Needs cargo-lambda with zig, Rust's standard library for the target, sam, and AWS credentials; reports what is missing.
    /// Prints each command before running it. docs/deploying.md describes what to do before and after the first deployment.
    /// Examples:
    ///
    ///     cargo shop deploy prod
    ///     cargo shop deploy dev --parameter Architecture=x86_64 --dry-run
    ///     cargo shop deploy prod --skip-build --parameter GradualDeployment=false -- --no-confirm-changeset
    #[command(verbatim_doc_comment)]
    Deploy(Deploy),
    /// Stop using a key that others may know
    #[command(subcommand)]
    Keys(Keys),
    /// Release the API: freeze the document of each version in docs/api
    ///
    /// Fails with a list of the breaking changes if a released version would break. See docs/versioning.md.
    Release,
    /// Measure the release binaries: cold start, response time, memory, size
    ///
    /// Builds the functions with the release profile, a minute or more for each changed one. Starts each function many times,
    /// over HTTP and over TLS, then sends many requests to one instance. Prints each figure with its ratio to a function that
    /// does nothing. With orders-create, also simulates a sale with several instances. Leave the machine idle meanwhile.
    /// See docs/performance.md.
    Bench(Bench),
    /// Load a running shop with random customers and faults, then audit stock, orders and money
    ///
    /// Needs a running `cargo shop up` with the same --data-dir and --port. Customers and staff order, pay with all kinds of
    /// cards, cancel, capture, ship and refund, retry, and try to read each other's orders. Afterwards the shop has some
    /// minutes to settle; then stock, orders and payments must agree with each other and with the Stripe emulator's ledger.
    /// Fails on a difference, or on any wrong response.
    Torture(Torture),
    /// Seed the catalogue of local/seed.json and a user for each role into the store that the environment names
    #[command(hide = true)]
    Seed {
        /// Data folder with the users' passwords
        data_dir: PathBuf,
    },
    /// Build the filter of common passwords from lists, one word per line, most common first
    #[command(hide = true)]
    Blocklist {
        /// The lists
        #[arg(required = true)]
        lists: Vec<PathBuf>,
    },
}

#[derive(Args)]
struct Place {
    /// Port of the shop
    #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct Folder {
    /// Folder of the database, keys, passwords, mails and events [default: local/.data in the repository]
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
    /// Address to listen on, such as 0.0.0.0 for all [default: this machine only]
    #[arg(long)]
    host: Option<IpAddr>,
    /// Delete all data first
    #[arg(long)]
    fresh: bool,
    /// Use the release profile: slower to build, faster to respond
    #[arg(long)]
    release: bool,
    /// Instances per function, each of which handles one request at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
}

#[derive(Subcommand)]
enum Keys {
    /// Replace a key at once: verifiers refuse its tokens within seconds, a new one takes its place
    ///
    /// A signing key's id is its `kid` in /v1/.well-known/jwks.json; an HMAC key's is in the secret. docs/operating.md
    /// describes what to do when a key has leaked.
    Revoke {
        /// Id of the key
        #[arg(allow_hyphen_values = true)]
        key: String,
        /// Stack of a deployed shop, by the AWS CLI [default: the shop on this machine]
        #[arg(long)]
        stack: Option<String>,
        /// Port of the shop on this machine
        #[arg(long, default_value_t = 9000, value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
    },
}

#[derive(Args)]
struct Token {
    /// Role of the user
    role: Role,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct MailView {
    /// Only mails to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Only the newest mail
    #[arg(long)]
    last: bool,
    /// Show the HTML instead of the text
    #[arg(long)]
    html: bool,
    /// Keep running and show new ones, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct EventView {
    /// Only events about this order, product or user
    #[arg(long, value_name = "ID")]
    about: Option<String>,
    /// Only the newest event
    #[arg(long)]
    last: bool,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
    /// Keep running and show new ones, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct LedgerView {
    /// Only this order
    #[arg(long, value_name = "ID")]
    order: Option<String>,
    #[command(flatten)]
    folder: Folder,
}

#[derive(Args)]
struct New {
    /// Name of the operation, noun first, like categories-get
    name: String,
    /// HTTP method
    #[arg(long, value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,
    /// Path without the version, with parameters in braces
    #[arg(long)]
    path: String,
    /// Scope that callers need [default: none, public]
    #[arg(long, value_parser = new::scope)]
    scope: Option<auth::Scope>,
}

#[derive(Args)]
struct Deploy {
    /// Environment in samconfig.toml: dev, staging or prod
    environment: String,
    /// Template parameter that overrides samconfig.toml's; may be repeated
    #[arg(long = "parameter", value_name = "KEY=VALUE")]
    parameters: Vec<String>,
    /// Deploy the functions built before
    #[arg(long)]
    skip_build: bool,
    /// Print the commands without running them
    #[arg(long)]
    dry_run: bool,
    /// More arguments for `sam deploy`
    #[arg(last = true, value_name = "SAM ARGUMENTS")]
    sam: Vec<String>,
}

#[derive(Args)]
struct Bench {
    /// Function to measure; may be repeated [default: all]
    #[arg(long = "function", value_name = "NAME")]
    functions: Vec<String>,
    /// Requests to one instance of each function, in at most ten seconds
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Starts of each function over HTTP, and as many over TLS
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
}

#[derive(Args)]
struct Torture {
    /// Seed of the random customers [default: a new one each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Duration in minutes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Concurrent customers
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    customers: u16,
    /// Kill functions' processes meanwhile
    #[arg(long)]
    kill: bool,
    /// URL of the shop [default: http://localhost at the port]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// All rights
    Admin,
    /// Manages products, inventory, orders and payments
    Staff,
    /// Orders and pays
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
        Command::Keys(keys) => revoke_key(&keys),
        Command::Deploy(deploy) => deploy_to(&deploy),
        Command::Release => release(),
        Command::Bench(bench) => measure(bench),
        Command::Torture(torture) => load_and_audit(&torture),
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

fn open(Up { place, host, fresh, release, concurrency }: &Up) -> Done {
    let (port, data, concurrency) = (place.port, place.folder.path(), usize::from(*concurrency));
    up::run(&up::Options { host: *host, port, data, fresh: *fresh, release: *release, concurrency })?;
    Ok(ExitCode::SUCCESS)
}

fn token(role: Role, place: &Place) -> Done {
    let issuer = format!("http://localhost:{}/v1", place.port);
    println!("{}", keys::current_token(&place.folder.path(), &issuer, role.into())?);
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

/// Interval of `--follow`.
const INTERVAL: Duration = Duration::from_millis(200);

/// Prints the entries of a file, and new ones with `follow`.
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
        eprintln!("nothing yet");
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

fn load_and_audit(Torture { seed, minutes, customers, kill, url, place }: &Torture) -> Done {
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
        println!("updated {file}");
    }
    let findings = tidy::findings(&root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main(flavor = "current_thread")]
async fn revoke_key(Keys::Revoke { key, stack, port }: &Keys) -> Done {
    let place = stack.as_deref().map_or(revoke::Place::Local(*port), revoke::Place::Stack);
    revoke::run(key, &place).await?;
    println!("revoked {key}; log-ins may fail for up to a minute, until all functions have read the new key");
    Ok(ExitCode::SUCCESS)
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
