//! Log-ins, and what waits for a mail to be answered: registrations and new passwords. All of it lies in the partition
//! of its e-mail address.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    Delete, Update,
    builders::{DeleteBuilder, UpdateBuilder},
};
use serde::{Deserialize, Serialize};

use super::{
    Item, batch, key, number, text,
    transaction::Transaction,
    users::{Account, Users, opening_profile, partition, profile_key, raise_epoch},
    with_key,
};
use crate::{
    auth::{Customer, MailToken},
    aws,
    domain::{
        id::Id,
        time::Timestamp,
        user::{Applicant, Email, Registration, Reset, Role, Status, User},
    },
    error::Error,
    password::{Password, PasswordHash, Verdict},
};

/// How long a registration waits for its mail to be answered, in seconds.
const REGISTRATION_SECONDS: i64 = 24 * 60 * 60;
/// How long a mail is good for a new password, in seconds.
const RESET_SECONDS: i64 = 30 * 60;

/// What a log-in is checked by. Role, status and epoch are those of the account, changed in one transaction with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Login {
    /// Whose it is.
    pub user_id: Id<User>,
    /// The password.
    pub password: PasswordHash,
    /// What they are allowed.
    pub role: Role,
    /// Whether they may log in.
    pub status: Status,
    /// Counts how often all sessions were ended.
    pub epoch: i64,
    /// When the password was last changed, by its owner or a mail.
    pub password_changed_at: Timestamp,
}

/// Somebody whose password was right a moment ago. The proof can't be come by in another way.
pub struct Authenticated {
    email: Email,
    login: Login,
    renewed_hash: Option<PasswordHash>,
}

impl Authenticated {
    /// The proof that this is the password of an account that may log in. It takes as long to refuse where there is no
    /// such account.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`].
    pub fn by_password(email: &Email, login: Option<Login>, password: &Password) -> Result<Self, Error> {
        let hash = login.as_ref().map_or_else(PasswordHash::of_nobody, |login| login.password.clone());
        let verdict = hash.verify(password)?;
        let login = login.filter(|login| verdict != Verdict::Wrong && login.status == Status::Active);
        let login = login.ok_or(Error::InvalidCredentials)?;
        let outdated = verdict == Verdict::RightButOutdated;
        let renewed_hash = outdated.then(|| PasswordHash::of(password)).transpose()?;
        Ok(Self { email: email.clone(), login, renewed_hash })
    }

    /// The address that they log in with.
    pub fn email(&self) -> &Email {
        &self.email
    }

    /// Who they are.
    pub fn user(&self) -> Id<User> {
        self.login.user_id
    }

    /// What they are allowed.
    pub fn role(&self) -> Role {
        self.login.role
    }

    /// The account's count of ended sessions, as the check saw it.
    pub(super) fn epoch(&self) -> i64 {
        self.login.epoch
    }

    /// A hash with today's parameters, where the one that is kept was made with others.
    pub(super) fn renewed_hash(&self) -> Option<&PasswordHash> {
        self.renewed_hash.as_ref()
    }
}

/// A registration that waits for the proof of its e-mail.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingRegistration {
    name: String,
    /// The password that the account will have.
    pub password: PasswordHash,
    expires_at: i64,
}

impl PendingRegistration {
    /// Whether it can still become an account.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.expires_at > now.as_seconds()
    }
}

#[derive(Serialize, Deserialize)]
struct PendingReset {
    created_at: Timestamp,
    expires_at: i64,
}

