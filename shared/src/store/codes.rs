//! Authorization codes (RFC 6749, section 4.1): valid once, for a minute, and stored as hashes.

use std::time::Duration;

use aws_sdk_dynamodb::types::Update;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    logins::Authenticated,
    schema::Key,
    sessions::{Lifetime, OpenSession, Sessions, opening},
    text,
    transaction::Transaction,
    users::at_epoch,
};
use crate::{
    auth::{Scopes, hash, random},
    domain::{
        client::RedirectUri,
        id::Id,
        time::Timestamp,
        user::{Session, User},
    },
    error::{Error, OAuthError},
};

const EXPIRES_AFTER: Duration = Duration::from_secs(60);
const INVALID: Error = Error::OAuth(OAuthError::InvalidGrant(
    "The code is invalid, was already used, has expired, or was issued to another client.",
));

/// Consent of a user to the access of a client.
#[derive(Clone, Debug)]
pub struct Consent {
    pub client_id: String,
    pub redirect_uri: RedirectUri,
    pub scope: Scopes,
    /// Hash of the client's code verifier (PKCE, RFC 7636, method S256).
    pub code_challenge: String,
}

/// Request of a client to exchange a code for tokens.
pub struct CodeExchange<'a> {
    pub code: &'a str,
    pub client_id: &'a str,
    pub redirect_uri: &'a str,
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
    /// The session that the code was exchanged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_id: Option<Id<Session>>,
    /// TTL attribute, in seconds since the Unix epoch.
    expires_at: i64,
}

impl Sessions {
    /// Issues a code after a user's password was verified and they consented.
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
            expires_at: (now + EXPIRES_AFTER).as_seconds(),
        };
        let item = code_key(&code).on(serde_dynamo::to_item(item).map_err(Error::internal)?);
        Transaction::new(&self.users.client, &self.users.table)
            .check(at_epoch(&Key::Login(user.email().clone()), user.epoch()), |_| Error::InvalidCredentials)?
            .create(item, |_| Error::internal("this code exists"))?
            .commit()
            .await?;
        Ok(code)
    }

    /// Exchanges a code for a session. Using a code twice ends its session.
    ///
    /// # Errors
    /// [`OAuthError::InvalidGrant`].
    pub async fn exchange(
        &self,
        presented: &CodeExchange<'_>,
        id: Id<Session>,
        now: Timestamp,
    ) -> Result<OpenSession, Error> {
        let code = self.unused(presented, now).await?;
        if code.expires_at <= now.as_seconds() {
            return Err(INVALID);
        }
        let (session, opened) =
            opening(id, code.user_id, code.epoch, code.client_id, code.scope, &Lifetime::CUSTOMER, now)?;
        let used = Update::builder()
            .set_key(Some(code_key(presented.code).item()))
            .update_expression("SET session_id = :session")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(session_id)")
            .expression_attribute_values(":session", text(id));
        let committed = Transaction::new(&self.users.client, &self.users.table)
            .update(used, |_| Error::StaleVersion)?
            .check(at_epoch(&Key::Profile(code.user_id), code.epoch), |_| INVALID)?
            .create(session, |_| Error::internal("a session of this id exists"))?
            .commit()
            .await;
        match committed {
            Ok(_) => Ok(opened),
            // A concurrent request has used the same code.
            Err(Error::StaleVersion) => self.unused(presented, now).await.and(Err(INVALID)),
            Err(failed) => Err(failed),
        }
    }

    /// Loads an unused code of this client. If it was used before, one of its two users must have stolen it, so its session
    /// ends (RFC 6749, section 4.1.2). Someone without the client's redirect URI and verifier ends nothing.
    async fn unused(&self, presented: &CodeExchange<'_>, now: Timestamp) -> Result<CodeItem, Error> {
        let code: CodeItem = self.users.read(code_key(presented.code)).await?.ok_or(INVALID)?;
        let fits = code.client_id == presented.client_id
            && code.redirect_uri.as_str() == presented.redirect_uri
            && code.code_challenge == hash(presented.code_verifier.as_bytes());
        if !fits {
            return Err(INVALID);
        }
        match code.session_id {
            None => Ok(code),
            Some(session) => {
                self.end_reused(code.user_id, session, now).await?;
                Err(INVALID)
            }
        }
    }
}

fn code_key(code: &str) -> Key {
    Key::Code { hash: hash(code.as_bytes()) }
}
