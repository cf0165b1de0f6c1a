//! The accounts of users: their profiles, and the lists of them.

use aws_sdk_dynamodb::{
    Client,
    types::{ConditionCheck, Update, builders::ConditionCheckBuilder},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Item, Page, key, logins, number, text, transaction::Transaction, with_key};
use crate::{
    auth::{Customer, Staff},
    domain::{
        id::Id,
        input::{Invalid, Object},
        time::Timestamp,
        user::{Email, Profile, Role, Standing, Status, User},
    },
    error::Error,
    password::NewPassword,
};

/// The accounts of users.
#[derive(Clone)]
pub struct Users {
    pub(super) client: Client,
    pub(super) table: String,
}

/// A user, and what is known of the account besides.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// As they and the staff may see them.
    #[serde(flatten)]
    pub user: User,
    /// Counts the changes, from 1.
    pub version: i64,
    /// Counts how often all sessions were ended. One that was begun under another count is over.
    pub(super) epoch: i64,
}

impl Account {
    /// A new password of the account's owner, if it says more than what everybody knows of them.
    ///
    /// # Errors
    /// [`Error::Invalid`], at that place of the request.
    pub fn new_password(&self, password: NewPassword, pointer: &str) -> Result<NewPassword, Error> {
        let known = [self.user.email.as_str(), &self.user.profile.name];
        let refuse = |fault| Error::Invalid(vec![Invalid { pointer: pointer.to_owned(), fault }]);
        password.unlike(&known).map_err(refuse)
    }

    /// What the staff may change of it.
    pub fn standing(&self) -> Standing {
        Standing { role: self.user.role, status: self.user.status }
    }
}

/// Which users the staff wants to see. Two equal ones are the same query, so a cursor is bound to it.
#[derive(Debug, Serialize)]
pub struct UserQuery {
    /// Only the one with this address.
    pub email: Option<Email>,
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only those of this status.
    pub status: Option<Status>,
}

impl UserQuery {
    /// Reads it from the query.
    pub fn read(query: &mut Object) -> Option<Self> {
        let email = query.field("email").optional(|field| field.text(Email::parse));
        let role = query.field("role").optional(|field| field.text(Role::parse));
        let status = query.field("status").optional(|field| field.text(Status::parse));
        Some(Self { email: email?, role: role?, status: status? })
    }
}

impl Users {
    /// The caller's own account.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] where it is gone.
    pub async fn own(&self, of: &Customer) -> Result<Account, Error> {
        self.account(of.id()).await?.ok_or(Error::InvalidToken)
    }

    /// The account of that id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, _by: &Staff, id: Id<User>) -> Result<Account, Error> {
        self.account(id).await?.ok_or(Error::NotFound)
    }

    pub(super) async fn account(&self, id: Id<User>) -> Result<Option<Account>, Error> {
        self.read(profile_key(id)).await
    }

    /// One page of the users, the newest first. Filters may leave a page shorter than `limit` although more follow.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn list(
        &self,
        _by: &Staff,
        query: &UserQuery,
        limit: usize,
        after: Option<Id<User>>,
    ) -> Result<Page<User, Id<User>>, Error> {
        let fits = |user: &User| {
            query.role.is_none_or(|role| user.role == role)
                && query.status.is_none_or(|status| user.status == status)
        };
        if let Some(email) = &query.email {
            let login = self.login(email).await?;
            let account = match login {
                Some(login) => self.account(login.user_id).await?,
                None => None,
            };
            let items = account.map(|account| account.user).filter(fits).into_iter().collect();
            return Ok(Page { items, next: None });
        }
        let start = after.map(|id| with_key(profile_key(id), super::list::position(LIST, id)));
        let pages = super::list::newest(&self.client, &self.table, LIST, limit, start);
        pages.read(fits, |user| user.id).await
    }

    /// Changes what the caller says of themselves, from the version that was read.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn update(
        &self,
        _by: &Customer,
        account: Account,
        to: Profile,
        now: Timestamp,
    ) -> Result<Account, Error> {
        let (set, remove) = match &to.phone {
            Some(_) => (", phone = :phone", ""),
            None => ("", " REMOVE phone"),
        };
        let value = |value| serde_dynamo::to_attribute_value(value).map_err(Error::internal);
        let mut update = Update::builder()
            .set_key(Some(profile_key(account.user.id)))
            .update_expression(format!(
                "SET #name = :name, addresses = :addresses, updated_at = :now, version = version + :one{set}{remove}"
            ))
            .condition_expression("version = :version")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", text(&to.name))
            .expression_attribute_values(":addresses", value(json!(to.addresses))?)
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":version", number(account.version));
        if let Some(phone) = &to.phone {
            update = update.expression_attribute_values(":phone", value(json!(phone))?);
        }
        // A transaction, though of one write: tried again after a lost answer, it knows itself.
        Transaction::new(&self.client, &self.table).update(update, |_| Error::StaleVersion)?.commit().await?;
        let user = User { profile: to, updated_at: now, ..account.user };
        Ok(Account { user, version: account.version + 1, ..account })
    }

    /// Changes what a user is allowed, from the version that was read, and ends their sessions.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn set_standing(
        &self,
        _by: &Staff,
        account: Account,
        to: Standing,
        now: Timestamp,
    ) -> Result<Account, Error> {
        let profile = Update::builder()
            .set_key(Some(profile_key(account.user.id)))
            .update_expression(
                "SET #role = :role, #status = :status, updated_at = :now, version = version + :one, epoch = epoch + :one",
            )
            .condition_expression("version = :version")
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":role", text(to.role.as_str()))
            .expression_attribute_values(":status", text(to.status.as_str()))
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":version", number(account.version));
        let login = Update::builder()
            .set_key(Some(logins::login_key(&account.user.email)))
            .update_expression("SET #role = :role, #status = :status, epoch = epoch + :one")
            .condition_expression("user_id = :user")
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":role", text(to.role.as_str()))
            .expression_attribute_values(":status", text(to.status.as_str()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":user", text(account.user.id));
        Transaction::new(&self.client, &self.table)
            .update(profile, |_| Error::StaleVersion)?
            .update(login, |_| Error::StaleVersion)?
            .commit()
            .await?;
        let Standing { role, status } = to;
        let user = User { role, status, updated_at: now, ..account.user };
        Ok(Account { user, version: account.version + 1, epoch: account.epoch + 1 })
    }
}

/// The list of all users.
const LIST: &str = "USER";

/// The partition of all that belongs to a user.
pub(super) fn partition(id: Id<User>) -> String {
    format!("USER#{id}")
}

pub(super) fn profile_key(id: Id<User>) -> Item {
    key(partition(id), "PROFILE")
}

/// The profile that a new account begins with.
pub(super) fn opening_profile(user: &User) -> Result<Item, Error> {
    let account = Account { user: user.clone(), version: 1, epoch: 0 };
    let item = serde_dynamo::to_item(account).map_err(Error::internal)?;
    let mut item = with_key(item, profile_key(user.id));
    item.insert("list".to_owned(), text(LIST));
    Ok(item)
}

/// Raises the count of how often all sessions were ended.
pub(super) fn raise_epoch(id: Id<User>) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
    Update::builder()
        .set_key(Some(profile_key(id)))
        .update_expression("SET epoch = epoch + :one")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":one", number(1))
}

/// Checks that an account is as it was, by its profile's or its log-in's key: whatever ends its sessions, a change of its
/// standing too, raises the epoch.
pub(super) fn at_epoch(key: Item, epoch: i64) -> ConditionCheckBuilder {
    ConditionCheck::builder()
        .set_key(Some(key))
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":epoch", number(epoch))
}
