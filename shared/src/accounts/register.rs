//! Registers a new account.

use crate::{
    domain::{
        id::Id,
        time::Timestamp,
        user::{self, Applicant, EmailAddress, Registration},
        validation::Object,
    },
    error::Error,
    password::{NewPassword, PasswordHash},
    store::users::Users,
};

/// Request to open an account.
pub struct NewAccount {
    applicant: Applicant,
    password: NewPassword,
}

impl NewAccount {
    pub fn read(body: &mut Object) -> Option<Self> {
        let email = body.field("email").text(EmailAddress::parse);
        let name = body.field("name").text(user::name);
        let known = [email.as_ref().map_or("", EmailAddress::as_str), name.as_deref().unwrap_or("")];
        let password = body.field("password").text(|text| NewPassword::parse(text, &known));
        Some(Self { applicant: Applicant { email: email?, name: name? }, password: password? })
    }
}

/// Stores a registration. mail-send asks the owner of the e-mail address to verify it.
pub async fn register(
    users: &Users,
    NewAccount { applicant, password }: NewAccount,
    id: Id<Registration>,
    now: Timestamp,
) -> Result<(), Error> {
    users.register(&applicant, PasswordHash::of(&password)?, id, now).await
}
