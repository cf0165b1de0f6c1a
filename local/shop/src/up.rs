//! `cargo shop up`: the whole shop, from nothing to the first order, until it is told to stop.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    env, fs, io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use emulators::{
    EmulatorError,
    dynamodb::{self, DatabaseError, Dynamo},
    event_bridge::EventBridge,
    secrets_manager::{self, RotationError, Secrets},
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

/// How the shop is to run.
pub struct Options {
    /// Where it answers.
    pub port: u16,
    /// Where it keeps its data.
    pub data: PathBuf,
    /// Whether it forgets what it has kept.
    pub fresh: bool,
    /// Whether the functions are optimised as they are for deployment.
    pub release: bool,
    /// How many instances a function has.
    pub concurrency: usize,
}

/// Why the shop is not open. Each text says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself what it is")]
pub enum UpError {
    #[error("port {0} is in use: stop what uses it, or choose another with --port")]
    PortInUse(u16),
    #[error("port {0} can't be used ({1}): choose another with --port")]
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
    #[error("the keys can't be renewed ({0}): see above, or start with --fresh")]
    Rotation(#[from] RotationError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    #[error("the functions can't be built: correct what cargo says above")]
    Build,
    #[error("catalogue and users can't be seeded: see above")]
    Seed,
    #[error("cargo lambda watch has ended ({0}): see above")]
    WatchEnded(ExitStatus),
    #[error("the shop does not answer at {0} ({1}): see above")]
    NoAnswer(String, String),
    #[error("the functions can't be called: {0}")]
    Call(#[from] reqwest::Error),
    #[error("{0} can't be started ({1}): is it installed?")]
    Start(&'static str, #[source] io::Error),
    #[error("the system refuses what the shop needs: {0}")]
    System(#[from] io::Error),
}

/// How often the shop is asked whether it is open, and the pause between.
const TRIES: u32 = 300;
const PAUSE: Duration = Duration::from_millis(100);
/// How long what was started may take to end.
const FAREWELL: Duration = Duration::from_secs(5);
/// After so many seconds, watch forgets a request that got lost: one that was in work when its function was built anew.
/// Who calls a function without the gateway hears of it then. Long enough for a build.
const TIMEOUT: &str = "60";
/// The secret by which the shop knows Stripe, and its webhooks.
const PAYMENTS_SECRET: &str = "PaymentsSecret";
/// A product of the catalogue that there are many of.
const PRODUCT: &str = "prod_01jwnk7es0exzandq7ggmj9zab";
/// Where the webhooks go.
const WEBHOOKS: &str = "/v1/payments/webhooks/stripe";
/// How often the age of the keys is looked at: more than once in a day, for a laptop that sleeps between.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Opens the shop and keeps it open until Ctrl-C or SIGTERM. Whatever happens, nothing that it started stays behind.
///
/// # Errors
/// Where it can't be opened, or falls.
pub fn run(options: &Options) -> Result<(), UpError> {
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
    // Waits for the reader of the log, which ends when the last process is gone.
    runtime.shutdown_timeout(FAREWELL);
    result
}

/// Opens the shop and keeps it open.
async fn open(options: &Options, group: &Group) -> Result<Infallible, UpError> {
    let template = Template::read(&template::repository())?;
    let (sources, schedules) = (template.sources()?, template.schedules()?);
    let data = DataFolder::open(&options.data, options.fresh)?;
    let listener = listen(options.port)?;
    let constants = constants()?;
    let origin = constants.iter().find(|(name, _)| name == "ALLOWED_ORIGIN");
    let apis = template.apis(origin.map_or("*", |(_, origin)| origin))?;

    let dynamo = Dynamo::on_file(&data.database()).await?;
    let tables = dynamo.create_tables(&template)?;
    say(&format!("database: {} ({})", data.database().display(), tables.join(", ")));
    let reserved = free_port()?;
    let port = reserved.local_addr()?.port();
    let functions = format!("http://127.0.0.1:{port}");
    let secrets = Secrets::on_file(&data::secrets(data.path()), template.secrets()?, &functions).await?;
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
    ];
    drop(reserved);
    let mut watch = watch(options, port, &cargo_lambda, &services, group)?;
    let mut background = JoinSet::new();
    let gateway = Gateway::new(apis, options.port, &functions)?;
    let stuck = gateway.stuck();
    background.spawn(async move { match gateway.serve(listener).await {} });
    let url = format!("http://localhost:{}", options.port);
    say("starting cargo lambda watch");
    tokio::select! {
        open = opened(&url) => open?,
        ended = watch.wait() => return Err(fallen(ended?).await),
    }

    for secret in secrets.due(telemetry::now()) {
        say(&format!("making the keys of {secret}"));
        secrets.rotate(&secret).await?;
    }
    background.spawn(renew(secrets));
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
            ended = watch.wait() => return Err(fallen(ended?).await),
            () = stuck.noticed() => {
                say("cargo lambda watch no longer answers: restarting it");
                watch.kill().await?;
                watch = self::watch(options, port, &cargo_lambda, &services, group)?;
            }
        }
    }
}

/// Listens where clients will ask: at all addresses, as is the custom of `cargo lambda watch`, which
/// `cargo lambda invoke` counts on.
fn listen(port: u16) -> Result<tokio::net::TcpListener, UpError> {
    let judge = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => UpError::PortInUse(port),
        _ => UpError::Port(port, error),
    };
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).map_err(judge) {
        // A machine without IPv6.
        Err(UpError::Port(..)) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(judge),
        bound => bound,
    }?;
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

