//! Pending password resets.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    Item, batch,
    logins::{Login, set_password},
    schema::Key,
    transaction::Transaction,
    users::{Users, delete_existing, raise_epoch},
    withdrawals::Withdrawal,
};
use crate::{
    auth::MailToken,
    domain::{
        id::Id,
        time::Timestamp,
        user::{EmailAddress, Reset},
    },
    error::Error,
    password::PasswordHash,
};

const EXPIRES_AFTER: Duration = Duration::from_secs(30 * 60);

#[derive(Serialize, Deserialize)]
struct PendingReset {
    created_at: Timestamp,
    expires_at: i64,
}

impl Users {
    /// Stores a request for a new password, whether or not the account exists. mail-send sends the mail on the stream
    /// record.
    pub async fn request_reset(
        &self,
        email: &EmailAddress,
        id: Id<Reset>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let reset = PendingReset { created_at: now, expires_at: (now + EXPIRES_AFTER).as_seconds() };
        let item = serde_dynamo::to_item(reset).map_err(Error::internal)?;
        self.put(Key::Reset(email.clone(), id).on(item)).await
    }

    /// Sets a new password, ends all sessions and access tokens, and uses up the mailed token.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] if the token is used up, expired, or older than the current password.
    pub async fn reset_password(
        &self,
        token: &MailToken<Reset>,
        password: PasswordHash,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (reset, login) = self.reset_and_login(token).await?;
        let (Some(reset), Some(login)) = (reset, login) else {
            return Err(Error::TokenExpired);
        };
        if reset.expires_at <= now.as_seconds() || reset.created_at < login.password_changed_at {
            return Err(Error::TokenExpired);
        }
        let withdrawal = Withdrawal::Account { user: login.user_id, epoch: login.epoch + 1, kept: None };
        Transaction::new(&self.client, &self.table)
            .delete(delete_existing(&Key::Reset(token.email.clone(), token.id)), |_| Error::TokenExpired)?
            .update(set_password(&token.email, login.epoch, &password, now), |_| Error::TokenExpired)?
            .update(raise_epoch(login.user_id, login.epoch), |_| Error::TokenExpired)?
            .withdraw(&withdrawal, &self.common, now)?
            .commit()
            .await
            .map(drop)
    }

    async fn reset_and_login(
        &self,
        token: &MailToken<Reset>,
    ) -> Result<(Option<PendingReset>, Option<Login>), Error> {
        let reset = Key::Reset(token.email.clone(), token.id).item();
        let login = Key::Login(token.email.clone()).item();
        let keys = HashMap::from([(self.table.clone(), vec![reset.clone(), login.clone()])]);
        let items = batch::get(&self.client, keys).await?;
        let find = |key: &Item| items.iter().find(|item| item.get("sk") == key.get("sk")).cloned();
        let reset = find(&reset).map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        let login = find(&login).map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        Ok((reset, login))
    }
}
