//! Scopes, grants, and proofs of who is calling.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::{
    domain::{
        id::Id,
        user::{Actor, Role, Session, User},
        validation::Violation,
    },
    error::Error,
};

/// Permission that an access token carries. No scope contains another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray, VariantNames)]
#[strum(const_into_str)]
pub enum Scope {
    #[strum(serialize = "products:write")]
    ProductsWrite,
    #[strum(serialize = "inventory:read")]
    InventoryRead,
    #[strum(serialize = "inventory:write")]
    InventoryWrite,
    #[strum(serialize = "orders:own")]
    OrdersOwn,
    #[strum(serialize = "orders:read")]
    OrdersRead,
    #[strum(serialize = "orders:write")]
    OrdersWrite,
    #[strum(serialize = "payments:write")]
    PaymentsWrite,
    #[strum(serialize = "profile:read")]
    ProfileRead,
    #[strum(serialize = "account")]
    Account,
    #[strum(serialize = "users:read")]
    UsersRead,
    #[strum(serialize = "users:write")]
    UsersWrite,
    #[strum(serialize = "clients:write")]
    ClientsWrite,
    #[strum(serialize = "audit:read")]
    AuditRead,
}

impl Scope {
    /// Scopes of a customer's own session. No other grant includes [`Account`](Self::Account).
    const CUSTOMER: [Self; 3] = [Self::OrdersOwn, Self::ProfileRead, Self::Account];
    /// Scopes for running the shop.
    const STAFF: [Self; 7] = [
        Self::ProductsWrite,
        Self::InventoryRead,
        Self::InventoryWrite,
        Self::OrdersRead,
        Self::OrdersWrite,
        Self::PaymentsWrite,
        Self::UsersRead,
    ];
    /// Scopes that a user can grant to an app, which can thus neither pay nor change the account.
    pub const DELEGABLE: [Self; 2] = [Self::OrdersOwn, Self::ProfileRead];
    /// Scopes that a machine client can have.
    pub const MACHINE: [Self; 7] = Self::STAFF;
}

/// A set of scopes, separated by spaces (RFC 6749, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Parses one or more scopes, each at most once.
    ///
    /// # Errors
    /// [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        const FORM: Violation = Violation::Format("scopes of the shop, each once, separated by spaces");
        let mut scopes = Vec::new();
        for name in text.split(' ') {
            let scope = name.parse().map_err(|_| FORM)?;
            if scopes.contains(&scope) {
                return Err(FORM);
            }
            scopes.push(scope);
        }
        Ok(Self(scopes))
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    pub fn are_among(&self, others: &[Scope]) -> bool {
        self.0.iter().all(|scope| others.contains(scope))
    }

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
        let names: Vec<&str> = self.0.iter().map(|scope| scope.into_str()).collect();
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
    /// Returns the scopes of a session of a user with this role.
    pub fn scopes(self) -> Scopes {
        use Scope::{AuditRead, ClientsWrite, UsersWrite};
        Scopes(match self {
            Self::Customer => Scope::CUSTOMER.to_vec(),
            Self::Staff => [&Scope::CUSTOMER[..], &Scope::STAFF].concat(),
            Self::Admin => {
                [&Scope::CUSTOMER[..], &Scope::STAFF, &[UsersWrite, ClientsWrite, AuditRead]].concat()
            }
        })
    }
}

/// Whom a token speaks for, and since when. Each write checks that this has not been withdrawn meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub subject: Actor,
    /// OAuth client to which the token is issued.
    pub client_id: String,
    /// Session of a user; machine clients have none.
    pub session: Option<Id<Session>>,
    /// Epoch of the account or client when the token was issued. It is raised when all earlier tokens are to end.
    pub epoch: i64,
}

/// Content of a token to be issued.
#[derive(Clone, Debug)]
pub struct Grant {
    pub authority: Authority,
    pub scope: Scopes,
}

