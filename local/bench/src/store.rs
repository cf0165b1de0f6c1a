//! The AWS services for the functions: the embedded DynamoDB with a catalogue and users, Secrets Manager, SES and
//! EventBridge, over HTTP and TLS; and Stripe.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use emulators::{
    dynamodb::Dynamo,
    event_bridge::EventBridge,
    secrets_manager::{self, Secrets},
    ses::Mailbox,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use runtime::{
    keys::{self, KeyError},
    process,
};
use serde_json::{Value, json};
use shared::{
    auth::{Key, KeySet, SigningKey},
    telemetry,
};
use template::Template;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::{
    BenchError,
    orders::Orders,
    products::{PRICE, product_id},
    refused,
    users::Users,
};

const PRODUCTS_TABLE: &str = "ProductsTable";
const KEYS_TABLE: &str = "KeysTable";
/// Secret of the signing keys.
pub(super) const SIGNING_SECRET: &str = "SigningSecret";
const HMAC_SECRET: &str = "HmacSecret";
const PAYMENTS_SECRET: &str = "PaymentsSecret";
/// URL of the web shop, the redirect target of OAuth.
const STOREFRONT_URL: &str = "https://shop.example";
/// Public URL of the shop. With the version it is the tokens' issuer.
const PUBLIC_URL: &str = "https://api.shop.example";
/// Number of products: more than a page of a list.
const PRODUCTS: usize = 24;
/// Stock of each product: more than all orders need.
const PIECES: usize = 1_200_000;
/// Reserved quantity of each product.
const RESERVED: usize = 100_000;
/// Stock movements per product.
const MOVEMENTS: usize = 6;

const DESCRIPTION: &str = "Thrown by hand from local clay and fired twice, so that it takes ten years of dishwashers \
    without a scratch. Holds 350 ml, stacks, and keeps its coffee warm for as long as a meeting lasts. No two are quite \
    alike: glaze and height differ a little from piece to piece.";

/// Protocol between function and store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Tls,
}

/// Certificates: a root that the functions trust, and the store's.
pub(super) struct Roots {
    /// File of the roots: Amazon's, which the functions have built in, and the benchmark's.
    bundle: PathBuf,
    server: Arc<ServerConfig>,
}

impl Roots {
    /// Creates a root, an intermediate and a certificate, as at AWS.
    pub fn make() -> Result<Self, BenchError> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate()?)?;
        let intermediate = CertifiedIssuer::signed_by(params, KeyPair::generate()?, &root)?;
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&key, &intermediate)?;

        let amazon = template::repository().join("shared/src/amazon-roots.pem");
        let amazon =
            fs::read_to_string(&amazon).map_err(refused(format!("{} can't be read", amazon.display())))?;
        let bundle = process::target_folder().join("bench-roots.pem");
        let unwritable = refused(format!("{} can't be written", bundle.display()));
        fs::write(&bundle, amazon + &root.pem()).map_err(unwritable)?;

        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)?
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone(), intermediate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        Ok(Self { bundle, server: Arc::new(server) })
    }
}

/// Variable with the endpoint of a service.
struct Service {
    variable: &'static str,
    http: String,
    tls: String,
}

/// Services for the measurement of one function.
pub(super) struct Store {
    pub dynamo: Dynamo,
    pub users: Users,
    pub orders: Orders,
    /// Access token with all scopes.
    pub token: String,
    services: [Service; 4],
    bundle: PathBuf,
    products: Vec<String>,
    key: SigningKey,
    secrets: Secrets,
    _mailbox: Mailbox,
    _bus: EventBridge,
}

