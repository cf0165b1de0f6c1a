//! Who is calling and what they may do: scopes, tokens of every kind, and the keys that they are made with.
//!
//! A proof ([`Staff`], [`Customer`]) can't be made outside of this module, so a function of the store that takes one
//! can't be called without its check.

mod key_set;
mod mail_token;
mod refresh_token;
mod token;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use key_set::{Key, KeySet};
pub(crate) use key_set::{hash, random};
pub use mail_token::MailToken;
pub use refresh_token::RefreshToken;
pub use token::{ACCESS_TOKEN_SECONDS, Claims, Jwks, PublicKeys, SigningKey, verify};

pub use crate::domain::user::Role;
use crate::{
    domain::{
        id::Id,
        input::Fault,
        user::{Actor, Session, User},
    },
    error::Error,
};

/// What an access token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its own name, and api's words for it stand in as_str")]
pub enum Scope {
    ProductsWrite,
    InventoryRead,
    InventoryWrite,
    OrdersOwn,
    OrdersRead,
    OrdersWrite,
    PaymentsWrite,
    ProfileRead,
    Account,
    UsersRead,
    UsersWrite,
    ClientsWrite,
}

impl Scope {
    /// All that there are.
    pub const ALL: [Self; 12] = [
        Self::ProductsWrite,
        Self::InventoryRead,
        Self::InventoryWrite,
        Self::OrdersOwn,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::PaymentsWrite,
        Self::ProfileRead,
        Self::Account,
        Self::UsersRead,
        Self::UsersWrite,
        Self::ClientsWrite,
    ];
    /// What a customer's own session allows. [`Account`](Self::Account) comes with no other way in.
    const CUSTOMER: [Self; 3] = [Self::OrdersOwn, Self::ProfileRead, Self::Account];
    /// What running the shop takes.
    const STAFF: [Self; 7] = [
        Self::ProductsWrite,
        Self::InventoryRead,
        Self::InventoryWrite,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::PaymentsWrite,
        Self::UsersRead,
    ];
    /// What a customer can let an app do in their name. It can neither pay nor touch the account.
    pub const DELEGABLE: [Self; 2] = [Self::OrdersOwn, Self::ProfileRead];
    /// What a program can do in its own name.
    pub const MACHINE: [Self; 7] = Self::STAFF;

    /// As tokens and the contract write it. None is part of another.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProductsWrite => "products:write",
            Self::InventoryRead => "inventory:read",
            Self::InventoryWrite => "inventory:write",
            Self::OrdersOwn => "orders:own",
            Self::OrdersRead => "orders:read",
            Self::OrdersWrite => "orders:write",
            Self::PaymentsWrite => "payments:write",
            Self::ProfileRead => "profile:read",
            Self::Account => "account",
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::ClientsWrite => "clients:write",
        }
    }
}

/// A set of scopes, written with spaces between them (RFC 6749, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Reads one or more of them, each once.
    ///
    /// # Errors
    /// [`Fault::Format`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        const FORM: Fault = Fault::Format("scopes of the shop, each once, with spaces between them");
        let mut scopes = Vec::new();
        for name in text.split(' ') {
            let scope = Scope::ALL.into_iter().find(|scope| scope.as_str() == name).ok_or(FORM)?;
            if scopes.contains(&scope) {
                return Err(FORM);
            }
            scopes.push(scope);
        }
        Ok(Self(scopes))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// Whether all of them are among those.
    pub fn are_among(&self, others: &[Scope]) -> bool {
        self.0.iter().all(|scope| others.contains(scope))
    }

    /// Whether all of them are in another set.
    pub fn are_within(&self, others: &Self) -> bool {
        self.are_among(&others.0)
    }
}

