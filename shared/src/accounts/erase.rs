//! Erases an account.

use super::access::Accounts;
use crate::{
    auth::Customer,
    domain::{change::ChangeContext, user::Role},
    error::{self, Error},
    orders,
    password::Password,
    store::orders::Orders,
    telemetry,
};

impl Accounts {
    /// Erases the caller's account and all personal data, in orders too.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`], [`Error::StaffAccount`], [`Error::OrderOpen`].
    pub async fn erase(
        &self,
        customer: &Customer,
        password: &Password,
        orders: &Orders,
        address: &str,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let account = self.users.own(customer).await?;
        if account.user.role != Role::Customer {
            return Err(Error::StaffAccount);
        }
        let (checked, _) = self.authenticate(&account.user.email, password, address, context.at).await?;
        orders::erase(orders, customer, context).await?;
        let attempts = self.attempts.partition_keys(&account.user.email, context.at).await?;
        self.users.erase(customer, &checked, attempts, context.at).await?;
        // The customer may have placed an order meanwhile; from here on none of their tokens can.
        if let Err(failed) = orders::erase_late(orders, customer, context).await {
            let what = "orders placed while an account was erased may keep its data";
            telemetry::warn(what, &error::chain(&failed));
        }
        Ok(())
    }
}
