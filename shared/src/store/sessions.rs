//! Sessions. Each is a family of refresh tokens, of which one is valid at a time.

use std::time::Duration;

use aws_sdk_dynamodb::types::{ReturnValue, Update, builders::UpdateBuilder};
use futures_util::future;
use serde::{Deserialize, Serialize};

use super::{
    Item,
    logins::Authenticated,
    number,
    schema::Key,
    text,
    transaction::Transaction,
    update_if,
    users::{Users, at_epoch},
    withdrawals::Withdrawal,
};
use crate::{
    auth::{Authority, FIRST_PARTY, Grant, KeySet, RefreshToken, Scopes},
    domain::{
        id::Id,
        time::Timestamp,
        user::{Actor, Role, Session, User},
    },
    error::{Error, OAuthError},
    telemetry::{self, Metric},
};

/// Duration of a session.
pub(super) struct Lifetime {
    /// It ends after this time, however often it is refreshed.
    absolute: Duration,
    /// It ends if it is not refreshed for this time.
    idle: Duration,
}

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Lifetime {
    /// Of a customer, and of an app that acts for a user.
    pub const CUSTOMER: Self = Self { absolute: MONTH, idle: MONTH };
    /// Of staff, within a working day (OWASP ASVS 5.0, 7.3).
    const STAFF: Self =
        Self { absolute: Duration::from_secs(12 * 60 * 60), idle: Duration::from_secs(30 * 60) };

    fn of(role: Role) -> Self {
        match role {
            Role::Customer => Self::CUSTOMER,
            Role::Staff | Role::Admin => Self::STAFF,
        }
    }
}

/// A used refresh token returns the same successor for this time, so that a lost response or a second browser tab does not
/// end the session.
const REPEATABLE_FOR: Duration = Duration::from_secs(10);
const INVALID: Error =
    Error::OAuth(OAuthError::InvalidGrant("The refresh token is invalid, was already used, or has expired."));

/// Access to sessions.
#[derive(Clone)]
pub struct Sessions {
    pub(super) users: Users,
}

/// A session as the table holds it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionItem {
    client_id: String,
    scope: Scopes,
    /// The account's epoch when the session began.
    epoch: i64,
    /// Hash of the valid refresh token. Absent once the session has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_hash: Option<String>,
    /// When the previous token was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<Timestamp>,
    /// When the token before that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_before: Option<Timestamp>,
    /// When the session ended because one of its tokens was used twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_at: Option<Timestamp>,
    created_at: Timestamp,
    /// The session ends if it is not refreshed for so many seconds.
    idle_for: u64,
    /// When it ends unless it is refreshed, in seconds since the Unix epoch.
    idle_until: i64,
    /// TTL attribute, in seconds since the Unix epoch.
    expires_at: i64,
}

/// A session that has just begun or was refreshed.
pub struct OpenSession {
    /// The grant for its access tokens.
    pub grant: Grant,
    pub refresh_token: RefreshToken,
}

impl Sessions {
    /// Begins a session of the shop's own storefront after a password was verified, and renews the password's hash if its parameters are outdated.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] if the account has changed since.
    pub async fn begin(
        &self,
        user: &Authenticated,
        id: Id<Session>,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let login = Key::Login(user.email().clone());
        let transaction = Transaction::new(&self.users.client, &self.users.table);
        let transaction = match user.renewed_hash() {
            None => transaction.check(at_epoch(&login, user.epoch()), |_| Error::InvalidCredentials)?,
            Some(hash) => {
                let renew = Update::builder()
                    .set_key(Some(login.item()))
                    .update_expression("SET password = :password")
                    .condition_expression("epoch = :epoch")
                    .expression_attribute_values(":password", text(hash.as_str()))
                    .expression_attribute_values(":epoch", number(user.epoch()));
                transaction.update(renew, |_| Error::InvalidCredentials)?
            }
        };
        let (client_id, scope) = (FIRST_PARTY.to_owned(), user.role().scopes());
        let lifetime = Lifetime::of(user.role());
        let (item, opened) = opening(id, user.user(), user.epoch(), client_id, scope, &lifetime, now)?;
        transaction.create(item, |_| Error::internal("a session of this id exists"))?.commit().await?;
        Ok(opened)
    }

