//! Load with faults on a running shop: random customers and staff, retries, duplicate requests, unauthorized reads and
//! killed functions. Afterwards, stock, orders and money must agree with each other and with the Stripe emulator's ledger.

mod error;

mod client;

mod books;
mod customer;
mod killer;

use fastrand::Rng;
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use client::Client;
use customer::Customer;
pub use error::TortureError;
use runtime::keys;
use shared::auth::Role;
use tokio::{task::JoinSet, time::sleep};

pub struct Options {
    /// URL of the shop, without the version.
    pub url: String,
    /// Data folder of the shop, with its key and the Stripe emulator's ledger.
    pub data: PathBuf,
    /// Seed of all random choices.
    pub seed: u64,
    /// Duration of the load.
    pub duration: Duration,
    /// Concurrent customers.
    pub customers: usize,
    /// Kills the functions' processes meanwhile.
    pub kills: bool,
}

/// Interval of the progress messages.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// Interval of the audits while the shop settles.
const COMPARED_EVERY: Duration = Duration::from_secs(10);
/// The shop must settle within this time: reconciliation runs every minute, and may need several runs.
const AT_REST_WITHIN: Duration = Duration::from_secs(6 * 60);

/// Loads the shop, audits it and prints a report. Returns whether all promises were kept.
///
/// # Errors
/// [`TortureError`].
#[tokio::main]
pub async fn run(options: &Options) -> Result<bool, TortureError> {
    let Options { url, data, seed, duration, customers, kills } = options;
    let client = Arc::new(Client::new(url, keys::load(data)?)?);
    let staff = client.token(keys::user(Role::Staff)?, Role::Staff)?;
    let mut rng = Rng::with_seed(*seed);
    eprintln!("torturing {url} for {} seconds; seed {seed}", duration.as_secs());
    let products = Arc::new(books::stock_up(&client, &staff, &mut rng).await?);

    let begun = Instant::now();
    let until = begun + *duration;
    let mut people = JoinSet::new();
    for number in 0..*customers {
        let rng = Rng::with_seed(rng.u64(..));
        let customer = Customer::new(number, rng, Arc::clone(&client), Arc::clone(&products))?;
        people.spawn(customer.live(until));
    }
    let mut others = JoinSet::new();
    others.spawn(books::watch(Arc::clone(&client), Arc::clone(&products)));
    if *kills {
        others.spawn(killer::run(Arc::clone(&client), Rng::with_seed(rng.u64(..))));
    }
    others.spawn(tell(Arc::clone(&client), begun));
    while people.join_next().await.is_some() {}
    others.abort_all();

    eprintln!("the shop comes to rest");
    let rest = Instant::now();
    let checks = loop {
        let (checks, differences) = books::compare(&client, data, &products).await?;
        if differences.is_empty() {
            break checks;
        }
        if rest.elapsed() > AT_REST_WITHIN {
            differences.into_iter().for_each(|difference| client.tally().violation(difference));
            break checks;
        }
        eprintln!(
            "{:>5} s  {} not at rest yet, as: {}",
            rest.elapsed().as_secs(),
            differences.len(),
            differences[0]
        );
        sleep(COMPARED_EVERY).await;
    };
    let tally = client.tally();
    print!("{}", tally.report(*seed, begun.elapsed(), checks));
    Ok(tally.violations.is_empty())
}

/// Prints progress, forever.
async fn tell(client: Arc<Client>, begun: Instant) {
    loop {
        sleep(TOLD_EVERY).await;
        eprintln!("{:>5} s  {}", begun.elapsed().as_secs(), client.tally().summary());
    }
}
