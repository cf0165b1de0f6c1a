//! Log-in attempts, counted before the password is verified: per account and address, per account, per address.
//!
//! The counters are pseudonymous and apart from the account, so that they work alike whether or not the account exists.
//! Counting and checking the limit is one conditional write: a hundred parallel guesses meet the same limit as serial
//! ones. A refused attempt writes nothing, so that attackers can't prolong a lock.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future;

use super::{
    Item, if_condition_holds, integer, number,
    schema::{self, Key},
    update_if,
    users::Locks,
};
use crate::{
    auth::KeySet,
    aws,
    domain::{time::Timestamp, user::EmailAddress},
    error::{self, Error},
    secrets, telemetry,
};

/// Free attempts from one address at one account; then it has to wait.
const MAX_PER_PAIR: i64 = 5;
/// Free attempts at one account; then all untrusted addresses have to wait.
const MAX_PER_ACCOUNT: i64 = 10;
/// Free attempts from one address; then it has to wait. Many users may share an address.
const MAX_PER_ADDRESS: i64 = 50;
/// Waits between further attempts, in seconds. The last one repeats.
const WAITS: [i64; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 900];
/// Counters expire this long after their first attempt.
const COUNTERS_EXPIRE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// An account trusts an address for this long after a log-in.
const TRUST_EXPIRES_AFTER: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Access to the counters.
pub struct Attempts {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) keys: secrets::HmacKeys,
}

/// A counted attempt. Account and address are pseudonyms.
pub struct LoginAttempt {
    account: String,
    address: String,
}

/// A counter and the time of its last increment, by attribute names, and the number of free attempts.
struct Limit {
    count: String,
    last: String,
    free: i64,
}

impl Limit {
    fn new(name: &str, free: i64) -> Self {
        Self { count: format!("{name}_count"), last: format!("{name}_last"), free }
    }

    /// Returns the condition for another attempt. It lists the waits one by one, because conditions have no arithmetic.
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

    /// Returns the seconds to wait before another attempt.
    fn wait(&self, item: &Item, now: Timestamp) -> i64 {
        let (count, last) = (integer(item, &self.count).unwrap_or(0), integer(item, &self.last).unwrap_or(0));
        let Ok(over) = usize::try_from(count - self.free) else { return 0 };
        let wait = WAITS[over.min(WAITS.len() - 1)];
        let millis = last + wait * 1000 - now.as_millis();
        (millis.max(0) + 999) / 1000
    }
}

impl Attempts {
    /// Counts an attempt, unless there were too many.
    ///
    /// The account's own limit does not apply to addresses that it trusts, so that an attacker can't lock the owner out.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`].
    pub async fn count(
        &self,
        email: &EmailAddress,
        address: &str,
        now: Timestamp,
    ) -> Result<LoginAttempt, Error> {
        let attempt = self.attempt(email, address, now).await?;
        let (account, address) =
            future::join(self.count_account(&attempt, now), self.count_address(&attempt, now)).await;
        account.and(address).map(|()| attempt)
    }

    async fn attempt(
        &self,
        email: &EmailAddress,
        address: &str,
        now: Timestamp,
    ) -> Result<LoginAttempt, Error> {
        let keys = self.keys.get().await?;
        Ok(LoginAttempt {
            account: pseudonym(&keys, "attempts-of-account", email.as_str(), now)?,
            address: pseudonym(&keys, "attempts-of-address", address, now)?,
        })
    }

    async fn count_account(&self, attempt: &LoginAttempt, now: Timestamp) -> Result<(), Error> {
        let account = Limit::new("account", MAX_PER_ACCOUNT);
        let pair = Limit::new(&format!("a_{}", attempt.address_attribute()), MAX_PER_PAIR);
        let Err(item) =
            self.raise(&attempt.account_key(), &[&account, &pair], &[&account, &pair], now).await?
        else {
            return Ok(());
        };
        let (wait, own_wait) = (account.wait(&item, now), pair.wait(&item, now));
        // The attempt still counts, but the account's limit does not apply.
        if own_wait == 0
            && self.is_trusted(attempt, now).await?
            && self.raise(&attempt.account_key(), &[&pair], &[&account, &pair], now).await?.is_ok()
        {
            return Ok(());
        }
        Err(Error::TooManyAttempts { retry_after_seconds: wait.max(own_wait).max(1) })
    }

    async fn count_address(&self, attempt: &LoginAttempt, now: Timestamp) -> Result<(), Error> {
        let address = Limit::new("address", MAX_PER_ADDRESS);
        match self.raise(&attempt.address_key(), &[&address], &[&address], now).await? {
            Ok(()) => Ok(()),
            Err(item) => Err(Error::TooManyAttempts { retry_after_seconds: address.wait(&item, now).max(1) }),
        }
    }

