//! A sale: orders per second of several instances of orders-create, for one product and for many.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use runtime::process::Group;
use tokio::{sync::Barrier, task::JoinSet};

use super::{
    BenchError, WARM_UP,
    build::Program,
    instance::Instance,
    refused,
    store::{Protocol, Roots, Store},
    traffic::{Demand, Traffic},
};

pub(super) const FUNCTION: &str = "orders-create";
/// Number of buyers, each with an instance.
pub(super) const BUYERS: u8 = 8;
/// Duration of the sale.
const OPENING_HOURS: Duration = Duration::from_secs(5);

/// Requests per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sale {
    /// Of as many instances of the baseline.
    pub baseline: f64,
    /// Orders for a different product each time.
    pub many_products: f64,
    /// Orders for one product.
    pub one_product: f64,
}

impl Sale {
    /// Measures each kind of sale.
    pub async fn measure(
        baseline: &Program,
        orders_create: &Program,
        group: &Group,
        roots: &Roots,
    ) -> Result<Self, BenchError> {
        Ok(Self {
            baseline: hold(baseline, Demand::ManyProducts, group, roots).await?,
            many_products: hold(orders_create, Demand::ManyProducts, group, roots).await?,
            one_product: hold(orders_create, Demand::OneProduct, group, roots).await?,
        })
    }
}

/// Returns the events per second that several instances of a binary handle, over TLS.
async fn hold(program: &Program, demand: Demand, group: &Group, roots: &Roots) -> Result<f64, BenchError> {
    let store = Arc::new(Store::open(roots).await?);
    let opening = Arc::new(Barrier::new(BUYERS.into()));
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let Program { name, path } = program;
        let instance = Instance::start(name, path, group, store.variables(name, Protocol::Tls)).await?;
        let (name, store, opening) = (name.clone(), Arc::clone(&store), Arc::clone(&opening));
        buyers.spawn(async move {
            let traffic = Traffic::of_buyer(&name, &store, demand, buyer);
            buy(instance, traffic, &opening).await
        });
    }
    let mut rate = 0.0;
    while let Some(bought) = buyers.join_next().await {
        rate += bought.map_err(|error| refused("a buyer is gone")(error.into()))??;
    }
    Ok(rate)
}

/// Waits for the other buyers, then sends orders one by one. Returns orders per second.
async fn buy(mut instance: Instance, mut traffic: Traffic<'_>, opening: &Barrier) -> Result<f64, BenchError> {
    instance.ready().await?;
    for _ in 0..WARM_UP {
        traffic.next_answer(&mut instance).await?;
    }
    opening.wait().await;
    let (mut bought, opened) = (0, Instant::now());
    while opened.elapsed() < OPENING_HOURS {
        traffic.next_answer(&mut instance).await?;
        bought += 1;
    }
    let rate = f64::from(bought) / opened.elapsed().as_secs_f64();
    instance.end().await?;
    Ok(rate)
}
