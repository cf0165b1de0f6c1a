//! A running shop, tortured from outside: many customers and a staff at once, whose histories follow from a seed, retries
//! of whatever got lost, twins, strangers, and functions that are killed meanwhile. Then the shop comes to rest, and its
//! books must agree with each other and with the pretend Stripe's.

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

/// How the shop is to be tortured.
pub struct Options {
    /// Where it answers, without the API's version.
    pub url: String,
    /// Where it keeps its data: its key, and the pretend Stripe's ledger.
    pub data: PathBuf,
    /// What all customers' histories follow from.
    pub seed: u64,
    /// How long they go on.
    pub duration: Duration,
    /// How many there are at a time.
    pub customers: usize,
    /// Whether the processes of its functions are killed meanwhile.
    pub kills: bool,
}

/// How often it is told how things stand.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// How often the books are compared while the shop comes to rest.
const COMPARED_EVERY: Duration = Duration::from_secs(10);
/// By then, they must agree: what is in doubt is looked at each minute, and may need that more than once.
const AT_REST_WITHIN: Duration = Duration::from_secs(6 * 60);

/// Tortures the shop, prints a report, and says whether all promises were kept.
///
/// # Errors
/// Where the shop is not open, or can't be known.
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

/// Says from time to time how things stand.
async fn tell(client: Arc<Client>, begun: Instant) {
    loop {
        sleep(TOLD_EVERY).await;
        eprintln!("{:>5} s  {}", begun.elapsed().as_secs(), client.tally().summary());
    }
}