impl Users {
    /// Keeps a registration until its e-mail is proven. Its change on the table's stream has the mail sent.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn register(
        &self,
        applicant: &Applicant,
        password: PasswordHash,
        id: Id<Registration>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let pending = PendingRegistration {
            name: applicant.name.clone(),
            password,
            expires_at: now.as_seconds() + REGISTRATION_SECONDS,
        };
        let item = serde_dynamo::to_item(pending).map_err(Error::internal)?;
        self.put(with_key(item, registration_key(&applicant.email, id))).await
    }

    /// The registration that a mailed token is for.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn registration(
        &self,
        token: &MailToken<Registration>,
    ) -> Result<Option<PendingRegistration>, Error> {
        self.read(registration_key(&token.email, token.id)).await
    }

    /// Makes an account of a registration.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] where it is used up, or the e-mail has an account by now.
    pub async fn open_account(
        &self,
        token: &MailToken<Registration>,
        registration: PendingRegistration,
        user: Id<User>,
        role: Role,
        now: Timestamp,
    ) -> Result<(), Error> {
        let applicant = Applicant { email: token.email.clone(), name: registration.name };
        let user = applicant.user(user, role, now);
        Transaction::new(&self.client, &self.table)
            .create(opening_login(&user, registration.password)?, |_| Error::TokenExpired)?
            .create(opening_profile(&user)?, |_| Error::internal("a user of this id exists"))?
            .delete(existing(registration_key(&token.email, token.id)), |_| Error::TokenExpired)?
            .commit()
            .await
            .map(drop)
    }

    /// Opens an account without a mail, for a shop on one machine. One of the same e-mail stays as it is.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn seed(&self, user: &User, password: PasswordHash) -> Result<(), Error> {
        let transaction = Transaction::new(&self.client, &self.table)
            .create(opening_login(user, password)?, |_| Error::TokenExpired)?
            .create(opening_profile(user)?, |_| Error::TokenExpired)?;
        match transaction.commit().await {
            Ok(_) | Err(Error::TokenExpired) => Ok(()),
            Err(failed) => Err(failed),
        }
    }

    /// The log-in of an e-mail address.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn login(&self, email: &Email) -> Result<Option<Login>, Error> {
        self.read(login_key(email)).await
    }

    /// Keeps the request for a new password, whether or not there is such an account. Its change on the table's stream
    /// has the mail sent.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn request_reset(&self, email: &Email, id: Id<Reset>, now: Timestamp) -> Result<(), Error> {
        let reset = PendingReset { created_at: now, expires_at: now.as_seconds() + RESET_SECONDS };
        let item = serde_dynamo::to_item(reset).map_err(Error::internal)?;
        self.put(with_key(item, reset_key(email, id))).await
    }

    /// Sets a new password, ends all sessions, and uses up the mail that allows it.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] where the mail is used up, too old, or older than the password.
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
        Transaction::new(&self.client, &self.table)
            .delete(existing(reset_key(&token.email, token.id)), |_| Error::TokenExpired)?
            .update(set_password(&token.email, login.epoch, &password, now), |_| Error::TokenExpired)?
            .update(raise_epoch(login.user_id), |_| Error::TokenExpired)?
            .commit()
            .await
            .map(drop)
    }

    /// Sets a new password and ends all sessions but the caller's.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] where the caller's session was ended, [`Error::InvalidCredentials`] where the account has
    /// changed since its password was checked.
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
            .update(raise_epoch(by.id()), |_| Error::InvalidToken)?;
        if let Some(session) = by.session() {
            let kept = Update::builder()
                .set_key(Some(super::sessions::session_key(by.id(), session)))
                .update_expression("SET epoch = epoch + :one")
                .condition_expression("epoch = :epoch AND attribute_exists(token_hash)")
                .expression_attribute_values(":epoch", number(checked.epoch()))
                .expression_attribute_values(":one", number(1));
            transaction = transaction.update(kept, |_| Error::InvalidToken)?;
        }
        transaction.commit().await.map(drop)
    }

    /// Ends all sessions of the caller, this one included.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn end_sessions(&self, _by: &Customer, account: &Account) -> Result<(), Error> {
        let login = Update::builder()
            .set_key(Some(login_key(&account.user.email)))
            .update_expression("SET epoch = epoch + :one")
            .condition_expression("user_id = :user")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":user", text(account.user.id));
        Transaction::new(&self.client, &self.table)
            .update(login, |_| Error::InvalidToken)?
            .update(raise_epoch(account.user.id), |_| Error::InvalidToken)?
            .commit()
            .await
            .map(drop)
    }

    /// Erases an account and all that is known of its owner. The account itself goes last, so that who meets a failure
    /// can ask again.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn erase(
        &self,
        by: &Customer,
        checked: &Authenticated,
        traces: Vec<String>,
    ) -> Result<(), Error> {
        let (login, profile) = (login_key(checked.email()), profile_key(by.id()));
        let mut keys = Vec::new();
        for partition in [partition(by.id()), login_partition(checked.email())].into_iter().chain(traces) {
            keys.extend(batch::of_partition(&self.client, &self.table, &partition, Some("pk, sk")).await?);
        }
        keys.retain(|key| *key != login && *key != profile);
        batch::delete(&self.client, &self.table, keys).await?;
        Transaction::new(&self.client, &self.table)
            .delete(existing(login), |_| Error::InvalidToken)?
            .delete(existing(profile), |_| Error::InvalidToken)?
            .commit()
            .await
            .map(drop)
    }

    async fn reset_and_login(
        &self,
        token: &MailToken<Reset>,
    ) -> Result<(Option<PendingReset>, Option<Login>), Error> {
        let (reset, login) = (reset_key(&token.email, token.id), login_key(&token.email));
        let keys = HashMap::from([(self.table.clone(), vec![reset.clone(), login.clone()])]);
        let items = batch::get(&self.client, keys).await?;
        let find = |key: &Item| items.iter().find(|item| item.get("sk") == key.get("sk")).cloned();
        let reset = find(&reset).map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        let login = find(&login).map(serde_dynamo::from_item).transpose().map_err(Error::internal)?;
        Ok((reset, login))
    }

    pub(super) async fn read<T: serde::de::DeserializeOwned>(&self, key: Item) -> Result<Option<T>, Error> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let item = get.set_key(Some(key)).send().await.map_err(aws::judge)?.item;
        item.map(serde_dynamo::from_item).transpose().map_err(Error::internal)
    }

    async fn put(&self, item: Item) -> Result<(), Error> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        put.send().await.map(drop).map_err(aws::judge)
    }
}

