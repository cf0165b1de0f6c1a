//! `cargo shop up`: the whole shop on this machine.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::Arc,
    time::Duration,
};

use emulators::{
    EmulatorError,
    dynamodb::{self, DatabaseError, Dynamo},
    event_bridge::EventBridge,
    secrets_manager::{self, RotationError, Secrets},
    server,
    ses::Mailbox,
    stripe::{Settings, Stripe},
};
use runtime::{
    cargo_lambda::{self, InstallError},
    data::{self, DataError, DataFolder},
    function,
    gateway::Gateway,
    log::{self, say},
    process::{self, Group},
    schedules,
    seed::{self, SeedError},
    streams::{Delivery, DeliveryError},
};
use rustix::fs::Mode;
use serde_json::{Value, json};
use shared::telemetry;
use template::{Template, TemplateError};
use tokio::{
    process::Child,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};

pub struct Options {
    /// Address to listen on; all loopback addresses if absent.
    pub host: Option<IpAddr>,
    pub port: u16,
    pub data: PathBuf,
    /// Deletes the data first.
    pub fresh: bool,
    /// Builds the functions with the release profile.
    pub release: bool,
    /// Instances per function.
    pub concurrency: usize,
}

/// The shop cannot start, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error("port {0} is in use: stop what uses it, or choose another with --port")]
    PortInUse(u16),
    #[error("port {0} cannot be used ({1}): choose another with --port")]
    Port(u16, #[source] io::Error),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    #[error(transparent)]
    Passwords(#[from] SeedError),
    #[error("the keys cannot be rotated ({0}): see above, or start with --fresh")]
    Rotation(#[from] RotationError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("the functions cannot be built: fix cargo's errors above")]
    Build,
    #[error("catalogue and users cannot be seeded: see above")]
    Seed,
    #[error("cargo lambda watch has stopped ({0}): see above")]
    WatchEnded(ExitStatus),
    #[error("the shop does not answer at {0} ({1}): see above")]
    NoAnswer(String, String),
    #[error("the functions cannot be called: {0}")]
    Call(#[from] reqwest::Error),
    #[error("{0} cannot be started ({1}): is it installed?")]
    Start(&'static str, #[source] io::Error),
    #[error("the system refused a request: {0}")]
    System(#[from] io::Error),
}

/// Health checks until the shop counts as failed.
const MAX_HEALTH_CHECKS: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);
/// Grace period of what was started.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// Seconds until `cargo lambda watch` fails a request that was lost when its function was rebuilt. Only callers past the
/// gateway wait that long. Exceeds the time of a build.
const TIMEOUT: &str = "60";
/// The secret with the API key and the webhook secret of Stripe.
const PAYMENTS_SECRET: &str = "PaymentsSecret";
/// A seeded product with plenty of stock.
const PRODUCT: &str = "prod_01jwnk7es0exzandq7ggmj9zab";
const WEBHOOKS: &str = "/v1/payments/webhooks/stripe";
/// Interval of the checks for due rotations.
const ROTATION_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Runs the shop until Ctrl-C or SIGTERM. All processes that it starts end with it.
///
/// # Errors
/// [`UpError`].
pub fn run(options: &Options) -> Result<(), UpError> {
    // Keys, passwords and mails are for this user alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let runtime = Runtime::new()?;
    let result = runtime.block_on(async {
        let stopped = stopped()?;
        let group = Group::new().map_err(|error| UpError::Start("sh", error))?;
        let result = tokio::select! {
            result = open(options, &group) => result.map(|never| match never {}),
            () = stopped => {
                say("\nstopping");
                Ok(())
            }
        };
        log::fall_silent();
        group.end().await?;
        result
    });
    // Waits for the reader of the log, which ends with the last process.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

async fn open(options: &Options, group: &Group) -> Result<Infallible, UpError> {
    let template = Template::read(&template::repository())?;
    let (sources, schedules) = (template.sources()?, template.schedules()?);
    let data = DataFolder::open(&options.data, options.fresh)?;
    let listeners = listen(options.host, options.port)?;
    let constants = constants()?;
    let origin = constants.iter().find(|(name, _)| name == "ALLOWED_ORIGIN");
    let apis = template.apis(origin.map_or("*", |(_, origin)| origin))?;

    let dynamo = Dynamo::on_file(&data.database()).await?;
    let tables = dynamo.create_tables(&template)?;
    say(&format!("database: {} ({})", data.database().display(), tables.join(", ")));
    let reserved = free_port()?;
    let port = reserved.local_addr()?.port();
    let functions = format!("http://127.0.0.1:{port}");
    let session_token = server::uuid();
    let secrets = data::secrets(data.path());
    let secrets = Secrets::on_file(&secrets, template.secrets()?, &functions, &session_token).await?;
    let mailbox = Mailbox::on_file(&data::mails(data.path())).await?;
    let bus = EventBridge::on_file(&data::events(data.path())).await?;
    let stripe = Stripe::on_file(&data::stripe(data.path()), account(&secrets)?).await?;

    let cargo_lambda = cargo_lambda::ensure(group, say).await?;
    build(options, group).await?;
    seed(&data, constants, &dynamo, group).await?;

    let services = [
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamo.url.clone()),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", bus.url.clone()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets.url.clone()),
        ("AWS_ENDPOINT_URL_SESV2", mailbox.url.clone()),
        ("PAYMENTS_URL", stripe.url.clone()),
        // Unlike the other credentials, local/env does not set it.
        ("AWS_SESSION_TOKEN", session_token),
    ];
    drop(reserved);
    let mut watch = Watch::start(options, port, &cargo_lambda, &services)?;
    let mut background = JoinSet::new();
    let gateway = Gateway::new(apis, options.port, &functions)?;
    let stuck = gateway.stuck();
    let gateway = Arc::new(gateway);
    for listener in listeners {
        let gateway = Arc::clone(&gateway);
        background.spawn(async move { match gateway.serve(listener).await {} });
    }
    let url = format!("http://localhost:{}", options.port);
    say("starting cargo lambda watch");
    tokio::select! {
        healthy = healthy(&url) => healthy?,
        ended = watch.process.wait() => return Err(watch_ended(ended?).await),
    }

    for secret in secrets.due(telemetry::now()) {
        say(&format!("rotating {secret}"));
        secrets.rotate(&secret).await?;
    }
    background.spawn(rotate(secrets));
    for source in sources {
        let delivery = Delivery::open(source, &dynamo.database, &functions, &data.streams())?;
        background.spawn(delivery.run(say));
    }
    for schedule in schedules {
        let functions = functions.clone();
        background.spawn(async move { match schedules::run(schedule, functions, say).await {} });
    }
    stripe.send_webhooks_to(Some(&format!("{url}{WEBHOOKS}")));
    let database = dynamo.database.clone();
    background.spawn(async move { match dynamodb::delete_expired(database, say).await {} });
    say(&welcome(options, &url, &cargo_lambda, &seed::passwords(data.path())?));
    loop {
        tokio::select! {
            ended = watch.process.wait() => return Err(watch_ended(ended?).await),
            () = stuck.noticed() => {
                say("cargo lambda watch no longer answers: restarting it");
                watch.group.end().await?;
                watch = Watch::start(options, port, &cargo_lambda, &services)?;
            }
        }
    }
}

/// Listens on one address, or on all loopback addresses. `cargo lambda invoke` uses that of IPv6 unless told otherwise, many
/// clients that of IPv4.
fn listen(host: Option<IpAddr>, port: u16) -> Result<Vec<tokio::net::TcpListener>, UpError> {
    let judge = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => UpError::PortInUse(port),
        _ => UpError::Port(port, error),
    };
    let bind = |host: IpAddr| {
        let listener = TcpListener::bind((host, port)).map_err(judge)?;
        listener.set_nonblocking(true)?;
        Ok(tokio::net::TcpListener::from_std(listener)?)
    };
    match host {
        Some(host) => {
            if !host.is_loopback() {
                say(&format!(
                    "warning: everyone who reaches {host}:{port} can use this shop, which has known users"
                ));
            }
            Ok(vec![bind(host)?])
        }
        None => {
            let first = bind(Ipv4Addr::LOCALHOST.into())?;
            // A machine without IPv6 has only the first.
            match bind(Ipv6Addr::LOCALHOST.into()) {
                Ok(second) => Ok(vec![first, second]),
                Err(UpError::Port(..)) => Ok(vec![first]),
                Err(error) => Err(error),
            }
        }
    }
}

/// Reserves a free port until the listener is dropped.
fn free_port() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

async fn build(options: &Options, group: &Group) -> Result<(), UpError> {
    say("building the functions");
    let mut cargo = group.command(process::cargo())?;
    process::without_cargo_run(&mut cargo).args(["build", "--bins"]).args(release(options));
    let status = cargo.current_dir(template::repository()).status().await;
    let status = status.map_err(|error| UpError::Start("cargo", error))?;
    if status.success() { Ok(()) } else { Err(UpError::Build) }
}

fn release(options: &Options) -> Option<&'static str> {
    options.release.then_some("--release")
}

/// Seeds catalogue and users, once, in a separate process: the shop's code finds its tables through the environment, which a
/// process cannot change safely.
async fn seed(
    data: &DataFolder,
    constants: Vec<(String, String)>,
    dynamo: &Dynamo,
    group: &Group,
) -> Result<(), UpError> {
    if data.seeded().exists() {
        return Ok(());
    }
    let mut seed = group.command(env::current_exe()?)?;
    seed.arg("seed").arg(data.path());
    seed.envs(constants).env("AWS_ENDPOINT_URL_DYNAMODB", &dynamo.url);
    if !seed.status().await?.success() {
        return Err(UpError::Seed);
    }
    fs::write(data.seeded(), "")?;
    Ok(())
}

/// Returns the shop's account at Stripe from its secret, with random keys the first time.
fn account(secrets: &Secrets) -> Result<Settings, UpError> {
    let kept = secrets.value(PAYMENTS_SECRET, secrets_manager::CURRENT).unwrap_or_default();
    let mut kept: Value = serde_json::from_str(&kept).unwrap_or_default();
    if kept["api_key"].as_str().is_none_or(str::is_empty) {
        let key =
            |kind: &str| Ok::<_, io::Error>(kind.chars().chain(seed::random_letters::<32>()?).collect());
        let (api_key, webhook_secret): (String, String) = (key("sk_test_")?, key("whsec_")?);
        kept = json!({"api_key": api_key, "webhook_secrets": [webhook_secret]});
        secrets.put(PAYMENTS_SECRET, &kept.to_string())?;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Settings::new(&text(&kept["api_key"]), &text(&kept["webhook_secrets"][0])))
}

/// Reads the variables of local/env.
fn constants() -> io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(template::repository().join("local/env"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// `cargo lambda watch` and the functions that it has started, which end with its group.
struct Watch {
    process: Child,
    group: Group,
}

impl Watch {
    fn start(
        options: &Options,
        port: u16,
        cargo_lambda: &Path,
        services: &[(&str, String)],
    ) -> Result<Self, UpError> {
        let group = Group::new()?;
        let (output, printed) = io::pipe()?;
        let mut watch = group.command(cargo_lambda)?;
        process::without_cargo_run(&mut watch)
            .args(["lambda", "watch", "--disable-cors", "--timeout", TIMEOUT])
            .args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()])
            .args(release(options))
            .envs(function::variables(env::current_exe()?, options.concurrency))
            .envs(services.iter().cloned())
            .env("PUBLIC_URL", format!("http://localhost:{}", options.port))
            .env("CARGO_LAMBDA_IGNORE_FILE", template::repository().join("local/ignore"))
            .current_dir(template::repository())
            .stdout(printed.try_clone()?)
            .stderr(printed);
        let process = watch.spawn().map_err(|error| UpError::Start("cargo-lambda", error))?;
        tokio::task::spawn_blocking(|| log::follow(output));
        Ok(Self { process, group })
    }
}

/// Returns the error for the end of `cargo lambda watch`, after its last lines are printed.
async fn watch_ended(status: ExitStatus) -> UpError {
    sleep(PAUSE).await;
    UpError::WatchEnded(status)
}

/// Waits for the first successful health check.
async fn healthy(url: &str) -> Result<(), UpError> {
    let health = format!("{url}/v1/health");
    let http = reqwest::Client::builder().no_proxy().timeout(SHUTDOWN_TIMEOUT).build();
    let http = http.map_err(|error| UpError::NoAnswer(health.clone(), error.to_string()))?;
    let mut last = String::new();
    for _ in 0..MAX_HEALTH_CHECKS {
        last = match http.get(&health).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        sleep(PAUSE).await;
    }
    Err(UpError::NoAnswer(health, last))
}

/// Rotates due secrets, like the schedule of Secrets Manager.
async fn rotate(secrets: Secrets) {
    loop {
        sleep(ROTATION_INTERVAL).await;
        for secret in secrets.due(telemetry::now()) {
            if let Err(error) = secrets.rotate(&secret).await {
                say(&format!("cannot rotate {secret}, will retry: {error}"));
            }
        }
    }
}

fn welcome(
    options: &Options,
    url: &str,
    cargo_lambda: &Path,
    passwords: &BTreeMap<String, String>,
) -> String {
    let Options { port, data, .. } = options;
    let (mut token, mut invoke) = (String::new(), "cargo lambda invoke".to_owned());
    let mut folder = String::new();
    if cargo_lambda.is_absolute() {
        let from_here = cargo_lambda.strip_prefix(template::repository()).unwrap_or(cargo_lambda);
        invoke = format!("{} lambda invoke", from_here.display());
    }
    if *port != 9000 {
        token += &format!(" --port {port}");
        invoke += &format!(" --invoke-port {port}");
    }
    if *data != data::default_folder() {
        folder = format!(" --data-dir {}", data.display());
        token += &folder;
    }
    let users: Vec<_> =
        passwords.iter().map(|(email, password)| format!("  {email:<23}{password}")).collect();
    let users = users.join("\n");
    let log_in = passwords.first_key_value().map(|(email, password)| {
        format!(r#"curl {url}/v1/sessions --json '{{"email": "{email}", "password": "{password}"}}'"#)
    });
    let log_in = log_in.unwrap_or_default();
    format!(
        r#"
The shop runs at {url}/v1. Saving a file rebuilds its functions; Ctrl-C stops the shop. Try:

  {url}/v1/docs    the API reference, in a browser

  curl '{url}/v1/products?category=books&sort=price'

  curl {url}/v1/products -H "Authorization: Bearer $(cargo shop token admin{token})" -H "Idempotency-Key: my-first" --json \
    '{{"sku": "MUG-1", "name": "A mug", "category": "kitchen", "price": {{"amount": 1250, "currency": "USD"}}}}'

  {invoke} products-get --data-file local/events/products-get.json

Users, with random passwords of this data folder:

{users}

  {log_in}

Buy something:

  TOKEN=$(cargo shop token customer{token})
  curl {url}/v1/orders -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-order" --json \
    '{{"items": [{{"product_id": "{PRODUCT}", "quantity": 2}}],
      "shipping_address": {{"name": "Chris Customer", "line1": "Lindenstraße 7", "city": "Berlin", "postal_code": "10969", "country": "DE"}}}}'
  curl {url}/v1/orders/ORDER_ID/payments -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-payment" --json \
    '{{"payment_method": "pm_card_visa"}}'

  cargo shop mail{folder} --follow      the mails that the shop sends
  cargo shop events{folder} --follow    the events that it publishes
  cargo shop ledger{folder}             the payments and refunds at the Stripe emulator
"#
    )
}

/// Returns a future that completes on a signal to stop.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let mut signals =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    Ok(async move {
        let [interrupt, terminate, hangup] = &mut signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
