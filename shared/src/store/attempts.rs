//! Attempts at passwords, counted before the password is looked at: per account and address, per account, per address.
//!
//! They lie apart from the account, under pseudonyms, whether or not there is such an account. A count and its limit
//! are one conditional write, so that a hundred guesses at once find the same limit as one after the other; what is
//! refused writes nothing, so that nobody can prolong a lock by knocking.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future;

use super::{Item, integer, key, number, update_unless_refused, with_key};
use crate::{
    auth::KeySet,
    aws,
    domain::{time::Timestamp, user::Email},
    error::{self, Error},
    secrets,
    telemetry::{self, Level},
};

/// Wrong passwords from one address to one account before it has to wait.
const PAIR: i64 = 5;
/// Wrong passwords to one account, from wherever, before all unknown addresses have to wait.
const ACCOUNT: i64 = 10;
/// Wrong passwords from one address, to whichever account, before it has to wait. Many may share an address.
const ADDRESS: i64 = 50;
/// The waits that follow, in seconds; the last one stays.
const WAITS: [i64; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 900];
/// When counts are forgotten, in seconds after the first.
const FORGOTTEN_SECONDS: i64 = 24 * 60 * 60;
/// How long an address is known to an account after a log-in, in seconds.
const KNOWN_SECONDS: i64 = 90 * 24 * 60 * 60;

/// The counts of attempts.
pub struct Attempts {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) keys: secrets::Keys,
}

/// An attempt that was counted, at which account and from where: pseudonyms both.
pub struct Attempt {
    account: String,
    address: String,
}

/// A count and when it last rose, by the names of their attributes, and how many are free.
struct Limit {
    count: String,
    last: String,
    free: i64,
}

impl Limit {
    fn new(name: &str, free: i64) -> Self {
        Self { count: format!("{name}_count"), last: format!("{name}_last"), free }
    }

    /// The condition under which another attempt is looked at. The waits stand in it one by one, because conditions
    /// have no arithmetic.
    fn condition(&self) -> String {
        let Self { count, last, free } = self;
        let waits = WAITS.iter().enumerate().map(|(index, wait)| {
            if index + 1 == WAITS.len() {
                format!("{last} <= :before{wait}")
            } else {
                format!("({count} <= :n{} AND {last} <= :before{wait})", free + index as i64)
            }
        });
        let waits: Vec<String> = waits.collect();
        format!("(attribute_not_exists({count}) OR {count} < :n{free} OR {})", waits.join(" OR "))
    }

    fn values(&self, now: Timestamp) -> HashMap<String, AttributeValue> {
        let counts = (0..WAITS.len() as i64 - 1).map(|index| self.free + index);
        let counts = counts.map(|count| (format!(":n{count}"), number(count)));
        let moments = WAITS.map(|wait| (format!(":before{wait}"), number(now.as_millis() - wait * 1000)));
        counts.chain(moments).collect()
    }

    fn assignment(&self) -> String {
        let Self { count, last, .. } = self;
        format!("{count} = if_not_exists({count}, :zero) + :one, {last} = :now")
    }

    /// How many seconds it still takes until another attempt is looked at.
    fn wait(&self, item: &Item, now: Timestamp) -> i64 {
        let (count, last) = (integer(item, &self.count).unwrap_or(0), integer(item, &self.last).unwrap_or(0));
        let Ok(over) = usize::try_from(count - self.free) else { return 0 };
        let wait = WAITS[over.min(WAITS.len() - 1)];
        let millis = last + wait * 1000 - now.as_millis();
        (millis.max(0) + 999) / 1000
    }
}

impl Attempts {
    /// Counts an attempt at the password of an account, from an address; or refuses it, if there were too many.
    ///
    /// An address from which the account was logged in to before is not bound by what others do to the account, so
    /// that nobody can keep the owner out.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`].
    pub async fn count(&self, email: &Email, address: &str, now: Timestamp) -> Result<Attempt, Error> {
        let attempt = self.attempt(email, address, now).await?;
        let (account, address) =
            future::join(self.count_account(&attempt, now), self.count_address(&attempt, now)).await;
        account.and(address).map(|()| attempt)
    }

    async fn attempt(&self, email: &Email, address: &str, now: Timestamp) -> Result<Attempt, Error> {
        let keys = self.keys.get().await?;
        Ok(Attempt {
            account: pseudonym(&keys, "attempts-of-account", email.as_str(), now)?,
            address: pseudonym(&keys, "attempts-of-address", address, now)?,
        })
    }

    async fn count_account(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        let account = Limit::new("account", ACCOUNT);
        let pair = Limit::new(&format!("a_{}", attempt.address_attribute()), PAIR);
        let Err(item) =
            self.raise(attempt.account_key(), &[&account, &pair], &[&account, &pair], now).await?
        else {
            return Ok(());
        };
        let (wait, own_wait) = (account.wait(&item, now), pair.wait(&item, now));
        // Counted still, but not bound.
        if own_wait == 0
            && self.is_known(attempt, now).await?
            && self.raise(attempt.account_key(), &[&pair], &[&account, &pair], now).await?.is_ok()
        {
            return Ok(());
        }
        Err(Error::TooManyAttempts { retry_after_seconds: wait.max(own_wait).max(1) })
    }

    async fn count_address(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        let address = Limit::new("address", ADDRESS);
        match self.raise(attempt.address_key(), &[&address], &[&address], now).await? {
            Ok(()) => Ok(()),
            Err(item) => Err(Error::TooManyAttempts { retry_after_seconds: address.wait(&item, now).max(1) }),
        }
    }

