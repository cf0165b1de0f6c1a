//! A whole shop for the tests: the emulators, a proxy in front of them, `cargo lambda watch`, the gateway, and the
//! functions' binaries as processes, several of each.

pub mod books;
pub mod buyers;
mod client;
mod contract;
pub mod deployed;
pub mod localstripe;
pub mod page;
pub mod people;
pub mod process;
pub mod proxy;
mod rights;
pub mod token;

use std::{
    collections::BTreeMap,
    env, fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use emulators::{
    dynamodb::Dynamo,
    event_bridge::EventBridge,
    secrets_manager::Secrets,
    ses::Mailbox,
    stripe::{Settings, Stripe},
};
use runtime::{cargo_lambda, gateway::Gateway, process::Group, streams::Delivery};
use serde_json::{Value, json};
use tempfile::TempDir;
use template::Template;
use tokio::{
    net::TcpStream,
    process::Child,
    runtime::{Builder, Runtime},
    sync::{Mutex as AsyncMutex, MutexGuard, OnceCell},
    task::JoinSet,
    time::{sleep, timeout},
};

pub use client::{ADMIN, Answer, CUSTOMER, Request, STAFF, assert_statuses, count, form_of};
pub use contract::{CONTRACT, Contract, Operation, Received, differs_each_time};
use deployed::{Deployed, FIRST_NUMBER, skip, skip_where_deployed};
pub use people::{Person, unique_address};
use process::Log;
use proxy::{Calls, Proxy, Service};
use token::{Signer, Token, secret};

pub const PUBLIC_URL: &str = "http://shop.test";
pub const ISSUER: &str = "http://shop.test/v1";
pub const BUILD: &str = "build-of-the-tests";
/// URL of the web shop.
pub const STOREFRONT: &str = "https://storefront.test";
/// E-mail address that becomes an admin when verified.
pub const FIRST_ADMIN: &str = "first-admin@canary.test";
pub const PRODUCTS: &str = "ProductsTable";
pub const USERS: &str = "UsersTable";
pub const KEYS: &str = "KeysTable";
pub const ORDERS: &str = "OrdersTable";
/// Suffix of a twin's name.
const TWIN: &str = "-twin";
pub const SIGNING_SECRET: &str = "SigningSecret";
pub const HMAC_SECRET: &str = "HmacSecret";
pub const PAYMENTS_SECRET: &str = "PaymentsSecret";
/// Stripe's API key.
pub const API_KEY: &str = "sk_test_CANARYkeyOfTheTests";
/// Secret of Stripe's webhooks: the second of two, as during a rotation.
pub const WEBHOOK_SECRET: &str = "whsec_CANARYwebhooksOfTheTests";
pub const EVENT_BUS: &str = "EventBus";

/// Runs emulators and processes, which outlive the runtime of the test that starts them.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap());
pub static BINARIES: LazyLock<PathBuf> = LazyLock::new(process::build);

/// Differences from the common shop.
#[derive(Clone, Default)]
pub struct Options {
    /// Numbers of instances other than two.
    pub instances: Vec<(&'static str, usize)>,
    /// Only these functions.
    pub only: Option<Vec<&'static str>>,
    /// Stripe sends webhooks by itself, not only when a test does.
    pub webhooks: bool,
    /// Delivers no streams.
    pub without_streams: bool,
    /// Starts no functions.
    pub closed: bool,
    /// URL of another payment provider.
    pub payments: Option<String>,
    /// File of the tables.
    pub file: Option<PathBuf>,
    /// Starts without signing keys, as after the first deployment.
    pub without_keys: bool,
    /// Other binaries for functions.
    pub programs: Vec<(&'static str, PathBuf)>,
    /// More environment variables.
    pub variables: Vec<(&'static str, String)>,
}

/// A running shop.
#[derive(Clone)]
pub struct Shop {
    running: Arc<Running>,
    http: reqwest::Client,
}

struct Running {
    mailbox: Mailbox,
    bus: EventBridge,
    stripe: Stripe,
    signer: Signer,
    log: Arc<Log>,
    environment: Environment,
}

/// Location of the functions.
enum Environment {
    Local(Box<LocalEnv>),
    Cloud(Deployed),
}

/// A shop on this machine.
struct LocalEnv {
    options: Options,
    /// Port of the gateway.
    port: u16,
    gateway: Arc<Gateway>,
    /// Port of `cargo lambda watch`.
    functions_port: u16,
    database: Dynamo,
    secrets: Secrets,
    proxy: Proxy,
    log: Arc<Log>,
    group: Group,
    instances: Mutex<Vec<(String, Child)>>,
    _cargo_lambda: Child,
    twins: OnceCell<Twins>,
    background: JoinSet<()>,
    folder: TempDir,
}

impl Shop {
    /// Returns the shop that most tests share, each with its own categories, SKUs and keys.
    pub async fn shared() -> Self {
        static SHARED: OnceCell<Arc<Running>> = OnceCell::const_new();
        let start = || Running::start_on_runtime(Options::default());
        Self::of(Arc::clone(SHARED.get_or_init(start).await))
    }

    /// Starts a shop for one test.
    pub async fn start(options: Options) -> Self {
        skip_where_deployed("a shop of its own");
        Self::of(Running::start_on_runtime(options).await)
    }

    /// Starts a shop for one test with these functions only.
    pub async fn with(instances: &[(&'static str, usize)]) -> Self {
        let only = Some(instances.iter().map(|(name, _)| *name).collect());
        Self::start(Options { instances: instances.to_vec(), only, ..Options::default() }).await
    }

    fn of(running: Arc<Running>) -> Self {
        // A client of its own, because a test's connections end with its runtime.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(35));
        let http = http.redirect(reqwest::redirect::Policy::none());
        let http = match &running.environment {
            Environment::Local(_) => http,
            Environment::Cloud(cloud) => cloud.reach(http),
        };
        Self { running, http: http.build().unwrap() }
    }

    pub fn get(&self, path: &str) -> Request {
        Request::new(self, "GET", path)
    }

    pub fn post(&self, path: &str) -> Request {
        Request::new(self, "POST", path)
    }

    pub fn patch(&self, path: &str) -> Request {
        Request::new(self, "PATCH", path)
    }

    pub fn put(&self, path: &str) -> Request {
        Request::new(self, "PUT", path)
    }

    pub fn delete(&self, path: &str) -> Request {
        Request::new(self, "DELETE", path)
    }

    /// Returns the URL of the API, without the version.
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Returns the URL of Lambda.
    pub fn functions_url(&self) -> String {
        self.running.local("an address of functions").functions_url()
    }

    /// Invokes a function with any event.
    pub async fn invoke(&self, function: &str, event: &Value) -> Value {
        match &self.running.environment {
            Environment::Local(local) => self.invoke_at(&local.functions_url(), function, event).await,
            Environment::Cloud(cloud) => cloud.invoke(function, event),
        }
    }

    async fn invoke_at(&self, url: &str, function: &str, event: &Value) -> Value {
        let url = format!("{url}/2015-03-31/functions/{function}/invocations");
        let answer = self.http.post(url).body(event.to_string()).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Selects calls of an operation of a service.
    pub fn calls(&self, operation: &'static str) -> Calls {
        self.running.local("the proxy").proxy.calls(operation)
    }

    /// Selects the reads of public keys and withdrawals at the proxy.
    pub fn verifier_reads(&self) -> Calls {
        self.running.local("the proxy").proxy.verifier_reads()
    }

    /// Selects all calls but the reads of verifiers.
    pub fn any_call(&self) -> Calls {
        self.running.local("the proxy").proxy.any_call()
    }

    /// Returns rights that no call has needed yet: function, action, resource.
    pub fn unneeded_rights(&self) -> Vec<(String, (String, String))> {
        self.running.local("the proxy").proxy.unneeded_rights()
    }

    /// Returns the output of all processes.
    pub fn log(&self) -> &Arc<Log> {
        &self.running.local("the log").log
    }

    /// Returns the signing key.
    pub fn signer(&self) -> &Signer {
        &self.running.signer
    }

    /// Makes a token to change and sign.
    pub fn token(&self, subject: &str, scope: &str) -> Token {
        Token::new(ISSUER, &self.running.signer.kid, subject, scope)
    }

    /// Publishes a key.
    pub fn publish(&self, signer: &Signer) {
        self.write(KEYS, signer.item());
    }

    /// Returns the Secrets Manager.
    pub fn secrets(&self) -> &Secrets {
        &self.running.local("the secrets").secrets
    }

    /// Returns the SES emulator.
    pub fn mailbox(&self) -> &Mailbox {
        if let Environment::Cloud(cloud) = &self.running.environment {
            cloud.fetch_mails(&self.running.mailbox);
        }
        &self.running.mailbox
    }

    /// Returns the EventBridge emulator.
    pub fn bus(&self) -> &EventBridge {
        if let Environment::Cloud(cloud) = &self.running.environment {
            cloud.fetch_events(&self.running.bus);
        }
        &self.running.bus
    }

    /// Returns the Stripe emulator.
    pub fn stripe(&self) -> &Stripe {
        &self.running.stripe
    }

    /// Returns the cloud, or ends the test.
    pub fn cloud(&self) -> &Deployed {
        match &self.running.environment {
            Environment::Local(_) => panic!("this test is about a deployed shop: tests/cloud/run"),
            Environment::Cloud(cloud) => cloud,
        }
    }

    /// Writes an item past the shop.
    pub fn write(&self, table: &str, item: Value) {
        self.dynamo("PutItem", json!({"TableName": table, "Item": item})).unwrap();
    }

    /// Replaces an item past the shop. Returns whether it was unchanged since it was read.
    pub fn replace(&self, table: &str, before: &Value, item: Value) -> bool {
        let put = json!({
            "TableName": table,
            "Item": item,
            "ConditionExpression": "version = :version",
            "ExpressionAttributeValues": {":version": before["version"]},
        });
        let put = self.dynamo("PutItem", put);
        put.map_err(|error| assert!(error.contains("condition"), "{error}")).is_ok()
    }

    /// Deletes matching items past the shop.
    pub fn remove(&self, table: &str, fits: impl Fn(&Value) -> bool) {
        for item in self.items(table).iter().filter(|item| fits(item)) {
            let key = json!({"pk": item["pk"], "sk": item["sk"]});
            self.dynamo("DeleteItem", json!({"TableName": table, "Key": key})).unwrap();
        }
    }

    /// Returns the items of a partition.
    pub fn items_of(&self, table: &str, pk: &str) -> Vec<Value> {
        let query = json!({
            "TableName": table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": pk}},
        });
        self.dynamo("Query", query).unwrap()["Items"].as_array().unwrap().clone()
    }

    /// Returns all items of a table.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let (mut items, mut scan) = (Vec::new(), json!({"TableName": table}));
        loop {
            let page = self.dynamo("Scan", scan.clone()).unwrap();
            items.extend(page["Items"].as_array().unwrap().iter().cloned());
            match page.get("LastEvaluatedKey").filter(|key| key.is_object()) {
                Some(key) => scan["ExclusiveStartKey"] = key.clone(),
                None => return items,
            }
        }
    }

    /// Returns an item.
    pub fn item(&self, table: &str, pk: &str, sk: &str) -> Value {
        let key = json!({"pk": {"S": pk}, "sk": {"S": sk}});
        let item = self.dynamo("GetItem", json!({"TableName": table, "Key": key})).unwrap()["Item"].take();
        assert!(item.is_object(), "no item {pk} {sk} in {table}");
        item
    }

    /// Calls DynamoDB past the functions and the proxy.
    fn dynamo(&self, operation: &str, request: Value) -> Result<Value, String> {
        match &self.running.environment {
            Environment::Local(local) => local.dynamo(operation, request),
            Environment::Cloud(cloud) => cloud.dynamo(operation, request),
        }
    }

    /// Stops the shop.
    pub async fn stop(self) {
        let running = Arc::into_inner(self.running).expect("nobody else uses the shop");
        let Environment::Local(local) = running.environment else { skip("an end") };
        RUNTIME.spawn(local.group.end()).await.unwrap().unwrap();
    }

    /// Kills all instances of a function.
    pub async fn kill(&self, function: &str) {
        let mut killed = Vec::new();
        {
            let mut instances = self.running.local("the processes").instances.lock().unwrap();
            while let Some(index) = instances.iter().position(|(name, _)| name == function) {
                killed.push(instances.swap_remove(index).1);
            }
        }
        for mut child in killed {
            child.kill().await.unwrap();
        }
    }

    /// Returns the CPU time of all instances of a function.
    pub fn cpu_time(&self, function: &str) -> Duration {
        let instances = self.running.local("the processes").instances.lock().unwrap();
        let ids = instances.iter().filter(|(name, _)| name == function).filter_map(|(_, child)| child.id());
        let taken = |id| {
            let path = format!("/proc/{id}/schedstat");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
        };
        ids.map(taken).sum()
    }

    /// Starts instances of a function.
    pub async fn open(&self, function: &str, instances: usize) {
        let (running, function) = (Arc::clone(&self.running), function.to_owned());
        let open = async move { running.local("the processes").open(&function, instances) };
        RUNTIME.spawn(open).await.unwrap();
    }

    /// Starts a twin: an instance that gets only the requests sent to it. Returns the name that its calls carry.
    pub async fn open_twin(&self, function: &'static str) -> &'static str {
        let running = Arc::clone(&self.running);
        self.running.local("a twin");
        let start = move || {
            let local = running.local("a twin");
            let twins = local.twins.get_or_init(|| Twins::start(&local.group, &local.log));
            let twins = RUNTIME.block_on(twins);
            let name: &'static str = format!("{function}{TWIN}").leak();
            let _entered = RUNTIME.enter();
            local.open_at(&twins.url(), function, name, 1);
            name
        };
        RUNTIME.spawn_blocking(start).await.unwrap()
    }

    /// Invokes a twin.
    pub async fn invoke_twin(&self, function: &str, event: &Value) -> Value {
        let twins = self.running.local("a twin").twins();
        self.invoke_at(&twins.url(), function, event).await
    }

    /// Counts the living instances of a function.
    pub fn alive(&self, function: &str) -> usize {
        let mut instances = self.running.local("the processes").instances.lock().unwrap();
        let alive =
            |(name, child): &mut (String, Child)| name == function && child.try_wait().unwrap().is_none();
        instances.iter_mut().filter_map(|instance| alive(instance).then_some(())).count()
    }
}

impl Running {
    async fn start_on_runtime(options: Options) -> Arc<Self> {
        let start = move || RUNTIME.block_on(Self::start(options));
        RUNTIME.spawn_blocking(start).await.unwrap().into()
    }

    async fn start(options: Options) -> Self {
        match Deployed::of_environment() {
            None => Self::open(options).await,
            Some(cloud) => Self::join(cloud).await,
        }
    }

    /// Starts the emulators for a deployed shop.
    async fn join(cloud: Deployed) -> Self {
        let account = Settings { port: cloud.stripe_port(), ..account() };
        Self {
            mailbox: Mailbox::in_memory().await.unwrap(),
            bus: EventBridge::in_memory().await.unwrap(),
            stripe: Stripe::in_memory(account).await.unwrap(),
            signer: cloud.signer(),
            log: Arc::default(),
            environment: Environment::Cloud(cloud),
        }
    }

    async fn open(options: Options) -> Self {
        let (log, group, signer) = (Arc::new(Log::default()), Group::new().unwrap(), Signer::new("key-1"));
        let built = tokio::task::spawn_blocking(|| drop(BINARIES.clone()));
        let database = match &options.file {
            Some(file) => Dynamo::on_file(file).await.unwrap(),
            None => Dynamo::in_memory().await.unwrap(),
        };
        let template = Template::read(&template::repository()).unwrap();
        database.create_tables(&template).unwrap();
        let functions_port = free_port();
        let functions = format!("http://127.0.0.1:{functions_port}");
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let gateway = gateway(&template, port, &functions);
        let secrets = Secrets::in_memory(template.secrets().unwrap(), &functions).await.unwrap();
        if !options.without_keys {
            database.put(KEYS, signer.item()).unwrap();
            secrets.put(SIGNING_SECRET, &signer.secret()).unwrap();
            secrets.put(HMAC_SECRET, &secret("hmac-1", &[7; 32])).unwrap();
        }
        let payments =
            json!({"api_key": API_KEY, "webhook_secrets": ["whsec_CANARYoutgoing", WEBHOOK_SECRET]});
        secrets.put(PAYMENTS_SECRET, &payments.to_string()).unwrap();
        let mailbox = Mailbox::in_memory().await.unwrap();
        let bus = EventBridge::in_memory().await.unwrap();
        let stripe = Stripe::in_memory(account()).await.unwrap();
        if options.webhooks {
            stripe.send_webhooks_to(Some(&format!("http://127.0.0.1:{port}/v1/payments/webhooks/stripe")));
        }
        let upstreams = [
            (Service::Dynamo, database.url.clone()),
            (Service::Secrets, secrets.url.clone()),
            (Service::Mail, mailbox.url.clone()),
            (Service::EventBridge, bus.url.clone()),
            (Service::Payments, options.payments.clone().unwrap_or_else(|| stripe.url.clone())),
        ];
        let proxy = Proxy::start(upstreams).await.unwrap();
        built.await.unwrap();

        let cargo_lambda = watch(functions_port, &group, &log).await;
        let mut local = LocalEnv {
            options,
            port,
            gateway: Arc::clone(&gateway),
            functions_port,
            database,
            secrets,
            proxy,
            log: Arc::clone(&log),
            group,
            instances: Mutex::default(),
            _cargo_lambda: cargo_lambda,
            twins: OnceCell::const_new(),
            background: JoinSet::new(),
            folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        };
        // Before the functions: without a runtime API they end at once.
        listens(functions_port).await;
        local.background.spawn(async move { match gateway.serve(listener).await {} });
        if !local.options.closed {
            for function in process::functions() {
                local.open(&function, local.usual_instances(&function));
            }
        }
        if !local.options.without_streams {
            local.deliver_streams(&template);
        }
        Self { mailbox, bus, stripe, signer, log, environment: Environment::Local(Box::new(local)) }
    }

    /// Returns the local shop, or ends the test.
    fn local(&self, what: &str) -> &LocalEnv {
        match &self.environment {
            Environment::Local(local) => local,
            Environment::Cloud(_) => skip(what),
        }
    }

    /// Returns the URL of the API, without `/v1`.
    fn url(&self) -> String {
        match &self.environment {
            Environment::Local(local) => local.url(),
            Environment::Cloud(cloud) => cloud.url(),
        }
    }
}

impl LocalEnv {
    fn dynamo(&self, operation: &str, request: Value) -> Result<Value, String> {
        let Dynamo { database, .. } = &self.database;
        macro_rules! answer {
            ($operation:ident) => {{
                let answer = database.$operation(serde_json::from_value(request).unwrap());
                answer.map(|answer| json!(answer)).map_err(|error| error.to_string())
            }};
        }
        match operation {
            "DeleteItem" => answer!(delete_item),
            "GetItem" => answer!(get_item),
            "PutItem" => answer!(put_item),
            "Query" => answer!(query),
            "Scan" => answer!(scan),
            _ => panic!("no test has called {operation} yet"),
        }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn functions_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.functions_port)
    }

    fn twins(&self) -> &Twins {
        self.twins.get().expect("a twin is open")
    }

    fn deliver_streams(&mut self, template: &Template) {
        for source in template.sources().unwrap() {
            if self.usual_instances(&source.function) == 0 {
                continue;
            }
            let database = &self.database.database;
            let delivery =
                Delivery::open(source, database, &self.functions_url(), self.folder.path()).unwrap();
            let log = Arc::clone(&self.log);
            self.background.spawn(delivery.run(move |text| log.say("streams", text)));
        }
    }

    fn usual_instances(&self, function: &str) -> usize {
        let Options { instances, only, .. } = &self.options;
        let known = instances.iter().find(|(name, _)| *name == function).map(|(_, count)| *count);
        let left_out = only.as_ref().is_some_and(|only| !only.contains(&function));
        known.unwrap_or(if left_out { 0 } else { 2 })
    }

    fn open(&self, function: &str, instances: usize) {
        self.open_at(&self.functions_url(), function, function, instances);
    }

    /// Starts instances behind a `cargo lambda watch`. Their calls carry `name`.
    fn open_at(&self, url: &str, function: &str, name: &str, instances: usize) {
        let mut variables: BTreeMap<String, String> = [
            ("ADMIN_EMAIL", FIRST_ADMIN.to_owned()),
            ("ALLOWED_ORIGIN", "*".to_owned()),
            ("AWS_ACCESS_KEY_ID", "CANARY-access-key".to_owned()),
            ("AUDIT_TABLE", "AuditTable".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.proxy.url(Service::Dynamo, name)),
            ("AWS_ENDPOINT_URL_EVENTBRIDGE", self.proxy.url(Service::EventBridge, name)),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.proxy.url(Service::Secrets, name)),
            ("AWS_ENDPOINT_URL_SESV2", self.proxy.url(Service::Mail, name)),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_LAMBDA_RUNTIME_API", format!("{url}/.rt/{function}")),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "CANARY-secret-key".to_owned()),
            ("AWS_SESSION_TOKEN", "CANARY-session-token".to_owned()),
            ("BUILD_ID", BUILD.to_owned()),
            ("EVENT_BUS", EVENT_BUS.to_owned()),
            ("HMAC_SECRET", HMAC_SECRET.to_owned()),
            ("KEYS_TABLE", KEYS.to_owned()),
            ("MAIL_FROM", "Shop <shop@storefront.test>".to_owned()),
            ("ORDERS_TABLE", ORDERS.to_owned()),
            ("PAYMENTS_SECRET", PAYMENTS_SECRET.to_owned()),
            ("PAYMENTS_URL", self.proxy.url(Service::Payments, name)),
            ("PRODUCTS_TABLE", PRODUCTS.to_owned()),
            ("PUBLIC_URL", PUBLIC_URL.to_owned()),
            ("SIGNING_SECRET", SIGNING_SECRET.to_owned()),
            ("STOREFRONT_URL", STOREFRONT.to_owned()),
            ("USERS_TABLE", USERS.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        variables
            .extend(self.options.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let programs = &self.options.programs;
        let other = programs.iter().find(|(name, _)| *name == function).map(|(_, program)| program.clone());
        let program = other.unwrap_or_else(|| BINARIES.join(function));
        for _ in 0..instances {
            let child = process::spawn(&self.group, &program, &[], &variables, &self.log);
            self.instances.lock().unwrap().push((name.to_owned(), child));
        }
    }
}

/// The shop's account at Stripe.
fn account() -> Settings {
    Settings { delay: Duration::from_millis(20), ..Settings::new(API_KEY, WEBHOOK_SECRET) }
}

/// A second `cargo lambda watch`, for twins.
struct Twins {
    port: u16,
    gateway: Arc<Gateway>,
    _cargo_lambda: Child,
}

fn gateway(template: &Template, port: u16, functions: &str) -> Arc<Gateway> {
    Arc::new(Gateway::new(template.apis("*").unwrap(), port, functions).unwrap())
}

impl Twins {
    async fn start(group: &Group, log: &Arc<Log>) -> Self {
        let port = free_port();
        let template = Template::read(&template::repository()).unwrap();
        let gateway = gateway(&template, 9000, &format!("http://127.0.0.1:{port}"));
        let twins = Self { port, gateway, _cargo_lambda: watch(port, group, log).await };
        listens(port).await;
        twins
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

async fn listens(port: u16) {
    let connect = async || TcpStream::connect(("127.0.0.1", port)).await.ok();
    eventually("cargo lambda watch to listen", connect).await;
}

/// Finds a port for `cargo lambda watch`, which cannot choose one itself, below those that the system gives to other
/// listeners.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    let mut ports = (0..100).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 100);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// Starts a `cargo lambda watch` that runs no functions itself.
async fn watch(port: u16, group: &Group, log: &Arc<Log>) -> Child {
    let program = cargo_lambda::ensure(group, |text| log.say("cargo-lambda", text)).await.unwrap();
    let port = port.to_string();
    let arguments = [
        "lambda",
        "watch",
        "--only-lambda-apis",
        "--disable-cors",
        "--invoke-address",
        "127.0.0.1",
        "--invoke-port",
        &port,
    ];
    process::spawn(group, &program, &arguments, &env::vars().collect(), log)
}

/// Returns a unique name of lower-case letters, digits and dashes.
pub fn unique(what: &str) -> String {
    static NUMBER: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(*FIRST_NUMBER));
    format!("{what}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Returns a unique user id.
pub fn unique_user() -> String {
    static NUMBER: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(*FIRST_NUMBER));
    format!("usr_01jd{:022}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Polls until there is a result. Fails after a timeout.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = timeout(Duration::from_secs(20), async {
        loop {
            match ask().await {
                Some(answer) => return answer,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    });
    asking.await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Returns a valid product with a unique SKU and category.
pub fn new_product(what: &str) -> Value {
    let name = unique(what);
    json!({
        "sku": name,
        "name": "Stoneware Coffee Mug",
        "description": "CANARY: thrown by hand.",
        "category": name,
        "price": {"amount": 1850, "currency": "EUR"},
        "images": ["/images/mug.svg", "https://images.shop.test/mug.jpg"],
        "attributes": {"colour": "sand", "volume": "350 ml"},
        "initial_stock": 10,
        "low_stock_threshold": 3,
    })
}

/// Changes members of a document, or removes them by null.
pub fn changed(mut document: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => document.as_object_mut().unwrap().remove(name),
            value => document.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    document
}

impl Shop {
    /// Creates a product as staff.
    pub async fn create(&self, new: &Value) -> Answer {
        self.post("/products").staff().key(&unique("key")).json(new).send().await.expect(201)
    }

    /// Creates a product with a stock.
    pub async fn create_stocked(&self, what: &str, pieces: i64) -> Answer {
        self.create(&changed(new_product(what), json!({"initial_stock": pieces}))).await
    }

    /// Reads a product as staff, uncached.
    pub async fn product(&self, id: &str) -> Answer {
        self.get(&format!("/products/{id}")).staff().send().await.expect(200)
    }

    /// Reads a product's inventory.
    pub async fn inventory(&self, id: &str) -> Answer {
        self.get(&format!("/products/{id}/inventory")).staff().send().await.expect(200)
    }

    /// Makes a request to adjust stock.
    pub fn adjust(&self, id: &str, delta: i64) -> Request {
        let request = self.post(&format!("/products/{id}/inventory/adjustments")).staff();
        request.json(&json!({"delta": delta, "reason": "correction"})).key(&unique("key"))
    }

    /// Reads all movements of a product, newest first.
    pub async fn movements(&self, id: &str) -> Vec<Value> {
        self.walk(self.get(&format!("/products/{id}/inventory/movements")).staff().query("limit", 100)).await
    }

    /// Reads all pages of a list.
    pub async fn walk(&self, list: Request) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = match &cursor {
                Some(cursor) => list.clone().query("cursor", cursor),
                None => list.clone(),
            };
            let page = page.send().await.expect(200);
            items.extend(page.items().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => return items,
            }
        }
    }

    /// Fails unless a product's stock and movements agree (I1).
    pub async fn assert_books_balance(&self, id: &str) {
        let inventory = self.inventory(id).await;
        let count = |field: &str| inventory[field].as_i64().unwrap();
        let moved: i64 =
            self.movements(id).await.iter().map(|movement| movement["delta"].as_i64().unwrap()).sum();
        assert!(count("available") >= 0 && count("reserved") >= 0, "{inventory:?}");
        assert_eq!(count("available") + count("reserved"), count("on_hand"), "{inventory:?}");
        assert_eq!(moved, count("on_hand"), "{inventory:?}");
    }
}

/// Serializes tests.
pub type Alone = MutexGuard<'static, ()>;

impl Shop {
    /// Returns a shop with a single instance of each function, for one test at a time.
    pub async fn alone() -> (Self, Alone) {
        skip_where_deployed("a shop for itself");
        static ALONE: OnceCell<Arc<Running>> = OnceCell::const_new();
        static TURN: AsyncMutex<()> = AsyncMutex::const_new(());
        let turn = TURN.lock().await;
        let instances = process::functions().into_iter().map(|name| (&*name.leak(), 1)).collect();
        let start = || Running::start_on_runtime(Options { instances, ..Options::default() });
        (Self::of(Arc::clone(ALONE.get_or_init(start).await)), turn)
    }
}