impl From<&[Scope]> for Scopes {
    fn from(scopes: &[Scope]) -> Self {
        Self(scopes.to_vec())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join(" "))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Role {
    /// What a session of somebody with this role allows.
    pub fn scopes(self) -> Scopes {
        use Scope::{ClientsWrite, UsersWrite};
        Scopes(match self {
            Self::Customer => Scope::CUSTOMER.to_vec(),
            Self::Staff => [&Scope::CUSTOMER[..], &Scope::STAFF].concat(),
            Self::Admin => [&Scope::CUSTOMER[..], &Scope::STAFF, &[UsersWrite, ClientsWrite]].concat(),
        })
    }
}

/// To whom a token is given, and what for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Whose token it is.
    pub subject: Actor,
    /// The OAuth client that it is issued to.
    pub client_id: String,
    /// The session that it belongs to, if a person began one.
    pub session: Option<Id<Session>>,
    /// What it allows.
    pub scope: Scopes,
}

/// The OAuth client that the shop's own front is, for sessions that begin with a password.
pub const FIRST_PARTY: &str = "storefront";

/// Somebody, or some program, whose token has the scope that was asked for.
#[derive(Clone, Debug)]
pub struct Staff {
    actor: Actor,
}

impl Staff {
    /// Who it is.
    pub fn id(&self) -> Actor {
        self.actor
    }
}

/// A person whose token has the scope that was asked for, in their own affairs.
#[derive(Clone, Debug)]
pub struct Customer {
    id: Id<User>,
    session: Option<Id<Session>>,
}

impl Customer {
    /// Who it is.
    pub fn id(&self) -> Id<User> {
        self.id
    }

    /// The session that they are calling from.
    pub fn session(&self) -> Option<Id<Session>> {
        self.session
    }
}

/// Somebody who may reach an order: its customer, or whoever may reach all.
#[derive(Clone, Debug)]
pub enum OrderAccess {
    /// One's own.
    Own(Customer),
    /// Any.
    Any(Staff),
}

impl OrderAccess {
    /// Who it is.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Own(customer) => Actor::User(customer.id()),
            Self::Any(staff) => staff.id(),
        }
    }

    /// Whether that customer's orders are in reach.
    pub fn reaches(&self, customer: Id<User>) -> bool {
        match self {
            Self::Own(own) => own.id() == customer,
            Self::Any(_) => true,
        }
    }
}

/// What a valid access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    subject: Actor,
    session: Option<Id<Session>>,
    scope: String,
}

impl Access {
    /// The proof that the caller may do what needs `scope`.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn staff(&self, scope: Scope) -> Result<Staff, Error> {
        self.allows(scope)?;
        Ok(Staff { actor: self.subject })
    }

    /// The proof that the caller may do, for themselves, what needs `scope`.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`], also for a program: it has no affairs of its own.
    pub fn customer(&self, scope: Scope) -> Result<Customer, Error> {
        self.allows(scope)?;
        match self.subject {
            Actor::User(id) => Ok(Customer { id, session: self.session }),
            Actor::Client(_) => Err(Error::InsufficientScope(scope.as_str())),
        }
    }

    /// The proof that the caller may reach orders: any, with `scope`; else their own.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn orders(&self, scope: Scope) -> Result<OrderAccess, Error> {
        match (self.staff(scope), self.subject) {
            (Ok(staff), _) => Ok(OrderAccess::Any(staff)),
            (Err(_), Actor::User(_)) => self.customer(Scope::OrdersOwn).map(OrderAccess::Own),
            (Err(refused), Actor::Client(_)) => Err(refused),
        }
    }

    /// The session that the token belongs to, and whose it is.
    pub fn session(&self) -> Option<(Id<User>, Id<Session>)> {
        match self.subject {
            Actor::User(id) => self.session.map(|session| (id, session)),
            Actor::Client(_) => None,
        }
    }

    fn allows(&self, scope: Scope) -> Result<(), Error> {
        let granted = self.scope.split(' ').any(|granted| granted == scope.as_str());
        if granted { Ok(()) } else { Err(Error::InsufficientScope(scope.as_str())) }
    }
}

/// Why a token does not open the door.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names a key that is not, or not yet, known here.
    UnknownKey,
    /// It is damaged, forged, expired, or meant for somebody else.
    Invalid,
}
