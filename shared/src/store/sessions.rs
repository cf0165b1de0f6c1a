//! Sessions: each is one family of refresh tokens, of which one is good at a time.

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{ReturnValue, Update},
};
use futures_util::future;
use serde::{Deserialize, Serialize};

use super::{
    Item, key,
    logins::{Authenticated, login_key},
    number, text,
    transaction::Transaction,
    update_unless_refused,
    users::{Users, at_epoch, partition},
    with_key,
};
use crate::{
    auth::{Grant, KeySet, RefreshToken, Scopes},
    domain::{
        id::Id,
        time::Timestamp,
        user::{Actor, Session, User},
    },
    error::{Error, OAuthError},
    telemetry::{self, Level, Metric},
};

/// How long a session lasts, however often it is prolonged, in seconds.
const SESSION_SECONDS: i64 = 30 * 24 * 60 * 60;
/// For so many milliseconds a used refresh token gets the same successor again, so that a lost answer or a second tab
/// harms nobody.
const REPEAT_MILLIS: i64 = 10_000;
const WRONG: Error = Error::OAuth(OAuthError::InvalidGrant("The refresh token is wrong, used or expired."));

/// The sessions of users.
#[derive(Clone)]
pub struct Sessions {
    pub(super) users: Users,
}

/// A session as it lies in the table.
#[derive(Serialize, Deserialize)]
struct SessionItem {
    client_id: String,
    scope: Scopes,
    /// The account's count of ended sessions that it was begun under.
    epoch: i64,
    /// The hash of the one refresh token that is good. None where the session is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_hash: Option<String>,
    /// When the token before that one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_at: Option<Timestamp>,
    /// When the token before that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotated_before: Option<Timestamp>,
    created_at: Timestamp,
    /// The table's TTL attribute: seconds since 1970.
    expires_at: i64,
}

/// A session that has just begun or was prolonged: what its access tokens are made of, and its refresh token.
pub struct Opened {
    /// To whom, and what for.
    pub grant: Grant,
    /// The refresh token that is good from now on.
    pub refresh_token: RefreshToken,
}

impl Sessions {
    /// Begins a session for somebody whose password was right; it comes to nothing where the account has changed since.
    /// A hash of an older make is replaced at once.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] where the account has changed since.
    pub async fn begin(
        &self,
        user: &Authenticated,
        id: Id<Session>,
        grant: Grant,
        now: Timestamp,
    ) -> Result<Opened, Error> {
        let transaction = Transaction::new(&self.users.client, &self.users.table);
        let transaction = match user.renewed_hash() {
            None => transaction
                .check(at_epoch(login_key(user.email()), user.epoch()), |_| Error::InvalidCredentials)?,
            Some(hash) => {
                let renew = Update::builder()
                    .set_key(Some(login_key(user.email())))
                    .update_expression("SET password = :password")
                    .condition_expression("epoch = :epoch")
                    .expression_attribute_values(":password", text(hash.as_str()))
                    .expression_attribute_values(":epoch", number(user.epoch()));
                transaction.update(renew, |_| Error::InvalidCredentials)?
            }
        };
        let (item, opened) = opening(id, user.user(), user.epoch(), grant, now)?;
        transaction.create(item, |_| Error::internal("a session of this id exists"))?.commit().await?;
        Ok(opened)
    }

