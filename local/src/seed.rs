//! The catalogue of local/seed.json, put into an empty shop by the shop's own code.

use std::{collections::HashMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value;
use shared::{
    auth::{self, Role, Scope, SigningKey, Staff},
    config::ConfigError,
    domain::{
        id::Id,
        input,
        product::{NewProduct, Product},
        time::Timestamp,
    },
    error::{self, Error},
    store::{
        Store,
        idempotency::{Attempt, Recorded},
        products::Products,
    },
};

use crate::keys::{self, KeyError};

/// A product of the catalogue. Its id is fixed, so that examples can name it.
#[derive(Deserialize)]
struct Seed {
    id: Id<Product>,
    created_at: Timestamp,
    #[serde(flatten)]
    product: Value,
}

/// Why the catalogue is not there. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The file is missing or unreadable.
    #[error("{0} can't be read ({1}): correct it, then run `cargo shop up --fresh`")]
    File(PathBuf, String),
    /// A product in it is invalid.
    #[error(
        "local/seed.json: {0} is no valid product ({1}): correct it there, then run `cargo shop up --fresh`"
    )]
    Product(Id<Product>, String),
    /// The store did not take a product.
    #[error("the product {0} can't be stored ({1}): run `cargo shop up --fresh`")]
    Store(Id<Product>, String),
    /// The environment is incomplete.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no one who may do it.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The token of the one who does it is refused.
    #[error("the signing key's own token is refused: run `cargo shop up --fresh`")]
    Refused,
}

/// Puts the catalogue into the store that the environment names, and gives the number of products. A product that is
/// there already stays as it is.
///
/// # Errors
/// Where the catalogue or the environment is broken, or the store refuses.
pub async fn catalogue(key: &SigningKey) -> Result<usize, SeedError> {
    let path = crate::repository().join("local/seed.json");
    let broken = |reason: String| SeedError::File(path.clone(), reason);
    let text = fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
    let seeds: Vec<Seed> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    let count = seeds.len();

    let (admin, products) = (admin(key)?, Store::connect()?.products()?);
    for seed in seeds {
        let id = seed.id;
        let new = input::read(seed.product, NewProduct::read);
        let new = new.map_err(|faults| SeedError::Product(id, format!("{faults:?}")))?;
        match create(&admin, &products, id, seed.created_at, &new).await {
            Ok(()) | Err(Error::SkuTaken) => {}
            Err(failed) => return Err(SeedError::Store(id, error::chain(&failed))),
        }
    }
    Ok(count)
}

async fn create(
    admin: &Staff,
    products: &Products,
    id: Id<Product>,
    now: Timestamp,
    new: &NewProduct,
) -> Result<(), Error> {
    let product = new.product(id, now);
    let answer = Recorded { status: 201, location: None, etag: None, body: String::new() };
    let record = Attempt::new(admin.id(), "products-create", &id.to_string(), new, now)?.answered(answer);
    // One movement a millisecond: no two are alike.
    products.create(admin, &product, new, Id::new(now, 0), &record).await.map(drop)
}

/// The proof that an admin is at work, come by as everybody does.
fn admin(key: &SigningKey) -> Result<Staff, SeedError> {
    const ISSUER: &str = "seed";
    let token = keys::token(key, ISSUER, Role::Admin)?;
    let keys = HashMap::from([(key.kid().to_owned(), key.public().to_vec())]);
    let access = auth::verify(&token, &keys, ISSUER).map_err(|_| SeedError::Refused)?;
    access.staff(Scope::ProductsWrite).map_err(|_| SeedError::Refused)
}
