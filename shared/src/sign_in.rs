//! The check of a password, the same wherever one is checked: counted first, limited, and as long for an account that
//! does not exist as for one that does.

use futures_util::future;

use crate::{
    auth::{KeySet, MailToken},
    config::{self, ConfigError},
    domain::{
        id::Entity,
        input::{Fault, Object},
        time::Timestamp,
        user::{self, Applicant, Email, Registration, Reset, Role},
    },
    error::Error,
    password::{NewPassword, Password, Verdict},
    store::{
        attempts::{Attempt, Attempts},
        logins::{Authenticated, PendingRegistration},
        users::{Account, Users},
    },
};

/// What somebody logs in with.
pub struct Credentials {
    /// Who they say they are.
    pub email: Email,
    /// What shall prove it.
    pub password: Password,
}

impl Credentials {
    /// Reads them from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let email = body.field("email").text(Email::parse);
        let password = body.field("password").text(Password::parse);
        Some(Self { email: email?, password: password? })
    }

    /// Takes them as a form has them; none where they can't be any.
    pub fn of(email: &str, password: &str) -> Option<Self> {
        let (email, password) = (Email::parse(email).ok(), Password::parse(password).ok());
        Some(Self { email: email?, password: password? })
    }
}

/// What somebody sends to open an account.
pub struct NewAccount {
    /// Who they are.
    pub applicant: Applicant,
    /// What they will log in with.
    pub password: NewPassword,
}

impl NewAccount {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let email = body.field("email").text(Email::parse);
        let name = body.field("name").text(user::name);
        let about = [email.as_ref().map_or("", Email::as_str), name.as_deref().unwrap_or("")];
        let password = body.field("password").text(|text| NewPassword::parse(text, &about));
        Some(Self { applicant: Applicant { email: email?, name: name? }, password: password? })
    }
}

/// What somebody sends to prove a registration.
pub struct Proof {
    /// What the mail has brought.
    pub token: MailToken<Registration>,
    /// The password that was registered.
    pub password: Password,
}

impl Proof {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object, keys: &KeySet) -> Option<Self> {
        let token = body.field("token").text(|text| mail_token(text, keys));
        let password = body.field("password").text(Password::parse);
        Some(Self { token: token?, password: password? })
    }
}

/// What somebody sends who has forgotten their password.
pub struct NewStart {
    /// What the mail has brought.
    pub token: MailToken<Reset>,
    /// What they will log in with.
    pub password: NewPassword,
}

impl NewStart {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object, keys: &KeySet) -> Option<Self> {
        let token = body.field("token").text(|text| mail_token::<Reset>(text, keys));
        let about = [token.as_ref().map_or("", |token| token.email.as_str())];
        let password = body.field("new_password").text(|text| NewPassword::parse(text, &about));
        Some(Self { token: token?, password: password? })
    }
}

fn mail_token<T: Entity>(text: &str, keys: &KeySet) -> Result<MailToken<T>, Fault> {
    MailToken::read(text, keys).ok_or(Fault::Format("a token from one of our mails"))
}

/// What somebody sends who wants another password.
pub struct PasswordChange {
    /// The one that they have.
    pub current: Password,
    /// The one that they want.
    pub new: NewPassword,
}

impl PasswordChange {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let current = body.field("current_password").text(Password::parse);
        let new = body.field("new_password").text(|text| NewPassword::parse(text, &[]));
        Some(Self { current: current?, new: new? })
    }
}

/// Who becomes an admin when they open their account: how a shop gets its first.
pub struct FirstAdmin(Option<Email>);

/// Opens it.
///
/// # Errors
/// Where `ADMIN_EMAIL` is set, but no e-mail address.
pub fn first_admin() -> Result<FirstAdmin, ConfigError> {
    let email = config::optional("ADMIN_EMAIL").map(|email| Email::parse(&email));
    let unusable =
        |fault: Fault| ConfigError::Unusable { name: "ADMIN_EMAIL", reason: format!("it {fault}") };
    email.transpose().map(FirstAdmin).map_err(unusable)
}

impl FirstAdmin {
    /// The role that a new account gets.
    pub fn role_of(&self, email: &Email) -> Role {
        if self.0.as_ref() == Some(email) { Role::Admin } else { Role::Customer }
    }
}

/// The check of passwords.
pub struct SignIn {
    users: Users,
    attempts: Attempts,
}

impl SignIn {
    /// What it takes: the accounts, and the counts of attempts.
    pub fn new(users: Users, attempts: Attempts) -> Self {
        Self { users, attempts }
    }

    /// The proof that somebody knows the password of an account that may log in, and the attempt that it was.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], alike for an unknown e-mail, a wrong password, a disabled account;
    /// [`Error::TooManyAttempts`].
    pub async fn check(
        &self,
        credentials: &Credentials,
        address: &str,
        now: Timestamp,
    ) -> Result<(Authenticated, Attempt), Error> {
        let Credentials { email, password } = credentials;
        let (attempt, login) =
            future::join(self.attempts.count(email, address, now), self.users.login(email)).await;
        let (attempt, login) = (attempt?, login?);
        Ok((Authenticated::by_password(email, login, password)?, attempt))
    }

    /// The proof that who has a token of an account knows its password, too.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub async fn check_own(
        &self,
        account: &Account,
        password: Password,
        address: &str,
        now: Timestamp,
    ) -> Result<(Authenticated, Attempt), Error> {
        let credentials = Credentials { email: account.user.email.clone(), password };
        self.check(&credentials, address, now).await
    }

    /// The partitions that hold what is known of attempts at an account.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the keys of their pseudonyms can't be read.
    pub async fn traces(&self, email: &Email, now: Timestamp) -> Result<Vec<String>, Error> {
        self.attempts.traces(email, now).await
    }

    /// The registration that a mailed token is for, if its password is known as well: who has somebody else's mail, or
    /// has registered somebody else's address, lacks one of the two.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`], [`Error::TooManyAttempts`]; [`Error::TokenExpired`] where it is used up.
    pub async fn check_registration(
        &self,
        token: &MailToken<Registration>,
        password: &Password,
        address: &str,
        now: Timestamp,
    ) -> Result<(PendingRegistration, Attempt), Error> {
        let (attempt, pending) =
            future::join(self.attempts.count(&token.email, address, now), self.users.registration(token))
                .await;
        let (attempt, pending) = (attempt?, pending?);
        let pending = pending.filter(|pending| pending.is_open(now)).ok_or(Error::TokenExpired)?;
        if pending.password.verify(password)? == Verdict::Wrong {
            return Err(Error::InvalidCredentials);
        }
        Ok((pending, attempt))
    }

    /// Does something, and at the same time forgets the attempts that led to it.
    ///
    /// # Errors
    /// Those of what is done.
    pub async fn forgetting<T>(
        &self,
        attempt: &Attempt,
        now: Timestamp,
        done: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        future::join(done, self.attempts.forget(attempt, now)).await.0
    }
}