/// A port that nobody uses, as long as this is held.
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

/// Seeds catalogue and users, once. In a process of its own, because the shop's code finds its store by the
/// environment, and a process can't safely change its own.
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

/// The shop's account at the pretend Stripe, by the shop's own secret; a fresh one gets keys that nobody else knows.
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

/// The variables in local/env.
fn constants() -> io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(template::repository().join("local/env"))?;
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn watch(
    options: &Options,
    port: u16,
    cargo_lambda: &Path,
    services: &[(&str, String); 5],
    group: &Group,
) -> Result<Child, UpError> {
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
    let child = watch.spawn().map_err(|error| UpError::Start("cargo-lambda", error))?;
    tokio::task::spawn_blocking(|| log::follow(output));
    Ok(child)
}

/// Why the shop is open no more, once what watch said at last is printed.
async fn fallen(status: ExitStatus) -> UpError {
    sleep(PAUSE).await;
    UpError::WatchEnded(status)
}

/// Waits until the shop says that it is well.
async fn opened(url: &str) -> Result<(), UpError> {
    let health = format!("{url}/v1/health");
    let http = reqwest::Client::builder().no_proxy().timeout(FAREWELL).build();
    let http = http.map_err(|error| UpError::NoAnswer(health.clone(), error.to_string()))?;
    let mut last = String::new();
    for _ in 0..TRIES {
        last = match http.get(&health).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        sleep(PAUSE).await;
    }
    Err(UpError::NoAnswer(health, last))
}

/// Renews the keys when their time has come, as Secrets Manager does by its schedule.
async fn renew(secrets: Secrets) {
    loop {
        sleep(RENEWAL_INTERVAL).await;
        for secret in secrets.due(telemetry::now()) {
            if let Err(error) = secrets.rotate(&secret).await {
                say(&format!("{secret} can't be renewed, which is tried again later: {error}"));
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
The shop is open at {url}/v1. Save a file, and its functions are built anew; Ctrl-C closes the shop. To try:

  {url}/v1/docs    shows all that it can do, in a browser

  curl '{url}/v1/products?category=books&sort=price'

  curl {url}/v1/products -H "Authorization: Bearer $(cargo shop token admin{token})" -H "Idempotency-Key: my-first" --json \
    '{{"sku": "MUG-1", "name": "A mug", "category": "kitchen", "price": {{"amount": 1250, "currency": "USD"}}}}'

  {invoke} products-get --data-file local/events/products-get.json

Users, with passwords that were made for this data folder alone:

{users}

  {log_in}

A purchase, and what comes of it:

  TOKEN=$(cargo shop token customer{token})
  curl {url}/v1/orders -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-order" --json \
    '{{"items": [{{"product_id": "{PRODUCT}", "quantity": 2}}],
      "shipping_address": {{"name": "Chris Customer", "line1": "Lindenstraße 7", "city": "Berlin", "postal_code": "10969", "country": "DE"}}}}'
  curl {url}/v1/orders/ORDER_ID/payments -H "Authorization: Bearer $TOKEN" -H "Idempotency-Key: my-payment" --json \
    '{{"payment_method": "pm_card_visa"}}'

  cargo shop mail{folder} --follow      shows the mails that the shop sends
  cargo shop events{folder} --follow    the events that it publishes
  cargo shop ledger{folder}             what its payments came to at the pretend Stripe
"#
    )
}

/// A future that is ready once somebody wants the shop to stop.
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