    /// Increments counters if the limits allow it. Otherwise returns the item that holds them.
    async fn raise(
        &self,
        key: &Key,
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
            (":forgotten".to_owned(), number((now + COUNTERS_EXPIRE_AFTER).as_seconds())),
        ]);
        let update = self.client.update_item().table_name(&self.table).set_key(Some(key.item()));
        let update = update
            .update_expression(format!(
                "SET {}, expires_at = if_not_exists(expires_at, :forgotten)",
                assignments.join(", ")
            ))
            .condition_expression(conditions.join(" AND "))
            .set_expression_attribute_values(Some(values));
        let Err(item) = update_if(update.clone()).await? else { return Ok(Ok(())) };
        let item = item.ok_or_else(missing)?;
        if integer(&item, "expires_at").is_none_or(|at| at > now.as_seconds()) {
            return Ok(Err(item));
        }
        // Expired, but not yet deleted by DynamoDB's TTL.
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key.item()));
        let delete = delete
            .condition_expression("expires_at <= :now")
            .expression_attribute_values(":now", number(now.as_seconds()));
        if_condition_holds(delete.send().await)?;
        match update_if(update).await? {
            Ok(_) => Ok(Ok(())),
            Err(item) => Ok(Err(item.ok_or_else(missing)?)),
        }
    }

    async fn is_trusted(&self, attempt: &LoginAttempt, now: Timestamp) -> Result<bool, Error> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(attempt.trusted_key().item()));
        let item = get.send().await.map_err(aws::classify)?.item;
        let expires_at = item.and_then(|item| integer(&item, "expires_at"));
        Ok(expires_at.is_some_and(|at| at > now.as_seconds()))
    }

    /// Resets the account's counters, takes back this attempt of the address, and makes the account trust the address. A
    /// failure is logged, not returned: it must not undo the log-in.
    pub async fn clear(&self, attempt: &LoginAttempt, now: Timestamp) {
        let address = self.client.update_item().table_name(&self.table);
        let address = address
            .set_key(Some(attempt.address_key().item()))
            .update_expression("ADD address_count :less")
            .expression_attribute_values(":less", number(-1));
        let (account, address) = future::join(self.clear_account(attempt, now), address.send()).await;
        log_failure(account.and(address.map(drop).map_err(aws::classify)));
    }

    /// Makes an account trust an address whose user has proven to be its owner by other means than its password.
    pub async fn trust_address(&self, email: &EmailAddress, address: &str, now: Timestamp) {
        let trusted = async {
            let attempt = self.attempt(email, address, now).await?;
            self.clear_account(&attempt, now).await
        };
        log_failure(trusted.await);
    }

    async fn clear_account(&self, attempt: &LoginAttempt, now: Timestamp) -> Result<(), Error> {
        let delete = DeleteRequest::builder().set_key(Some(attempt.account_key().item())).build();
        let delete = WriteRequest::builder().delete_request(delete.map_err(Error::internal)?).build();
        let expiry =
            Item::from([("expires_at".to_owned(), number((now + TRUST_EXPIRES_AFTER).as_seconds()))]);
        let trusted = PutRequest::builder().set_item(Some(attempt.trusted_key().on(expiry))).build();
        let trusted = WriteRequest::builder().put_request(trusted.map_err(Error::internal)?).build();
        let call = self.client.batch_write_item().request_items(&self.table, vec![delete, trusted]);
        call.send().await.map(drop).map_err(aws::classify)
    }

    /// Returns the counters whose deletion lifts the lock of an account.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the HMAC keys can't be read.
    pub async fn locks(&self, email: &EmailAddress, now: Timestamp) -> Result<Locks, Error> {
        let accounts = self.pseudonyms(email, now).await?.into_iter();
        Ok(Locks(accounts.map(|account| Key::Attempts { account }).collect()))
    }

    /// Returns the partitions that hold data about attempts at an account.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the HMAC keys can't be read.
    pub async fn partition_keys(&self, email: &EmailAddress, now: Timestamp) -> Result<Vec<String>, Error> {
        let pseudonyms = self.pseudonyms(email, now).await?;
        Ok(pseudonyms.iter().map(|account| schema::attempts_partition(account)).collect())
    }

    /// Returns the pseudonyms of an account under each HMAC key in use.
    async fn pseudonyms(&self, email: &EmailAddress, now: Timestamp) -> Result<Vec<String>, Error> {
        let keys = self.keys.get().await?;
        let moments = keys.iter().map(|key| key.from).filter(|from| *from <= now);
        moments.map(|moment| pseudonym(&keys, "attempts-of-account", email.as_str(), moment)).collect()
    }
}

fn log_failure(result: Result<(), Error>) {
    if let Err(error) = result {
        telemetry::warn("failed to clear log-in attempts", &error::chain(&error));
    }
}

impl LoginAttempt {
    fn account_key(&self) -> Key {
        Key::Attempts { account: self.account.clone() }
    }

    fn address_key(&self) -> Key {
        Key::AddressAttempts { address: self.address.clone() }
    }

    fn trusted_key(&self) -> Key {
        Key::TrustedAddress { account: self.account.clone(), address: self.address.clone() }
    }

    /// Returns the address for use in an attribute name, which allows only letters and digits.
    fn address_attribute(&self) -> String {
        self.address.replace(['-', '_'], "")
    }
}

fn missing() -> Error {
    Error::internal("counters that do not exist refused an attempt")
}

fn pseudonym(keys: &KeySet, purpose: &str, of: &str, at: Timestamp) -> Result<String, Error> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(&keys.hmac(at, purpose, of.as_bytes())?[..16]))
}
