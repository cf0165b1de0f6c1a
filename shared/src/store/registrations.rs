//! Registrations that wait for the verification of their e-mail address.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    logins::opening_login,
    schema::Key,
    transaction::Transaction,
    users::{Users, delete_existing, opening_profile},
};
use crate::{
    auth::MailToken,
    domain::{
        id::Id,
        time::Timestamp,
        user::{Applicant, Registration, Role, User},
    },
    error::Error,
    password::PasswordHash,
};

const EXPIRES_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A registration whose e-mail address is not verified yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingRegistration {
    name: String,
    pub password: PasswordHash,
    expires_at: i64,
}

impl PendingRegistration {
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.expires_at > now.as_seconds()
    }
}

impl Users {
    /// Stores a registration until its e-mail address is verified. mail-send sends the mail on the stream record.
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
            expires_at: (now + EXPIRES_AFTER).as_seconds(),
        };
        let item = serde_dynamo::to_item(pending).map_err(Error::internal)?;
        self.put(Key::Registration(applicant.email.clone(), id).on(item)).await
    }

    /// Loads the registration that a mailed token belongs to.
    pub async fn registration(
        &self,
        token: &MailToken<Registration>,
    ) -> Result<Option<PendingRegistration>, Error> {
        self.read(Key::Registration(token.email.clone(), token.id)).await
    }

    /// Opens the account of a registration.
    ///
    /// # Errors
    /// [`Error::TokenExpired`] if the registration is used up, or the e-mail address has an account by now.
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
            .delete(delete_existing(&Key::Registration(token.email.clone(), token.id)), |_| {
                Error::TokenExpired
            })?
            .commit()
            .await
            .map(drop)
    }
}
