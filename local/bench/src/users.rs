//! Users for the events: one with a known password and a token with all scopes, and others for the lists.

use emulators::dynamodb::Dynamo;
use runtime::keys::{self, KeyError};
use serde_json::{Value, json};
use shared::{
    auth::{
        Authority, Claims, FIRST_PARTY, Grant, KeySet, MailToken, RefreshToken, Role, Scopes, SigningKey,
    },
    domain::{
        id::{Entity, Id},
        time::Timestamp,
        user::{Actor, Client, EmailAddress, Registration, Reset, Session, User},
        validation::Violation,
    },
    password::{NewPassword, PasswordHash},
    store::clients::ClientSecret,
    telemetry,
};

use super::BenchError;

const USERS_TABLE: &str = "UsersTable";
/// E-mail address of the user with the token.
pub(super) const EMAIL: &str = "ada.lind@example.com";
/// Their password.
pub(super) const PASSWORD: &str = "seven lanterns by the quay";
/// Their next password, of the same strength.
pub(super) const OTHER_PASSWORD: &str = "nine gulls over the harbour";
/// Number of other users and of clients: more than a page of a list.
const OTHERS: u64 = 25;
/// Number of the token's session. Events have numbers from 1.
const SESSION: u64 = 0;
/// Creation time of everything, in milliseconds since 1970 and as text.
const THEN_MILLIS: i64 = 1_769_862_896_789;
const THEN: &str = "2026-01-31T12:34:56.789Z";
/// A time far in the future, in seconds since 1970.
const NEVER: &str = "4102444800";

pub(super) struct Users {
    hmac_keys: KeySet,
    hash: PasswordHash,
    id: Id<User>,
}

/// Returns the id of each client's secret.
pub fn secret() -> String {
    id::<ClientSecret>(1).to_string()
}

impl Users {
    /// Creates the accounts.
    pub fn open(dynamo: &Dynamo, hmac_keys: KeySet) -> Result<Self, BenchError> {
        let password =
            NewPassword::parse(PASSWORD, &[]).map_err(|fault| KeyError::Token(fault.to_string()))?;
        let hash = PasswordHash::of(&password).map_err(KeyError::from)?;
        let users = Self { hmac_keys, hash, id: keys::user(Role::Admin)? };
        users.open_account(dynamo)?;
        for number in 0..OTHERS {
            let (id, email) = (other(number), format!("customer-{number}@example.com"));
            put(dynamo, profile(&id, &email, Role::Customer))?;
            put(dynamo, users.login(&id, &email, Role::Customer))?;
            users.add_client(dynamo, number)?;
        }
        Ok(users)
    }

    /// Creates, or resets, the account of the user with the token, and the token's session.
    pub fn open_account(&self, dynamo: &Dynamo) -> Result<(), BenchError> {
        let id = self.id.to_string();
        put(dynamo, profile(&id, EMAIL, Role::Admin))?;
        put(dynamo, self.login(&id, EMAIL, Role::Admin))?;
        self.add_session(dynamo, SESSION).map(drop)
    }

    /// Returns the id of the user with the token.
    pub fn id(&self) -> Id<User> {
        self.id
    }

    /// Signs an access token with all scopes.
    pub fn token(&self, key: &SigningKey, issuer: &str) -> Result<String, KeyError> {
        let authority = Authority {
            subject: Actor::User(self.id),
            client_id: FIRST_PARTY.to_owned(),
            session: Some(id(SESSION)),
            // The account is reset to its first epoch again and again; no withdrawal reaches this token.
            epoch: i64::from(i32::MAX),
        };
        let grant = Grant { authority, scope: Role::Admin.scopes() };
        Ok(key.sign(&Claims::of(&grant, issuer, telemetry::now())?)?)
    }

    fn login(&self, id: &str, email: &str, role: Role) -> Value {
        json!({
            "pk": {"S": format!("LOGIN#{email}")},
            "sk": {"S": "LOGIN"},
            "user_id": {"S": id},
            "password": {"S": self.hash},
            "role": {"S": role.into_str()},
            "status": {"S": "active"},
            "epoch": {"N": "0"},
            "password_changed_at": {"S": THEN},
        })
    }

    /// Returns a pending registration as an item.
    pub fn registration(&self, number: u64) -> Value {
        let id: Id<Registration> = id(number);
        json!({
            "pk": {"S": format!("LOGIN#{}", new_email(number))},
            "sk": {"S": format!("REGISTRATION#{id}")},
            "name": {"S": "Nora New"},
            "password": {"S": self.hash},
            "expires_at": {"N": NEVER},
        })
    }

    /// Adds a pending registration. Returns its e-mail token.
    pub fn add_registration(&self, dynamo: &Dynamo, number: u64) -> Result<String, BenchError> {
        put(dynamo, self.registration(number))?;
        self.mail_token::<Registration>(number, &new_email(number))
    }

