//! Log-ins: the credentials of accounts.

use aws_sdk_dynamodb::types::{Update, builders::UpdateBuilder};
use serde::{Deserialize, Serialize};

use super::{
    Item, number,
    schema::Key,
    text,
    transaction::Transaction,
    users::{Account, Users, opening_profile, raise_epoch},
    withdrawals::Withdrawal,
};
use crate::{
    auth::Customer,
    domain::{
        id::Id,
        time::Timestamp,
        user::{AccountStatus, EmailAddress, Role, User},
    },
    error::Error,
    password::{Password, PasswordCheck, PasswordHash},
};

/// Credentials of an account, found by its e-mail address. Role, status and epoch are copies of the profile's, changed in
/// the same transactions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    pub user_id: Id<User>,
    pub password: PasswordHash,
    pub role: Role,
    pub status: AccountStatus,
    pub epoch: i64,
    pub password_changed_at: Timestamp,
}

/// Proof that a password was just verified.
pub struct Authenticated {
    email: EmailAddress,
    login: Login,
    renewed_hash: Option<PasswordHash>,
}

impl Authenticated {
    /// Verifies the password of an active account. Takes equally long if there is no such account.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`].
    pub fn by_password(
        email: &EmailAddress,
        login: Option<Login>,
        password: &Password,
    ) -> Result<Self, Error> {
        let hash = login.as_ref().map_or_else(PasswordHash::of_nobody, |login| login.password.clone());
        let check = hash.verify(password)?;
        let login =
            login.filter(|login| check != PasswordCheck::Wrong && login.status == AccountStatus::Active);
        let login = login.ok_or(Error::InvalidCredentials)?;
        let outdated = check == PasswordCheck::RightButOutdated;
        let renewed_hash = outdated.then(|| PasswordHash::of(password)).transpose()?;
        Ok(Self { email: email.clone(), login, renewed_hash })
    }

    pub fn email(&self) -> &EmailAddress {
        &self.email
    }

    pub fn user(&self) -> Id<User> {
        self.login.user_id
    }

    pub fn role(&self) -> Role {
        self.login.role
    }

    /// Returns the account's epoch at the time of verification.
    pub(super) fn epoch(&self) -> i64 {
        self.login.epoch
    }

    /// Returns a hash with the current parameters, if the stored one was made with others.
    pub(super) fn renewed_hash(&self) -> Option<&PasswordHash> {
        self.renewed_hash.as_ref()
    }
}

impl Users {
    pub async fn login(&self, email: &EmailAddress) -> Result<Option<Login>, Error> {
        self.read(Key::Login(email.clone())).await
    }

    /// Sets a new password and ends all other sessions of the caller, with their access tokens.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] if the caller's session has ended, [`Error::InvalidCredentials`] if the account has changed
    /// since its password was verified.
    pub async fn change_password(
        &self,
        by: &Customer,
        checked: &Authenticated,
        password: PasswordHash,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = Transaction::new(&self.client, &self.table)
            .update(set_password(checked.email(), checked.epoch(), &password, now), |_| {
                Error::InvalidCredentials
            })?
            .update(raise_epoch(by.id(), checked.epoch()), |_| Error::InvalidToken)?;
        if let Some(session) = by.session() {
            let kept = Update::builder()
                .set_key(Some(Key::Session(by.id(), session).item()))
                .update_expression("SET epoch = epoch + :one")
                .condition_expression("epoch = :epoch AND attribute_exists(token_hash)")
                .expression_attribute_values(":epoch", number(checked.epoch()))
                .expression_attribute_values(":one", number(1));
            transaction = transaction.update(kept, |_| Error::InvalidToken)?;
        }
        let withdrawal =
            Withdrawal::Account { user: by.id(), epoch: checked.epoch() + 1, kept: by.session() };
        transaction.withdraw_own(by.authority(), &withdrawal, &self.common, now)?.commit().await.map(drop)
    }

    /// Ends all sessions and access tokens of the caller, including the current one.
    ///
    /// # Errors
    /// [`Error::InvalidToken`], also if they have been ended since `account` was read.
    pub async fn end_sessions(&self, by: &Customer, account: &Account, now: Timestamp) -> Result<(), Error> {
        let epoch = account.epoch;
        let withdrawal = Withdrawal::Account { user: by.id(), epoch: epoch + 1, kept: None };
        Transaction::new(&self.client, &self.table)
            .update(raise_login_epoch(&account.user.email, by.id(), epoch), |_| Error::InvalidToken)?
            .update(raise_epoch(by.id(), epoch), |_| Error::InvalidToken)?
            .withdraw_own(by.authority(), &withdrawal, &self.common, now)?
            .commit()
            .await
            .map(drop)
    }

    /// Creates an account without verifying its e-mail address, for local development. Leaves an existing one unchanged.
    pub async fn seed(&self, user: &User, password: PasswordHash) -> Result<(), Error> {
        let transaction = Transaction::new(&self.client, &self.table)
            .create(opening_login(user, password)?, |_| Error::TokenExpired)?
            .create(opening_profile(user)?, |_| Error::TokenExpired)?;
        match transaction.commit().await {
            Ok(_) | Err(Error::TokenExpired) => Ok(()),
            Err(failed) => Err(failed),
        }
    }
}

/// Serializes the log-in of a new account.
pub(super) fn opening_login(user: &User, password: PasswordHash) -> Result<Item, Error> {
    let login = Login {
        user_id: user.id,
        password,
        role: user.role,
        status: user.status,
        epoch: 0,
        password_changed_at: user.created_at,
    };
    let item = serde_dynamo::to_item(login).map_err(Error::internal)?;
    Ok(Key::Login(user.email.clone()).on(item))
}

/// Ends all sessions of an account, on its log-in, unless they have been ended since.
pub(super) fn raise_login_epoch(email: &EmailAddress, user: Id<User>, from: i64) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(Key::Login(email.clone()).item()))
        .update_expression("SET epoch = epoch + :one")
        .condition_expression("user_id = :user AND epoch = :epoch")
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":epoch", number(from))
        .expression_attribute_values(":user", text(user))
}

/// Sets a password and ends all sessions, unless they have been ended since.
pub(super) fn set_password(
    email: &EmailAddress,
    epoch: i64,
    password: &PasswordHash,
    now: Timestamp,
) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(Key::Login(email.clone()).item()))
        .update_expression("SET password = :password, password_changed_at = :now, epoch = epoch + :one")
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":password", text(password.as_str()))
        .expression_attribute_values(":now", text(now))
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":epoch", number(epoch))
}