    /// Exchanges a refresh token for its successor in one conditional write. Reads the account's epoch at the same time.
    /// `scope`, if requested, must be within the session's.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`], [`OAuthError::InvalidScope`].
    pub async fn rotate(
        &self,
        presented: &str,
        client_id: &str,
        scope: Option<&Scopes>,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let presented = &RefreshToken::read(presented, keys).ok_or(INVALID)?;
        let successor = presented.successor(keys, now)?;
        let scopes: Vec<String> =
            scope.iter().flat_map(|scopes| scopes.iter()).map(|one| one.into_str().to_owned()).collect();
        let narrowed: String =
            (0..scopes.len()).map(|index| format!(" AND contains(#scope, :scope{index})")).collect();
        let mut write = self
            .users
            .client
            .update_item()
            .table_name(&self.users.table)
            .set_key(Some(Key::Session(presented.user, presented.session).item()))
            .update_expression(
                "SET token_hash = :next, rotated_before = if_not_exists(rotated_at, :now), rotated_at = :now, \
                 idle_until = idle_for + :seconds",
            )
            .condition_expression(format!(
                "token_hash = :presented AND client_id = :client AND expires_at > :seconds AND idle_until > :seconds{narrowed}"
            ))
            .expression_attribute_values(":presented", text(presented.hash()))
            .expression_attribute_values(":next", text(successor.hash()))
            .expression_attribute_values(":client", text(client_id))
            .expression_attribute_values(":now", text(now))
            .expression_attribute_values(":seconds", number(now.as_seconds()))
            .return_values(ReturnValue::AllNew);
        if !scopes.is_empty() {
            write = write.expression_attribute_names("#scope", "scope");
        }
        for (index, scope) in scopes.into_iter().enumerate() {
            write = write.expression_attribute_values(format!(":scope{index}"), text(scope));
        }
        let (written, account) = future::join(update_if(write), self.users.account(presented.user)).await;
        let (session, token): (SessionItem, RefreshToken) = match written? {
            Ok(answer) => {
                let session =
                    answer.attributes.ok_or_else(|| Error::internal("an update returned no item"))?;
                (serde_dynamo::from_item(session).map_err(Error::internal)?, successor)
            }
            Err(None) => return Err(INVALID),
            Err(Some(session)) => {
                let session: SessionItem = serde_dynamo::from_item(session).map_err(Error::internal)?;
                let token = self.repeated(presented, &session, client_id, scope, keys, now).await?;
                (session, token)
            }
        };
        let account = account?.filter(|account| account.epoch == session.epoch);
        account.ok_or(INVALID)?;
        let authority = Authority {
            subject: Actor::User(presented.user),
            client_id: session.client_id,
            session: Some(presented.session),
            epoch: session.epoch,
        };
        let grant = Grant { authority, scope: scope.cloned().unwrap_or(session.scope) };
        Ok(OpenSession { grant, refresh_token: token })
    }