impl Store {
    /// Starts the services, creates the tables and adds the catalogue.
    pub async fn open(roots: &Roots) -> Result<Self, BenchError> {
        let template = Template::read(&template::repository())?;
        let dynamo = Dynamo::in_memory().await?;
        dynamo.create_tables(&template)?;
        let key = keys::make()?;
        dynamo.put(KEYS_TABLE, keys::item(&key))?;
        // Whoever rotates them is asked directly.
        let secrets = Secrets::in_memory(template.secrets()?, "http://127.0.0.1:1").await?;
        let hmac_keys = KeySet::of(Key::random(telemetry::now()).map_err(KeyError::from)?);
        keep(&secrets, HMAC_SECRET, &hmac_keys)?;
        keep(&secrets, SIGNING_SECRET, &signing_keys(&key))?;
        secrets.put(PAYMENTS_SECRET, &Orders::secret())?;
        let (mailbox, bus) = (Mailbox::in_memory().await?, EventBridge::in_memory().await?);
        let products: Vec<_> = (0..PRODUCTS).map(product_id).collect();
        for (number, id) in products.iter().enumerate() {
            dynamo.put(PRODUCTS_TABLE, entry(id, number))?;
            dynamo.put(PRODUCTS_TABLE, stock(id, 1, PIECES))?;
            for movement in 0..MOVEMENTS {
                dynamo.put(PRODUCTS_TABLE, self::movement(id, number * MOVEMENTS + movement))?;
            }
        }
        let service = async |variable, http: &String| {
            let tls = format!("https://localhost:{}", terminate(roots, http).await?);
            Ok::<_, BenchError>(Service { variable, http: http.clone(), tls })
        };
        let services = [
            service("AWS_ENDPOINT_URL_DYNAMODB", &dynamo.url).await?,
            service("AWS_ENDPOINT_URL_SECRETS_MANAGER", &secrets.url).await?,
            service("AWS_ENDPOINT_URL_SESV2", &mailbox.url).await?,
            service("AWS_ENDPOINT_URL_EVENTBRIDGE", &bus.url).await?,
        ];
        let (users, bundle) = (Users::open(&dynamo, hmac_keys)?, roots.bundle.clone());
        let token = users.token(&key, &format!("{PUBLIC_URL}/v1"))?;
        let orders = Orders::open(&dynamo, users.id()).await?;
        Ok(Self {
            dynamo,
            users,
            orders,
            token,
            services,
            bundle,
            products,
            key,
            secrets,
            _mailbox: mailbox,
            _bus: bus,
        })
    }

    /// Undoes the last rotation of the signing keys, so that the next one does the same work.
    pub fn undo_rotation(&self) -> Result<(), BenchError> {
        let rotated = self.secrets.value(SIGNING_SECRET, secrets_manager::CURRENT).unwrap_or_default();
        for key in KeySet::read(&rotated).map_err(KeyError::from)?.iter() {
            self.dynamo.delete(KEYS_TABLE, json!({"pk": {"S": "KEY"}, "sk": {"S": key.id}}))?;
        }
        self.dynamo.put(KEYS_TABLE, keys::item(&self.key))?;
        keep(&self.secrets, SIGNING_SECRET, &signing_keys(&self.key))
    }

    /// Returns a product id, a different one for each number in a row.
    pub fn product(&self, number: u64) -> &str {
        let index = usize::try_from(number).unwrap_or_default() % PRODUCTS;
        self.products.get(index).map(String::as_str).unwrap_or_default()
    }

