//! The users of the store: one whose password is known and whose token allows everything, others for the lists, and
//! what the events for a user's operations need to find there.

use emulators::dynamodb::Dynamo;
use runtime::keys::{self, KeyError};

use serde_json::{Value, json};
use shared::{
    auth::{Claims, FIRST_PARTY, Grant, KeySet, MailToken, RefreshToken, Role, Scopes, SigningKey},
    domain::{
        id::{Entity, Id},
        time::Timestamp,
        user::{Actor, Client, EmailAddress, Registration, Reset, Session, User},
        validation::Violation,
    },
    password::{NewPassword, PasswordHash},
    telemetry,
};

use super::BenchError;

const USERS_TABLE: &str = "UsersTable";
/// The address of the user whose token it is.
pub(super) const EMAIL: &str = "ada.lind@example.com";
/// Their password.
pub(super) const PASSWORD: &str = "seven lanterns by the quay";
/// The one that they may change it to, of the same strength.
pub(super) const OTHER_PASSWORD: &str = "nine gulls over the harbour";
/// How many others there are, and how many clients: more than a page of a list.
const OTHERS: u64 = 25;
/// The number of the session that the token belongs to. Events have numbers from 1.
const SESSION: u64 = 0;
/// When all of it began, in milliseconds since 1970, and as it is written.
const THEN_MILLIS: i64 = 1_769_862_896_789;
const THEN: &str = "2026-01-31T12:34:56.789Z";
/// Seconds since 1970 that lie far ahead.
const NEVER: &str = "4102444800";

/// The users, in a store of their own.
pub(super) struct Users {
    hmac_keys: KeySet,
    hash: PasswordHash,
    id: Id<User>,
}

impl Users {
    /// Opens the accounts.
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

    /// Opens the account of the user whose token it is, and the token's session, if need be once more.
    pub fn open_account(&self, dynamo: &Dynamo) -> Result<(), BenchError> {
        let id = self.id.to_string();
        put(dynamo, profile(&id, EMAIL, Role::Admin))?;
        put(dynamo, self.login(&id, EMAIL, Role::Admin))?;
        self.add_session(dynamo, SESSION).map(drop)
    }

    /// Who the user is whose token it is.
    pub fn id(&self) -> Id<User> {
        self.id
    }

    /// An access token for everything, as logging in gives it.
    pub fn token(&self, key: &SigningKey, issuer: &str) -> Result<String, KeyError> {
        let grant = Grant {
            subject: Actor::User(self.id),
            client_id: FIRST_PARTY.to_owned(),
            session: Some(id(SESSION)),
            scope: Role::Admin.scopes(),
        };
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

    /// A registration that waits for its e-mail to be proven, as an item.
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

    /// Has a registration wait, and gives the token that proves its e-mail.
    pub fn add_registration(&self, dynamo: &Dynamo, number: u64) -> Result<String, BenchError> {
        put(dynamo, self.registration(number))?;
        self.mail_token::<Registration>(number, &new_email(number))
    }

    /// Has a request for a new password wait, and gives the token that allows it.
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

    /// Begins a session, and gives its refresh token.
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
                "expires_at": {"N": NEVER},
            }),
        )?;
        Ok(token.write(&self.hmac_keys, telemetry::now()).map_err(KeyError::from)?)
    }

    /// Registers a client, and gives its id.
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
                "secret_hash": {"S": "4wWhGFVBXAMlTwJ6KmzUpyGk7nMMWnLvBmfxCuJnkKE"},
                "created_at": {"S": THEN},
                "created_by": {"S": self.id},
            }),
        )?;
        Ok(client.to_string())
    }
}

/// The id of one of the others, whom the staff reads and changes.
pub(super) fn other(number: u64) -> String {
    format!("usr_01k2{number:022}")
}

/// [`other`], read.
pub(super) fn other_id(number: u64) -> Result<Id<User>, BenchError> {
    Ok(other(number).parse().map_err(|fault: Violation| KeyError::Token(fault.to_string()))?)
}

/// An address that nobody has used before.
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

/// When all of it began.
pub(super) fn then() -> Timestamp {
    Timestamp::from_millis(THEN_MILLIS)
}

/// The id of that number.
pub(super) fn id<T: Entity>(number: u64) -> Id<T> {
    Id::new(then(), number.into())
}
