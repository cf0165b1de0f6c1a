//! Accounts of users: their profiles and the list of them.

use aws_sdk_dynamodb::{
    Client,
    types::{
        ConditionCheck, Delete, Update,
        builders::{ConditionCheckBuilder, DeleteBuilder, UpdateBuilder},
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Item, Page, audit, item, number, origin, pages, schema::Key, tables::CommonTables, text,
    transaction::Transaction, withdrawals::Withdrawal,
};
use crate::{
    auth::{Customer, Staff},
    aws,
    domain::{
        change::ChangeContext,
        id::Id,
        user::{AccessUpdate, AccountStatus, EmailAddress, Profile, Role, User},
        validation::{self, FieldError, Object},
    },
    error::Error,
    password::NewPassword,
};

/// Access to the Users table.
#[derive(Clone)]
pub struct Users {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) common: CommonTables,
}

/// A user with the account data that the API does not show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    #[serde(flatten)]
    pub user: User,
    pub version: i64,
    /// Number of times that all sessions were ended. Sessions of an earlier epoch are over.
    pub(crate) epoch: i64,
}

impl Account {
    /// Accepts a new password unless it consists of the owner's name or e-mail address.
    ///
    /// # Errors
    /// [`Error::Validation`] at `pointer`.
    pub fn new_password(&self, password: NewPassword, pointer: &str) -> Result<NewPassword, Error> {
        let known = [self.user.email.as_str(), &self.user.profile.name];
        password.unlike(&known).map_err(|violation| FieldError::new(pointer, violation).into())
    }

    /// Returns the part of the account that admins may change.
    pub fn access(&self) -> AccessUpdate {
        AccessUpdate { role: self.user.role, status: self.user.status }
    }
}

/// Counters that may lock an account.
pub struct Locks(pub(super) Vec<Key>);

/// Filters of a list of users. A cursor is bound to them.
#[derive(Debug, Serialize)]
pub struct UserQuery {
    pub email: Option<EmailAddress>,
    pub role: Option<Role>,
    pub status: Option<AccountStatus>,
}

impl UserQuery {
    pub fn read(query: &mut Object) -> Option<Self> {
        let email = query.field("email").optional(|field| field.text(EmailAddress::parse));
        let role = query.field("role").optional(|field| field.text(validation::one_of));
        let status = query.field("status").optional(|field| field.text(validation::one_of));
        Some(Self { email: email?, role: role?, status: status? })
    }
}

impl Users {
    /// Loads the caller's own account.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] if it no longer exists.
    pub async fn own(&self, of: &Customer) -> Result<Account, Error> {
        self.account(of.id()).await?.ok_or(Error::InvalidToken)
    }

