//! Changes what a user may do.

use super::access::Accounts;
use crate::{
    auth::Staff,
    domain::{
        change::ChangeContext,
        id::Id,
        user::{AccessUpdate, Actor, Role, User},
    },
    error::Error,
    store::users::Account,
    telemetry::{self, Metric},
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
        context: &ChangeContext,
    ) -> Result<Account, Error> {
        if unlock {
            let locks = self.attempts.locks(&account.user.email, context.at).await?;
            self.users.unlock(staff, account.user.id, locks, context).await?;
        }
        if access == account.access() {
            return Ok(account);
        }
        if staff.id() == Actor::User(account.user.id) {
            return Err(Error::OwnAccount);
        }
        let promoted = access.role == Role::Admin && account.user.role != Role::Admin;
        let account = self.users.set_access(staff, account, access, context).await?;
        if promoted {
            telemetry::count(Metric::AdminsMade);
        }
        Ok(account)
    }
}