    /// Adds a pending password reset. Returns its e-mail token.
    pub fn add_reset(&self, dynamo: &Dynamo, number: u64) -> Result<String, BenchError> {
        let reset: Id<Reset> = id(number);
        put(
            dynamo,
            json!({
                "pk": {"S": format!("LOGIN#{EMAIL}")},
                "sk": {"S": format!("RESET#{reset}")},
                "created_at": {"S": telemetry::now()},
                "expires_at": {"N": NEVER},
            }),
        )?;
        self.mail_token::<Reset>(number, EMAIL)
    }

    fn mail_token<T: Entity>(&self, number: u64, email: &str) -> Result<String, BenchError> {
        let email = EmailAddress::parse(email).map_err(|fault| KeyError::Token(fault.to_string()))?;
        let token = MailToken::<T> { id: id(number), email };
        Ok(token.write(&self.hmac_keys, telemetry::now()).map_err(KeyError::from)?)
    }

    /// Adds a session. Returns its refresh token.
    pub fn add_session(&self, dynamo: &Dynamo, number: u64) -> Result<String, BenchError> {
        let session: Id<Session> = id(number);
        let token = RefreshToken::first(self.id, session).map_err(KeyError::from)?;
        put(
            dynamo,
            json!({
                "pk": {"S": format!("USER#{}", self.id)},
                "sk": {"S": format!("SESSION#{session}")},
                "client_id": {"S": FIRST_PARTY},
                "scope": {"S": Role::Admin.scopes()},
                "epoch": {"N": "0"},
                "token_hash": {"S": token.hash()},
                "created_at": {"S": THEN},
                "idle_for": {"N": "1800"},
                "idle_until": {"N": NEVER},
                "expires_at": {"N": NEVER},
            }),
        )?;
        Ok(token.write(&self.hmac_keys, telemetry::now()).map_err(KeyError::from)?)
    }

    /// Adds a client. Returns its id.
    pub fn add_client(&self, dynamo: &Dynamo, number: u64) -> Result<String, BenchError> {
        let client: Id<Client> = id(number);
        let scope = Scopes::parse("inventory:read inventory:write");
        put(
            dynamo,
            json!({
                "pk": {"S": format!("CLIENT#{client}")},
                "sk": {"S": "CLIENT"},
                "list": {"S": "CLIENT"},
                "id": {"S": client},
                "name": {"S": "Warehouse"},
                "scope": {"S": scope.map_err(|fault| KeyError::Token(fault.to_string()))?},
                "redirect_uris": {"L": []},
                "secrets": {"L": [{"M": {
                    "id": {"S": secret()},
                    "hash": {"S": "4wWhGFVBXAMlTwJ6KmzUpyGk7nMMWnLvBmfxCuJnkKE"},
                    "created_at": {"S": THEN},
                }}]},
                "epoch": {"N": "0"},
                "created_at": {"S": THEN},
                "created_by": {"S": self.id},
            }),
        )?;
        Ok(client.to_string())
    }
}

/// Returns the id of another user, whom staff reads and changes.
pub(super) fn other(number: u64) -> String {
    format!("usr_01k2{number:022}")
}

/// Returns the parsed id of [`other`].
pub(super) fn other_id(number: u64) -> Result<Id<User>, BenchError> {
    Ok(other(number).parse().map_err(|fault: Violation| KeyError::Token(fault.to_string()))?)
}

/// Returns an unused e-mail address.
pub(super) fn new_email(number: u64) -> String {
    format!("new-{number}@example.com")
}

fn profile(id: &str, email: &str, role: Role) -> Value {
    json!({
        "pk": {"S": format!("USER#{id}")},
        "sk": {"S": "PROFILE"},
        "list": {"S": "USER"},
        "id": {"S": id},
        "email": {"S": email},
        "name": {"S": "Ada Lind"},
        "phone": {"S": "+49 30 1234567"},
        "addresses": {"L": [{"M": {
            "name": {"S": "Ada Lind"},
            "line1": {"S": "Lindenstraße 7"},
            "city": {"S": "Berlin"},
            "postal_code": {"S": "10969"},
            "country": {"S": "DE"},
        }}]},
        "role": {"S": role.into_str()},
        "status": {"S": "active"},
        "email_verified": {"BOOL": true},
        "created_at": {"S": THEN},
        "updated_at": {"S": THEN},
        "version": {"N": "1"},
        "epoch": {"N": "0"},
    })
}

fn put(dynamo: &Dynamo, item: Value) -> Result<(), BenchError> {
    Ok(dynamo.put(USERS_TABLE, item)?)
}

/// Returns the creation time of everything.
pub(super) fn then() -> Timestamp {
    Timestamp::from_millis(THEN_MILLIS)
}

/// Returns the id of a number.
pub(super) fn id<T: Entity>(number: u64) -> Id<T> {
    Id::new(then(), number.into())
}
