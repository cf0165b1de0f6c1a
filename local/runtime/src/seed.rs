//! Seeds an empty shop through the shop's own code: the catalogue of local/seed.json, and a user for each role.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use emulators::files;
use serde::Deserialize;
use serde_json::Value;
use shared::{
    auth::{self, Role, Scope, Staff},
    config::ConfigError,
    domain::{
        change::ChangeContext,
        id::Id,
        product::{NewProduct, Product},
        time::Timestamp,
        user::{Applicant, EmailAddress},
        validation,
    },
    error::{self, Error},
    password::{NewPassword, PasswordHash},
    store::{Store, idempotency::IdempotentRequest, products::Products},
    telemetry,
};

use crate::{
    data,
    keys::{self, KeyError},
};

/// E-mail address and name of a user for each role.
const USERS: [(Role, &str, &str); 3] = [
    (Role::Customer, "customer@shop.example", "Chris Customer"),
    (Role::Staff, "staff@shop.example", "Sam Staff"),
    (Role::Admin, "admin@shop.example", "Alex Admin"),
];
/// Letters and digits of passwords and keys, without those that look alike.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";
/// Length in groups of five: 100 bits.
const PASSWORD_LETTERS: usize = 20;

/// A product of the catalogue. Its id is fixed, so that examples can use it.
#[derive(Deserialize)]
struct Seed {
    id: Id<Product>,
    created_at: Timestamp,
    #[serde(flatten)]
    product: Value,
}

/// The shop cannot be seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("{0} cannot be read ({1}): correct it, then run `cargo shop up --fresh`")]
    File(PathBuf, String),
    #[error(
        "local/seed.json: {0} is not a valid product ({1}): correct it there, then run `cargo shop up --fresh`"
    )]
    Product(Id<Product>, String),
    #[error("{0} cannot be stored ({1}): run `cargo shop up --fresh`")]
    Store(String, String),
    #[error("the users' passwords in {0} cannot be read or written ({1}): choose another --data-dir")]
    Passwords(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the signing key's own token is refused: run `cargo shop up --fresh`")]
    Refused,
}

/// Creates the missing products of the catalogue in the store of the environment. Returns the number of products.
///
/// # Errors
/// [`SeedError`].
/// Where the catalogue or the environment is broken, or the store refuses.
pub async fn catalogue() -> Result<usize, SeedError> {
    let path = template::repository().join("local/seed.json");
    let broken = |reason: String| SeedError::File(path.clone(), reason);
    let text = fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
    let seeds: Vec<Seed> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    let count = seeds.len();

    let (admin, products) = (admin()?, Store::connect()?.audited()?.products()?);
    for seed in seeds {
        let id = seed.id;
        let new = validation::read(seed.product, NewProduct::read);
        let new = new.map_err(|faults| SeedError::Product(id, format!("{faults:?}")))?;
        match create(&admin, &products, id, seed.created_at, &new).await {
            Ok(()) | Err(Error::SkuTaken) => {}
            Err(failed) => return Err(SeedError::Store(format!("the product {id}"), error::chain(&failed))),
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
    let context = ChangeContext {
        initiator: admin.id().into(),
        client_id: Some(admin.authority().client_id.clone()),
        operation: "products-create",
        at: now,
        request_id: format!("seed-{id}"),
        trace_id: None,
    };
    let once = IdempotentRequest::new(admin.id(), &id.to_string(), new, context)?;
    // Each product has a creation time of its own, which makes the id of its movement unique.
    products.create(admin, product, new, Id::new(now, 0), &once).await.map(drop)
}

/// Proves to be an admin, with a token of a key that only this call knows.
fn admin() -> Result<Staff, SeedError> {
    const ISSUER: &str = "seed";
    let key = keys::make()?;
    let token = keys::token(&key, ISSUER, Role::Admin)?;
    let keys = HashMap::from([(key.kid().to_owned(), key.public().to_vec())]);
    let access = auth::verify(&token, &keys, ISSUER).map_err(|_| SeedError::Refused)?;
    access.staff(Scope::ProductsWrite).map_err(|_| SeedError::Refused)
}

/// Registers the missing users in the store of the environment, with the passwords of the data folder. Returns their number.
///
/// # Errors
/// [`SeedError`].
pub async fn users(folder: &Path) -> Result<usize, SeedError> {
    let (users, passwords) = (Store::connect()?.users()?, passwords(folder)?);
    for (role, email, name) in USERS {
        let refused = |reason: String| SeedError::Store(format!("the user {email}"), reason);
        let password = passwords.get(email).map(String::as_str).unwrap_or_default();
        let password = NewPassword::parse(password, &[email, name]);
        let password = password.map_err(|fault| refused(fault.to_string()))?;
        let hash = PasswordHash::of(&password).map_err(|failed| refused(error::chain(&failed)))?;
        let email = EmailAddress::parse(email).map_err(|fault| refused(fault.to_string()))?;
        let user = Applicant { email, name: name.to_owned() }.user(keys::user(role)?, role, telemetry::now());
        users.seed(&user, hash).await.map_err(|failed| refused(error::chain(&failed)))?;
    }
    Ok(USERS.len())
}

/// Returns the seeded users' passwords by e-mail address. The first call generates them.
///
/// # Errors
/// [`SeedError`].
pub fn passwords(folder: &Path) -> Result<BTreeMap<String, String>, SeedError> {
    let path = data::passwords(folder);
    let kept = match fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_passwords(&path),
        Err(error) => Err(error),
    };
    kept.map_err(|error| SeedError::Passwords(path, error))
}

fn make_passwords(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let passwords = USERS.map(|(_, email, _)| Ok((email.to_owned(), password()?)));
    let passwords = passwords.into_iter().collect::<io::Result<BTreeMap<_, _>>>()?;
    files::write_private(path, &serde_json::to_string_pretty(&passwords)?)?;
    Ok(passwords)
}

/// Returns a random password.
fn password() -> io::Result<String> {
    let letters = random_letters::<PASSWORD_LETTERS>()?;
    Ok(letters.chunks(5).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// Returns random letters.
pub fn random_letters<const N: usize>() -> io::Result<[char; N]> {
    let mut random = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_made_once_and_each_may_be_set() {
        let folder = tempfile::tempdir().unwrap();
        let made = passwords(folder.path()).unwrap();
        assert_eq!(passwords(folder.path()).unwrap(), made);
        for (_, email, name) in USERS {
            NewPassword::parse(&made[email], &[email, name]).unwrap();
        }
        fs::remove_file(data::passwords(folder.path())).unwrap();
        assert!(passwords(folder.path()).unwrap().values().all(|new| made.values().all(|old| old != new)));
    }
}