pub(super) fn login_partition(email: &Email) -> String {
    format!("LOGIN#{}", email.as_str())
}

pub(super) fn login_key(email: &Email) -> Item {
    key(login_partition(email), "LOGIN")
}

/// Removes an item that must be there.
fn existing(key: Item) -> DeleteBuilder {
    Delete::builder().set_key(Some(key)).condition_expression("attribute_exists(pk)")
}

fn registration_key(email: &Email, id: Id<Registration>) -> Item {
    key(login_partition(email), format!("REGISTRATION#{id}"))
}

fn reset_key(email: &Email, id: Id<Reset>) -> Item {
    key(login_partition(email), format!("RESET#{id}"))
}

fn opening_login(user: &User, password: PasswordHash) -> Result<Item, Error> {
    let login = Login {
        user_id: user.id,
        password,
        role: user.role,
        status: user.status,
        epoch: 0,
        password_changed_at: user.created_at,
    };
    let item = serde_dynamo::to_item(login).map_err(Error::internal)?;
    Ok(with_key(item, login_key(&user.email)))
}

/// Sets a password where all sessions have not been ended since, and ends them.
fn set_password(email: &Email, epoch: i64, password: &PasswordHash, now: Timestamp) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(login_key(email)))
        .update_expression("SET password = :password, password_changed_at = :now, epoch = epoch + :one")
        .condition_expression("epoch = :epoch")
        .expression_attribute_values(":password", text(password.as_str()))
        .expression_attribute_values(":now", text(now))
        .expression_attribute_values(":one", number(1))
        .expression_attribute_values(":epoch", number(epoch))
}