    /// Returns the successor of a token that was the session's valid one a moment ago. Otherwise the token was stolen, and
    /// thief and owner can't be told apart, so the session ends (RFC 9700, section 4.14.2).
    async fn repeated(
        &self,
        presented: &RefreshToken,
        session: &SessionItem,
        client_id: &str,
        scope: Option<&Scopes>,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<RefreshToken, Error> {
        let over = session.expires_at.min(session.idle_until) <= now.as_seconds();
        let Some(current) = session.token_hash.as_deref().filter(|_| !over && session.client_id == client_id)
        else {
            return Err(INVALID);
        };
        if scope.is_some_and(|scope| !scope.are_within(&session.scope)) {
            return Err(Error::OAuth(OAuthError::InvalidScope));
        }
        let recent = |used_at: Timestamp| now.since(used_at) <= REPEATABLE_FOR;
        if let Some(used_at) = session.rotated_at.filter(|used_at| recent(*used_at)) {
            let successor = presented.successor(keys, used_at)?;
            if successor.hash() == current {
                return Ok(successor);
            }
            // The successor may have been used since.
            if let Some(before) = session.rotated_before.filter(|before| recent(*before)) {
                let successor = presented.successor(keys, before)?;
                if successor.successor(keys, used_at)?.hash() == current {
                    return Ok(successor);
                }
            }
        }
        self.end_reused(presented.user, presented.session, now).await?;
        Err(INVALID)
    }

    /// Ends a session and its access tokens on request of a client that holds one of its tokens.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`] if the session is another client's.
    pub async fn revoke(
        &self,
        user: Id<User>,
        session: Id<Session>,
        client_id: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        const OTHER: Error =
            Error::OAuth(OAuthError::InvalidGrant("The token was issued to another client."));
        let mut update = ending(user, session, "ended_at", now);
        if let Some(client_id) = client_id {
            update = update
                .condition_expression("attribute_exists(token_hash) AND client_id = :client")
                .expression_attribute_values(":client", text(client_id));
        }
        let is_other = |item: &Item| {
            client_id.is_some_and(|own| item.get("client_id").is_some_and(|other| *other != text(own)))
        };
        match self.end(user, session, update, now).await? {
            Some(item) if is_other(&item) => Err(OTHER),
            _ => Ok(()),
        }
    }

    /// Ends a session whose token or code was used twice. mail-send tells the owner.
    pub(super) async fn end_reused(
        &self,
        user: Id<User>,
        session: Id<Session>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let what = "ended a session: a token or code was used twice";
        telemetry::warn(what, &session.to_string());
        let update = ending(user, session, "reused_at", now);
        if self.end(user, session, update, now).await?.is_none() {
            telemetry::count(Metric::TokensReused);
        }
        Ok(())
    }

    /// Ends a session and its access tokens. Returns the item that refused it: empty if there is no such session.
    async fn end(
        &self,
        user: Id<User>,
        session: Id<Session>,
        update: UpdateBuilder,
        now: Timestamp,
    ) -> Result<Option<Item>, Error> {
        let transaction = Transaction::new(&self.users.client, &self.users.table)
            .update(update, |_| Error::StaleVersion)?
            .withdraw(&Withdrawal::Session { user, session }, &self.users.common, now)?;
        match transaction.try_commit().await? {
            Ok(_) => Ok(None),
            Err(failed) => Ok(Some(failed.into_iter().find_map(|one| one.item).unwrap_or_else(Item::new))),
        }
    }
}

fn ending(user: Id<User>, session: Id<Session>, moment: &str, now: Timestamp) -> UpdateBuilder {
    Update::builder()
        .set_key(Some(Key::Session(user, session).item()))
        .update_expression("SET #moment = :now REMOVE token_hash")
        .condition_expression("attribute_exists(token_hash)")
        .expression_attribute_names("#moment", moment)
        .expression_attribute_values(":now", text(now))
}

/// Makes a session that is to begin, and the item to store.
pub(super) fn opening(
    id: Id<Session>,
    user: Id<User>,
    epoch: i64,
    client_id: String,
    scope: Scopes,
    lifetime: &Lifetime,
    now: Timestamp,
) -> Result<(Item, OpenSession), Error> {
    let refresh_token = RefreshToken::first(user, id)?;
    let authority =
        Authority { subject: Actor::User(user), client_id: client_id.clone(), session: Some(id), epoch };
    let grant = Grant { authority, scope: scope.clone() };
    let session = SessionItem {
        client_id,
        scope,
        epoch,
        token_hash: Some(refresh_token.hash()),
        rotated_at: None,
        rotated_before: None,
        reused_at: None,
        created_at: now,
        idle_for: lifetime.idle.as_secs(),
        idle_until: (now + lifetime.idle).as_seconds(),
        expires_at: (now + lifetime.absolute).as_seconds(),
    };
    let item = serde_dynamo::to_item(session).map_err(Error::internal)?;
    Ok((Key::Session(user, id).on(item), OpenSession { grant, refresh_token }))
}