    /// Exchanges a refresh token for its successor, in one conditional write, and reads at the same time whether the
    /// account still stands. `scope`, where it is asked for, must be within the session's.
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
    ) -> Result<Opened, Error> {
        let presented = &RefreshToken::read(presented, keys).ok_or(WRONG)?;
        let successor = presented.successor(keys, now)?;
        let scopes: Vec<String> =
            scope.iter().flat_map(|scopes| scopes.iter()).map(|one| one.as_str().to_owned()).collect();
        let narrowed: String =
            (0..scopes.len()).map(|index| format!(" AND contains(#scope, :scope{index})")).collect();
        let mut write = self
            .users
            .client
            .update_item()
            .table_name(&self.users.table)
            .set_key(Some(session_key(presented.user, presented.session)))
            .update_expression(
                "SET token_hash = :next, rotated_before = if_not_exists(rotated_at, :now), rotated_at = :now",
            )
            .condition_expression(format!(
                "token_hash = :presented AND client_id = :client AND expires_at > :seconds{narrowed}"
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
        let (written, account) =
            future::join(update_unless_refused(write), self.users.account(presented.user)).await;
        let (session, token): (SessionItem, RefreshToken) = match written? {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                (serde_dynamo::from_item(item).map_err(Error::internal)?, successor)
            }
            Err(session) if session.is_empty() => return Err(WRONG),
            Err(session) => {
                let session: SessionItem = serde_dynamo::from_item(session).map_err(Error::internal)?;
                let token = self.repeated(presented, &session, client_id, scope, keys, now).await?;
                (session, token)
            }
        };
        let account = account?.filter(|account| account.epoch == session.epoch);
        account.ok_or(WRONG)?;
        let grant = Grant {
            subject: Actor::User(presented.user),
            client_id: session.client_id,
            session: Some(presented.session),
            scope: scope.cloned().unwrap_or(session.scope),
        };
        Ok(Opened { grant, refresh_token: token })
    }

    /// The successor of a token that was not the session's current one, if it was a moment ago. Else somebody has used
    /// a token twice: the thief or the owner, and nobody knows who, so the session ends (RFC 9700, section 4.14.2).
    async fn repeated(
        &self,
        presented: &RefreshToken,
        session: &SessionItem,
        client_id: &str,
        scope: Option<&Scopes>,
        keys: &KeySet,
        now: Timestamp,
    ) -> Result<RefreshToken, Error> {
        let over = session.expires_at <= now.as_seconds();
        let Some(current) = session.token_hash.as_deref().filter(|_| !over && session.client_id == client_id)
        else {
            return Err(WRONG);
        };
        if scope.is_some_and(|scope| !scope.are_within(&session.scope)) {
            return Err(Error::OAuth(OAuthError::InvalidScope));
        }
        let recent = |used_at: Timestamp| now.as_millis() - used_at.as_millis() <= REPEAT_MILLIS;
        if let Some(used_at) = session.rotated_at.filter(|used_at| recent(*used_at)) {
            let successor = presented.successor(keys, used_at)?;
            if successor.hash() == current {
                return Ok(successor);
            }
            // Its successor may have been used meanwhile.
            if let Some(before) = session.rotated_before.filter(|before| recent(*before)) {
                let successor = presented.successor(keys, before)?;
                if successor.successor(keys, used_at)?.hash() == current {
                    return Ok(successor);
                }
            }
        }
        self.end_reused(presented.user, presented.session, now).await?;
        Err(WRONG)
    }

    /// Ends a session at the wish of who holds a token of it. Its access tokens live out their minutes.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`] where it is not that client's.
    pub async fn revoke(
        &self,
        user: Id<User>,
        session: Id<Session>,
        client_id: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        const OTHER: Error =
            Error::OAuth(OAuthError::InvalidGrant("The token was issued to another client."));
        let update = self.ending(user, session, "ended_at", now);
        let Some(client_id) = client_id else {
            return super::unless_refused(update.send().await).map(drop);
        };
        let update = update
            .condition_expression("attribute_exists(token_hash) AND client_id = :client")
            .expression_attribute_values(":client", text(client_id));
        match update_unless_refused(update).await? {
            Err(session) if session.get("client_id").is_some_and(|other| *other != text(client_id)) => {
                Err(OTHER)
            }
            _ => Ok(()),
        }
    }

    /// Ends a session of which a token or a code was used twice. Its owner hears of it by mail.
    ///
    /// # Errors
    /// Only those of the store.
    pub(super) async fn end_reused(
        &self,
        user: Id<User>,
        session: Id<Session>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let what = "a token or code was used twice: its session ends";
        telemetry::event(Level::Warn, what, &session.to_string());
        if super::unless_refused(self.ending(user, session, "reused_at", now).send().await)?.is_some() {
            telemetry::count(Metric::TokensReused);
        }
        Ok(())
    }

    fn ending(
        &self,
        user: Id<User>,
        session: Id<Session>,
        moment: &str,
        now: Timestamp,
    ) -> UpdateItemFluentBuilder {
        let update = self.users.client.update_item().table_name(&self.users.table);
        update
            .set_key(Some(session_key(user, session)))
            .update_expression("SET #moment = :now REMOVE token_hash")
            .condition_expression("attribute_exists(token_hash)")
            .expression_attribute_names("#moment", moment)
            .expression_attribute_values(":now", text(now))
    }
}

pub(super) fn session_key(user: Id<User>, session: Id<Session>) -> Item {
    key(partition(user), format!("SESSION#{session}"))
}

/// A session that is to begin, as an item and as its owner gets it.
pub(super) fn opening(
    id: Id<Session>,
    user: Id<User>,
    epoch: i64,
    grant: Grant,
    now: Timestamp,
) -> Result<(Item, Opened), Error> {
    let refresh_token = RefreshToken::first(user, id)?;
    let session = SessionItem {
        client_id: grant.client_id.clone(),
        scope: grant.scope.clone(),
        epoch,
        token_hash: Some(refresh_token.hash()),
        rotated_at: None,
        rotated_before: None,
        created_at: now,
        expires_at: now.as_seconds() + SESSION_SECONDS,
    };
    let item = serde_dynamo::to_item(session).map_err(Error::internal)?;
    Ok((with_key(item, session_key(user, id)), Opened { grant, refresh_token }))
}
