//! Changes what a user may do.

use super::access::Accounts;
use crate::{
    auth::Staff,
    domain::{
        id::Id,
        time::Timestamp,
        user::{AccessUpdate, Actor, User},
    },
    error::Error,
    store::users::Account,
};

impl Accounts {
    /// Loads an account for an admin.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, staff: &Staff, id: Id<User>) -> Result<Account, Error> {
        self.users.get(staff, id).await
    }

    /// Changes role and status and ends the user's sessions, or lifts a lock on log-ins.
    ///
    /// # Errors
    /// [`Error::OwnAccount`]: otherwise the last admin could lock everyone out. [`Error::StaleVersion`].
    pub async fn update_access(
        &self,
        staff: &Staff,
        account: Account,
        access: AccessUpdate,
        unlock: bool,
        now: Timestamp,
    ) -> Result<Account, Error> {
        if unlock {
            self.attempts.unlock(&account.user.email, now).await?;
        }
        if access == account.access() {
            return Ok(account);
        }
        if staff.id() == Actor::User(account.user.id) {
            return Err(Error::OwnAccount);
        }
        self.users.set_access(staff, account, access, now).await
    }
}
