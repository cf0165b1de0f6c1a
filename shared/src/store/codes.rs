//! Authorization codes (RFC 6749, section 4.1): good once, for a minute. What is kept of one is a hash.

use aws_sdk_dynamodb::types::Update;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    Item, key,
    logins::{Authenticated, login_key},
    sessions::{Opened, Sessions, opening},
    text,
    transaction::Transaction,
    users::{at_epoch, profile_key},
    with_key,
};
use crate::{
    auth::{Grant, Scopes, hash, random},
    aws,
    domain::{
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Actor, Session, User},
    },
    error::{Error, OAuthError},
};

/// How long a code is good, in seconds.
const CODE_SECONDS: i64 = 60;
const WRONG: Error =
    Error::OAuth(OAuthError::InvalidGrant("The code is wrong, used, expired, or another client's."));

/// What somebody has let a client do.
#[derive(Clone, Debug)]
pub struct Consent {
    /// The client.
    pub client_id: String,
    /// Where the code was sent.
    pub redirect_uri: RedirectUri,
    /// What it may do.
    pub scope: Scopes,
    /// The hash of what the client alone knows (PKCE, RFC 7636, method S256).
    pub code_challenge: String,
}

/// What a client shows to get its tokens.
pub struct Presented<'a> {
    /// The code.
    pub code: &'a str,
    /// Who it is.
    pub client_id: &'a str,
    /// Where the code was sent.
    pub redirect_uri: &'a str,
    /// What it alone knows.
    pub code_verifier: &'a str,
}

#[derive(Serialize, Deserialize)]
struct CodeItem {
    user_id: Id<User>,
    epoch: i64,
    client_id: String,
    redirect_uri: RedirectUri,
    scope: Scopes,
    code_challenge: String,
    /// The session that the code became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<Id<Session>>,
    /// The table's TTL attribute: seconds since 1970.
    expires_at: i64,
}

impl Sessions {
    /// A code for what a person has consented to; it comes to nothing where the account has changed since.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`] where the account has changed since.
    pub async fn authorize(
        &self,
        user: &Authenticated,
        consent: Consent,
        now: Timestamp,
    ) -> Result<String, Error> {
        let code = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
        let Consent { client_id, redirect_uri, scope, code_challenge } = consent;
        let item = CodeItem {
            user_id: user.user(),
            epoch: user.epoch(),
            client_id,
            redirect_uri,
            scope,
            code_challenge,
            session_id: None,
            expires_at: now.as_seconds() + CODE_SECONDS,
        };
        let item = with_key(serde_dynamo::to_item(item).map_err(Error::internal)?, code_key(&code));
        Transaction::new(&self.users.client, &self.users.table)
            .check(at_epoch(login_key(user.email()), user.epoch()), |_| Error::InvalidCredentials)?
            .create(item, |_| Error::internal("this code exists"))?
            .commit()
            .await?;
        Ok(code)
    }

    /// Exchanges a code for a session. One that is used again ends what it has become.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`].
    pub async fn exchange(
        &self,
        presented: &Presented<'_>,
        id: Id<Session>,
        now: Timestamp,
    ) -> Result<Opened, Error> {
        let code = self.unused(presented, now).await?;
        let challenge = hash(presented.code_verifier.as_bytes());
        let fits = code.expires_at > now.as_seconds()
            && code.client_id == presented.client_id
            && code.redirect_uri.as_str() == presented.redirect_uri
            && code.code_challenge == challenge;
        if !fits {
            return Err(WRONG);
        }
        let grant = Grant {
            subject: Actor::User(code.user_id),
            client_id: code.client_id,
            session: Some(id),
            scope: code.scope,
        };
        let (session, opened) = opening(id, code.user_id, code.epoch, grant, now)?;
        let used = Update::builder()
            .set_key(Some(code_key(presented.code)))
            .update_expression("SET session_id = :session")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(session_id)")
            .expression_attribute_values(":session", text(id));
        let committed = Transaction::new(&self.users.client, &self.users.table)
            .update(used, |_| Error::StaleVersion)?
            .check(at_epoch(profile_key(code.user_id), code.epoch), |_| WRONG)?
            .create(session, |_| Error::internal("a session of this id exists"))?
            .commit()
            .await;
        match committed {
            Ok(_) => Ok(opened),
            // Somebody else was quicker with the same code.
            Err(Error::StaleVersion) => self.unused(presented, now).await.and(Err(WRONG)),
            Err(failed) => Err(failed),
        }
    }

    /// What a code stands for, unless it was used before, which ends what it has become: one of the two who have used it
    /// must not have had it (RFC 6749, section 4.1.2).
    async fn unused(&self, presented: &Presented<'_>, now: Timestamp) -> Result<CodeItem, Error> {
        let get = self.users.client.get_item().table_name(&self.users.table).consistent_read(true);
        let item = get.set_key(Some(code_key(presented.code))).send().await.map_err(aws::judge)?.item;
        let code: CodeItem = serde_dynamo::from_item(item.ok_or(WRONG)?).map_err(Error::internal)?;
        match code.session_id {
            None => Ok(code),
            Some(session) => {
                self.end_reused(code.user_id, session, now).await?;
                Err(WRONG)
            }
        }
    }
}

fn code_key(code: &str) -> Item {
    key(format!("CODE#{}", hash(code.as_bytes())), "CODE")
}