    /// Loads an account.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn get(&self, _by: &Staff, id: Id<User>) -> Result<Account, Error> {
        self.account(id).await?.ok_or(Error::NotFound)
    }

    pub(crate) async fn account(&self, id: Id<User>) -> Result<Option<Account>, Error> {
        self.read(Key::Profile(id)).await
    }

    /// Lists users, newest first. Filters may leave a page shorter than `limit` although more follow.
    pub async fn list(
        &self,
        _by: &Staff,
        query: &UserQuery,
        limit: usize,
        after: Option<Id<User>>,
    ) -> Result<Page<User, Id<User>>, Error> {
        let matches = |user: &User| {
            query.role.is_none_or(|role| user.role == role)
                && query.status.is_none_or(|status| user.status == status)
        };
        if let Some(email) = &query.email {
            let account = match self.user_id(email).await? {
                Some(id) => self.account(id).await?,
                None => None,
            };
            let items = account.map(|account| account.user).filter(matches).into_iter().collect();
            return Ok(Page { items, next: None });
        }
        let start = after.map(|id| Key::Profile(id).on(pages::position(LIST, id)));
        let pages = pages::newest(&self.client, &self.table, LIST, limit, start);
        pages.read(matches, |user| user.id).await
    }

    /// Updates the caller's profile that was read.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn update(
        &self,
        by: &Customer,
        account: Account,
        to: Profile,
        context: &ChangeContext,
    ) -> Result<Account, Error> {
        let now = context.at;
        let (set, remove) = match &to.phone {
            Some(_) => (", phone = :phone", ""),
            None => ("", " REMOVE phone"),
        };
        let value = |value| serde_dynamo::to_attribute_value(value).map_err(Error::internal);
        let mut update = Update::builder()
            .set_key(Some(Key::Profile(account.user.id).item()))
            .update_expression(format!(
                "SET #name = :name, addresses = :addresses, updated_at = :now, origin = :origin, \
                 version = version + :one{set}{remove}"
            ))
            .condition_expression("version = :version")
            .expression_attribute_names("#name", "name")
            .expression_attribute_values(":name", text(&to.name))
            .expression_attribute_values(":addresses", value(json!(to.addresses))?)
            .expression_attribute_values(":origin", origin(context)?)
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":version", number(account.version));
        if let Some(phone) = &to.phone {
            update = update.expression_attribute_values(":phone", value(json!(phone))?);
        }
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .update(update, |_| Error::StaleVersion)?
            .commit()
            .await?;
        let user = User { profile: to, updated_at: now, ..account.user };
        Ok(Account { user, version: account.version + 1, ..account })
    }

    /// Updates role and status of the account that was read, and ends its sessions and access tokens.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub async fn set_access(
        &self,
        by: &Staff,
        account: Account,
        to: AccessUpdate,
        context: &ChangeContext,
    ) -> Result<Account, Error> {
        let now = context.at;
        let profile = Update::builder()
            .set_key(Some(Key::Profile(account.user.id).item()))
            .update_expression(
                "SET #role = :role, #status = :status, updated_at = :now, origin = :origin, \
                 version = version + :one, epoch = epoch + :one",
            )
            .condition_expression("version = :version AND epoch = :epoch")
            .expression_attribute_values(":origin", origin(context)?)
            .expression_attribute_values(":epoch", number(account.epoch))
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":role", text(to.role.into_str()))
            .expression_attribute_values(":status", text(to.status.into_str()))
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":version", number(account.version));
        let login = Update::builder()
            .set_key(Some(Key::Login(account.user.email.clone()).item()))
            .update_expression("SET #role = :role, #status = :status, epoch = epoch + :one")
            .condition_expression("user_id = :user")
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":role", text(to.role.into_str()))
            .expression_attribute_values(":status", text(to.status.into_str()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":user", text(account.user.id));
        let event = audit::event(context, account.user.id)?.changed(json!(account.access()), json!(to));
        let withdrawal = Withdrawal::Account { user: account.user.id, epoch: account.epoch + 1, kept: None };
        Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?
            .update(profile, |_| Error::StaleVersion)?
            .update(login, |_| Error::StaleVersion)?
            .withdraw(&withdrawal, &self.common, now)?
            .commit()
            .await?;
        let AccessUpdate { role, status } = to;
        let user = User { role, status, updated_at: now, ..account.user };
        Ok(Account { user, version: account.version + 1, epoch: account.epoch + 1 })
    }

    /// Lifts a lock on log-ins.
    pub async fn unlock(
        &self,
        by: &Staff,
        user: Id<User>,
        Locks(locks): Locks,
        context: &ChangeContext,
    ) -> Result<(), Error> {
        let event = audit::event(context, user)?.created(json!({"locked": false}));
        let mut transaction = Transaction::new(&self.client, &self.table)
            .authorized(by.authority(), &self.common)?
            .audited(&event, &self.common)?;
        for lock in locks {
            let delete = Delete::builder().set_key(Some(lock.item()));
            transaction = transaction.delete(delete, |_| Error::StaleVersion)?;
        }
        transaction.commit().await.map(drop)
    }

    /// Looks up whose e-mail address this is.
    async fn user_id(&self, email: &EmailAddress) -> Result<Option<Id<User>>, Error> {
        #[derive(Deserialize)]
        struct Owner {
            user_id: Id<User>,
        }
        let owner: Option<Owner> = self.read(Key::Login(email.clone())).await?;
        Ok(owner.map(|owner| owner.user_id))
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, Error> {
        item::get(&self.client, &self.table, key.item()).await
    }

    pub(super) async fn put(&self, item: Item) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(aws::classify)
    }
}

/// Partition of the list of all users.
const LIST: &str = "USER";

/// Serializes the profile of a new account.
pub(super) fn opening_profile(user: &User) -> Result<Item, Error> {
    let account = Account { user: user.clone(), version: 1, epoch: 0 };
    let mut item = Key::Profile(user.id).on(serde_dynamo::to_item(account).map_err(Error::internal)?);
    item.insert("list".to_owned(), text(LIST));
    Ok(item)
}

/// Ends all sessions of an account, on its profile, unless they have been ended since.
pub(super) fn raise_epoch(id: Id<User>, from: i64) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(Key::Profile(id).item()))
        .update_expression("SET epoch = epoch + :one")
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":epoch", number(from))
}

/// Checks that the sessions of an account have not been ended since. `key` is that of its profile or its log-in. Every
/// change of password, role or status raises the epoch.
pub(super) fn at_epoch(key: &Key, epoch: i64) -> ConditionCheckBuilder {
    ConditionCheck::builder()
        .set_key(Some(key.item()))
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":epoch", number(epoch))
}

/// Deletes an item that must exist.
pub(super) fn delete_existing(key: &Key) -> DeleteBuilder {
    Delete::builder().set_key(Some(key.item())).condition_expression("attribute_exists(pk)")
}