    /// Returns the environment variables of a function.
    pub fn variables(&self, function: &str, protocol: Protocol) -> BTreeMap<String, String> {
        let url = |service: &Service| match protocol {
            Protocol::Http => service.http.clone(),
            Protocol::Tls => service.tls.clone(),
        };
        let services = self.services.iter().map(|service| (service.variable, url(service)));
        let others = [
            ("ALLOWED_ORIGIN", "*".to_owned()),
            ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_CA_BUNDLE", self.bundle.to_string_lossy().into_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            // As long as a role's.
            ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2Vj".repeat(50)),
            ("BUILD_ID", "bench".to_owned()),
            ("EVENT_BUS", "EventBus".to_owned()),
            ("HMAC_SECRET", HMAC_SECRET.to_owned()),
            ("AUDIT_TABLE", "AuditTable".to_owned()),
            ("KEYS_TABLE", KEYS_TABLE.to_owned()),
            ("MAIL_FROM", "Shop <shop@example.com>".to_owned()),
            ("ORDERS_TABLE", "OrdersTable".to_owned()),
            ("PAYMENTS_SECRET", PAYMENTS_SECRET.to_owned()),
            // Without TLS: in the provider's place the functions trust public authorities only.
            ("PAYMENTS_URL", self.orders.stripe.url.clone()),
            ("PRODUCTS_TABLE", PRODUCTS_TABLE.to_owned()),
            ("PUBLIC_URL", PUBLIC_URL.to_owned()),
            ("SIGNING_SECRET", SIGNING_SECRET.to_owned()),
            ("STOREFRONT_URL", STOREFRONT_URL.to_owned()),
            ("USERS_TABLE", "UsersTable".to_owned()),
        ];
        services.chain(others).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Returns a key set with one signing key, valid from now.
fn signing_keys(key: &SigningKey) -> KeySet {
    KeySet::of(Key::new(key.kid().to_owned(), telemetry::now(), key.pkcs8()))
}

fn keep(secrets: &Secrets, name: &str, keys: &KeySet) -> Result<(), BenchError> {
    Ok(secrets.put(name, &keys.write().map_err(KeyError::from)?)?)
}

/// Serves TLS on a port of its own in front of the server at `url`.
async fn terminate(roots: &Roots, url: &str) -> Result<u16, BenchError> {
    let no_port = || refused("the store has no port to listen on");
    let listener = TcpListener::bind("localhost:0").await.map_err(no_port())?;
    let port = listener.local_addr().map_err(no_port())?.port();
    let (acceptor, upstream) = (TlsAcceptor::from(Arc::clone(&roots.server)), url.replace("http://", ""));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
            tokio::spawn(async move {
                client.set_nodelay(true)?;
                let mut client = acceptor.accept(client).await?;
                let mut server = TcpStream::connect(upstream).await?;
                server.set_nodelay(true)?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(port)
}

/// Returns a catalogue entry of about 600 bytes with its index attributes.
fn entry(id: &str, number: usize) -> Value {
    let name = format!("Stoneware Coffee Mug No. {number}");
    let amount = PRICE.to_string();
    json!({
        "pk": {"S": format!("PRODUCT#{id}")},
        "sk": {"S": "ENTRY"},
        "id": {"S": id},
        "sku": {"S": format!("MUG-{number:04}")},
        "name": {"S": name},
        "description": {"S": DESCRIPTION},
        "category": {"S": "kitchen"},
        "price": {"M": {"amount": {"N": amount}, "currency": {"S": "EUR"}}},
        "images": {"L": [{"S": "/images/mug-front.svg"}, {"S": "/images/mug-side.svg"}]},
        "attributes": {"M": {"colour": {"S": "sand"}, "material": {"S": "stoneware"}, "volume": {"S": "350 ml"}}},
        "status": {"S": "active"},
        "availability": {"S": "in_stock"},
        "stock_version": {"N": "1"},
        "version": {"N": "1"},
        "created_at": {"S": "2026-01-31T12:34:56.789Z"},
        "updated_at": {"S": "2026-01-31T12:34:56.789Z"},
        "amount": {"N": amount},
        "name_key": {"S": name.to_lowercase()},
        "status_category": {"S": "active#kitchen"},
        "words": {"S": format!(" stoneware coffee mug no {number}")},
    })
}

/// Returns the request of a new product.
pub(super) fn new_product(sku: &str) -> Value {
    json!({
        "sku": sku,
        "name": "Stoneware Coffee Mug",
        "description": DESCRIPTION,
        "category": "kitchen",
        "price": {"amount": PRICE, "currency": "EUR"},
        "images": ["/images/mug-front.svg", "/images/mug-side.svg"],
        "attributes": {"colour": "sand", "material": "stoneware", "volume": "350 ml"},
        "initial_stock": 240,
        "low_stock_threshold": 5,
    })
}

/// Returns a stock without reservations.
pub(super) fn stock(id: &str, version: u64, pieces: usize) -> Value {
    json!({
        "pk": {"S": format!("PRODUCT#{id}")},
        "sk": {"S": "ENTRY#STOCK"},
        "product_id": {"S": id},
        "on_hand": {"N": (pieces + RESERVED).to_string()},
        "reserved": {"N": RESERVED.to_string()},
        "available": {"N": pieces.to_string()},
        "low_stock_threshold": {"N": "5"},
        "version": {"N": version.to_string()},
        "price": {"M": {"amount": {"N": PRICE.to_string()}, "currency": {"S": "EUR"}}},
        "status": {"S": "active"},
        "updated_at": {"S": "2026-01-31T12:34:56.789Z"},
    })
}

fn movement(product: &str, number: usize) -> Value {
    let id = format!("mov_01k2{number:022}");
    json!({
        "pk": {"S": format!("PRODUCT#{product}")},
        "sk": {"S": format!("MOVE#{id}")},
        "id": {"S": id},
        "product_id": {"S": product},
        "delta": {"N": ((PIECES + RESERVED) / MOVEMENTS).to_string()},
        "reason": {"S": "received"},
        "note": {"S": "Delivery of the week, counted twice"},
        "actor": {"S": "usr_01k2000000000000000000staf"},
        "created_at": {"S": "2026-01-31T12:34:56.789Z"},
    })
}
