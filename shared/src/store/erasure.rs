//! Erasure of an account.

use super::{
    batch,
    logins::Authenticated,
    schema::{self, Key},
    transaction::Transaction,
    users::{Users, delete_existing},
    withdrawals::Withdrawal,
};
use crate::{auth::Customer, domain::time::Timestamp, error::Error};

impl Users {
    /// Erases an account and all data about its owner, and ends its access tokens. The account itself goes last, so that the
    /// owner can retry after a failure.
    pub async fn erase(
        &self,
        by: &Customer,
        checked: &Authenticated,
        attempts: Vec<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (login, profile) = (Key::Login(checked.email().clone()), Key::Profile(by.id()));
        let mut keys = Vec::new();
        let own = [schema::user_partition(by.id()), schema::login_partition(checked.email())];
        for partition in own.into_iter().chain(attempts) {
            keys.extend(batch::of_partition(&self.client, &self.table, &partition, Some("pk, sk")).await?);
        }
        keys.retain(|key| *key != login.item() && *key != profile.item());
        batch::delete(&self.client, &self.table, keys).await?;
        let withdrawal = Withdrawal::Account { user: by.id(), epoch: checked.epoch() + 1, kept: None };
        Transaction::new(&self.client, &self.table)
            .delete(delete_existing(&login), |_| Error::InvalidToken)?
            .delete(delete_existing(&profile), |_| Error::InvalidToken)?
            .withdraw_own(by.authority(), &withdrawal, &self.common, now)?
            .commit()
            .await
            .map(drop)
    }
}