    /// Raises counts, if the limits that bind allow it; else gives the item that says why not.
    async fn raise(
        &self,
        key: Item,
        bound_by: &[&Limit],
        counted: &[&Limit],
        now: Timestamp,
    ) -> Result<Result<(), Item>, Error> {
        let conditions: Vec<String> = bound_by.iter().map(|limit| limit.condition()).collect();
        let assignments: Vec<String> = counted.iter().map(|limit| limit.assignment()).collect();
        let mut values: HashMap<String, AttributeValue> =
            bound_by.iter().flat_map(|limit| limit.values(now)).collect();
        values.extend([
            (":zero".to_owned(), number(0)),
            (":one".to_owned(), number(1)),
            (":now".to_owned(), number(now.as_millis())),
            (":forgotten".to_owned(), number(now.as_seconds() + FORGOTTEN_SECONDS)),
        ]);
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key.clone()));
        let update = update
            .update_expression(format!(
                "SET {}, expires_at = if_not_exists(expires_at, :forgotten)",
                assignments.join(", ")
            ))
            .condition_expression(conditions.join(" AND "))
            .set_expression_attribute_values(Some(values));
        let Err(item) = update_unless_refused(update.clone()).await? else { return Ok(Ok(())) };
        if integer(&item, "expires_at").is_none_or(|at| at > now.as_seconds()) {
            return Ok(Err(item));
        }
        // DynamoDB removes what has expired sooner or later: until then it is judged here.
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key));
        let delete = delete
            .condition_expression("expires_at <= :now")
            .expression_attribute_values(":now", number(now.as_seconds()));
        super::unless_refused(delete.send().await)?;
        Ok(update_unless_refused(update).await?.map(drop))
    }

    async fn is_known(&self, attempt: &Attempt, now: Timestamp) -> Result<bool, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(attempt.known_key()));
        let item = get.send().await.map_err(aws::judge)?.item.unwrap_or_default();
        Ok(integer(&item, "expires_at").is_some_and(|at| at > now.as_seconds()))
    }

    /// Forgets what was counted at the account, and this one attempt of the address, which the account knows from now
    /// on. What goes wrong here harms nobody much, and keeps nobody out.
    pub async fn forget(&self, attempt: &Attempt, now: Timestamp) {
        let address = self.client.update_item().table_name(&self.table);
        let address = address
            .set_key(Some(attempt.address_key()))
            .update_expression("ADD address_count :less")
            .expression_attribute_values(":less", number(-1));
        let (account, address) = future::join(self.forget_account(attempt, now), address.send()).await;
        note(account.and(address.map(drop).map_err(aws::judge)));
    }

    /// Forgets what was counted at an account whose owner has shown, in another way than by its password, that they are
    /// at this address.
    pub async fn welcome(&self, email: &Email, address: &str, now: Timestamp) {
        let welcomed = async {
            let attempt = self.attempt(email, address, now).await?;
            self.forget_account(&attempt, now).await
        };
        note(welcomed.await);
    }

    async fn forget_account(&self, attempt: &Attempt, now: Timestamp) -> Result<(), Error> {
        let delete = DeleteRequest::builder().set_key(Some(attempt.account_key())).build();
        let delete = WriteRequest::builder().delete_request(delete.map_err(Error::internal)?).build();
        let expiry = Item::from([("expires_at".to_owned(), number(now.as_seconds() + KNOWN_SECONDS))]);
        let known = PutRequest::builder().set_item(Some(with_key(expiry, attempt.known_key()))).build();
        let known = WriteRequest::builder().put_request(known.map_err(Error::internal)?).build();
        let call = self.client.batch_write_item().request_items(&self.table, vec![delete, known]);
        call.send().await.map(drop).map_err(aws::judge)
    }

    /// Lifts the locks of an account.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn unlock(&self, email: &Email, now: Timestamp) -> Result<(), Error> {
        for partition in self.traces(email, now).await? {
            let delete = self.client.delete_item().table_name(&self.table);
            delete.set_key(Some(key(partition, "ATTEMPT"))).send().await.map_err(aws::judge)?;
        }
        Ok(())
    }

    /// The partitions that hold what is known of attempts at an account.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the keys can't be read.
    pub async fn traces(&self, email: &Email, now: Timestamp) -> Result<Vec<String>, Error> {
        let keys = self.keys.get().await?;
        let moments = keys.iter().map(|key| key.from).filter(|from| *from <= now);
        let pseudonym = |moment| pseudonym(&keys, "attempts-of-account", email.as_str(), moment);
        moments.map(|moment| Ok(format!("ATTEMPT#{}", pseudonym(moment)?))).collect()
    }
}

/// Tells the log what can be done without.
fn note(result: Result<(), Error>) {
    if let Err(error) = result {
        telemetry::event(Level::Warn, "attempts could not be forgotten", &error::chain(&error));
    }
}

impl Attempt {
    fn account_key(&self) -> Item {
        key(format!("ATTEMPT#{}", self.account), "ATTEMPT")
    }

    fn address_key(&self) -> Item {
        key(format!("ADDRESS#{}", self.address), "ADDRESS")
    }

    fn known_key(&self) -> Item {
        key(format!("ATTEMPT#{}", self.account), format!("KNOWN#{}", self.address))
    }

    /// The address in the name of an attribute, which takes letters and digits only.
    fn address_attribute(&self) -> String {
        self.address.replace(['-', '_'], "")
    }
}

fn pseudonym(keys: &KeySet, purpose: &str, of: &str, at: Timestamp) -> Result<String, Error> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(&keys.hmac(at, purpose, of.as_bytes())?[..16]))
}