/// Client id of the shop's own storefront, for sessions that begin with a password.
pub const FIRST_PARTY: &str = "storefront";

/// Proof that the caller's token has the required scope: a user or a machine client.
#[derive(Clone, Debug)]
pub struct Staff {
    authority: Authority,
    /// All scopes of the token.
    scope: String,
}

impl Staff {
    pub fn id(&self) -> Actor {
        self.authority.subject
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Requires a further scope, for a part of the operation.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn require(&self, scope: Scope) -> Result<(), Error> {
        require(&self.scope, scope)
    }
}

/// Proof that a user's token has the required scope, for their own data.
#[derive(Clone, Debug)]
pub struct Customer {
    id: Id<User>,
    authority: Authority,
}

impl Customer {
    pub fn id(&self) -> Id<User> {
        self.id
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the session of the token.
    pub fn session(&self) -> Option<Id<Session>> {
        self.authority.session
    }
}

/// Proof that the caller may access orders.
#[derive(Clone, Debug)]
pub enum OrderAccess {
    /// The caller's own.
    Own(Customer),
    /// All orders.
    Any(Staff),
}

impl OrderAccess {
    pub fn authority(&self) -> &Authority {
        match self {
            Self::Own(customer) => customer.authority(),
            Self::Any(staff) => staff.authority(),
        }
    }

    pub fn actor(&self) -> Actor {
        self.authority().subject
    }

    /// Requires that staff do not act on their own order.
    ///
    /// # Errors
    /// [`Error::OwnOrder`].
    pub fn check_not_own(&self, customer: Id<User>) -> Result<(), Error> {
        match self {
            Self::Any(staff) if staff.id() == Actor::User(customer) => Err(Error::OwnOrder),
            _ => Ok(()),
        }
    }

    /// Returns whether the caller may access this customer's orders.
    pub fn reaches(&self, customer: Id<User>) -> bool {
        match self {
            Self::Own(own) => own.id() == customer,
            Self::Any(_) => true,
        }
    }
}

/// A verified access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub(super) authority: Authority,
    pub(super) scope: String,
}

impl Access {
    /// Requires `scope` of a user or machine client.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn staff(&self, scope: Scope) -> Result<Staff, Error> {
        require(&self.scope, scope)?;
        Ok(Staff { authority: self.authority.clone(), scope: self.scope.clone() })
    }

    /// Requires `scope` of a user.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`], also for a machine client.
    pub fn customer(&self, scope: Scope) -> Result<Customer, Error> {
        require(&self.scope, scope)?;
        match self.authority.subject {
            Actor::User(id) => Ok(Customer { id, authority: self.authority.clone() }),
            Actor::Client(_) => Err(Error::InsufficientScope(scope.into_str())),
        }
    }

    /// Requires access to orders: all of them with `scope`, otherwise the user's own.
    ///
    /// # Errors
    /// [`Error::InsufficientScope`].
    pub fn orders(&self, scope: Scope) -> Result<OrderAccess, Error> {
        match (self.staff(scope), self.authority.subject) {
            (Ok(staff), _) => Ok(OrderAccess::Any(staff)),
            (Err(_), Actor::User(_)) => self.customer(Scope::OrdersOwn).map(OrderAccess::Own),
            (Err(refused), Actor::Client(_)) => Err(refused),
        }
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the session of the token, and its user.
    pub fn session(&self) -> Option<(Id<User>, Id<Session>)> {
        match self.authority.subject {
            Actor::User(id) => self.authority.session.map(|session| (id, session)),
            Actor::Client(_) => None,
        }
    }
}

fn require(granted: &str, scope: Scope) -> Result<(), Error> {
    let granted = granted.split(' ').any(|granted| granted == scope.into_str());
    if granted { Ok(()) } else { Err(Error::InsufficientScope(scope.into_str())) }
}

/// Why a token is not valid.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Its key is unknown, or not known yet.
    UnknownKey,
    /// Damaged, forged, expired, or issued for another audience.
    Invalid,
}
