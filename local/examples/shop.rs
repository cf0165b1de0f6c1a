//! `cargo shop`: reads the command line and leaves the rest to the library.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use local::{
    bench, blocklist, data, function, keys,
    log::say,
    mail::{self, Mail},
    seed, tidy, up,
};
use shared::auth;

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
    /// does, and collects the mails that SES would send. Ctrl-C stops everything that it started.
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
    /// Renew openapi.json and the routes in CargoLambda.toml, and name what in the repository does not fit together
    Tidy,
    /// Measure the functions as they are deployed: start, answers, memory, size
    ///
    /// Builds them with the release profile, a minute or more for each that has changed. Then it starts each one many
    /// times, over plain HTTP and over TLS, has one instance answer many requests, and prints each figure beside its
    /// ratio to a function that does nothing. For figures that mean something, leave the machine alone meanwhile.
    /// docs/performance.md tells how it measures, and what is aimed at.
    Bench(Bench),
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
    /// The folder that keeps database, keys, passwords and mails [default: local/.data in the repository]
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
        Command::Tidy => tidy(),
        Command::Bench(bench) => measure(bench),
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

/// How often it is looked for new mails.
const MAIL_INTERVAL: Duration = Duration::from_millis(200);

fn show_mails(MailView { to, last, html, follow, folder }: &MailView) -> Done {
    let path = data::mails(&folder.path());
    let (mails, mut end) = mail::read(&path, 0)?;
    let is_wanted = |mail: &&Mail| to.as_ref().is_none_or(|to| mail.is_for(to));
    let show = |mail: &Mail| say(&format!("{}\n{:-<80}\n", mail.readable(*html), ""));
    let wanted: Vec<_> = mails.iter().filter(is_wanted).collect();
    let before = if *last { wanted.len().saturating_sub(1) } else { 0 };
    wanted.iter().skip(before).for_each(|mail| show(mail));
    if wanted.is_empty() {
        eprintln!("no mail has arrived yet");
    }
    if !follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        thread::sleep(MAIL_INTERVAL);
        let (mails, read) = mail::read(&path, end)?;
        mails.iter().filter(is_wanted).for_each(show);
        end = read;
    }
}

fn measure(Bench { functions, requests, starts }: Bench) -> Done {
    print!("{}", bench::run(&bench::Options { functions, requests, starts })?);
    Ok(ExitCode::SUCCESS)
}

fn list(lists: &[PathBuf]) -> Done {
    println!("{} words", blocklist::write(lists)?);
    Ok(ExitCode::SUCCESS)
}

fn tidy() -> Done {
    let root = local::repository();
    for file in tidy::write(&root)? {
        println!("renewed {file}");
    }
    let findings = tidy::findings(&root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main(flavor = "current_thread")]
async fn seed(data: &Path) -> Done {
    println!("catalogue: {} products", seed::catalogue().await?);
    println!("users: {}", seed::users(data).await?);
    Ok(ExitCode::SUCCESS)
}
