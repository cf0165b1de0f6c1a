//! Users of the shop, their profiles, and the actors of the API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::{
    id::{Entity, Id},
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A user: customer, staff or admin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: Id<User>,
    /// Verified address, with which they log in.
    pub email: EmailAddress,
    #[serde(flatten)]
    pub profile: Profile,
    pub role: Role,
    pub status: AccountStatus,
    /// Always true: an account needs a verified address.
    pub email_verified: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Entity for User {
    const PREFIX: &'static str = "usr";
}

/// The part of an account that its user may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// One line, 1 to 100 characters.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Up to 20.
    pub addresses: Vec<Address>,
}

impl Profile {
    /// Makes the profile of a new account.
    pub fn named(name: String) -> Self {
        Self { name, phone: None, addresses: Vec::new() }
    }

    pub fn read(body: &mut Object) -> Option<Self> {
        let name = body.field("name").text(name);
        let phone = body.field("phone").optional(|field| field.text(Phone::parse));
        let addresses =
            body.field("addresses").or(Vec::new(), |field| field.list(20, |one| one.object(Address::read)));
        Some(Self { name: name?, phone: phone?, addresses: addresses? })
    }
}

/// Accepts a user's name: one line, 1 to 100 characters.
///
/// # Errors
/// As for [`validation::line`].
pub fn name(text: &str) -> Result<String, Violation> {
    validation::line(text, 1, 100)
}

/// The part of an account that admins may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessUpdate {
    pub role: Role,
    pub status: AccountStatus,
}

impl AccessUpdate {
    /// Also returns whether to lift a lock on log-ins.
    pub fn read(body: &mut Object) -> Option<(Self, bool)> {
        let role = body.field("role").text(validation::one_of);
        let status = body.field("status").text(validation::one_of);
        let unlock = body.field("locked").or(false, |field| {
            field.boolean(|locked| if locked { Err(Violation::UnknownValue(&["false"])) } else { Ok(true) })
        });
        Some((Self { role: role?, status: status? }, unlock?))
    }
}

/// A user's role, which determines the scopes of their sessions.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Role {
    Customer,
    Staff,
    /// Staff who may also change other users and register OAuth clients.
    Admin,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum AccountStatus {
    Active,
    /// An admin has disabled the account.
    Disabled,
}

/// An e-mail address in lower case, so that one mailbox has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Accepts HTML's definition (<https://html.spec.whatwg.org/#valid-e-mail-address>), which excludes the parts of RFC 5322
    /// that no mailbox uses: up to 254 characters, 64 before the `@`, and a dot after it.
    ///
    /// # Errors
    /// [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        const FORM: Violation = Violation::Format("an e-mail address");
        if text.chars().count() > 254 {
            return Err(Violation::TooLong(254));
        }
        let (local, domain) = text.split_once('@').ok_or(FORM)?;
        let label = |label: &str| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(fits)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let in_local = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
        let fits = (1..=64).contains(&local.len())
            && local.bytes().all(in_local)
            && domain.contains('.')
            && domain.split('.').all(label);
        if fits { Ok(Self(text.to_ascii_lowercase())) } else { Err(FORM) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A telephone number: 3 to 15 digits (ITU-T E.164), with an optional `+` and common separators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// # Errors
    /// [`Violation::TooShort`], [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let text = validation::line(text, 3, 30)?;
        let digits = text.chars().filter(char::is_ascii_digit).count();
        let rest = text.strip_prefix('+').unwrap_or(&text);
        let fits = rest.chars().all(|c| c.is_ascii_digit() || " ()./-".contains(c));
        if fits && (3..=15).contains(&digits) {
            Ok(Self(text))
        } else {
            Err(Violation::Format("a phone number"))
        }
    }
}

/// A postal address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Recipient, up to 100 characters.
    pub name: String,
    /// Street and number; up to 200 characters.
    pub line1: String,
    /// Floor, company, and the like; up to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Up to 100 characters.
    pub city: String,
    /// State, province or county, up to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Up to 20 characters.
    pub postal_code: String,
    pub country: Country,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
}

impl Address {
    /// Returns what remains after erasure: the country.
    pub fn erased(&self) -> Self {
        let gone = || "(erased)".to_owned();
        Self {
            name: gone(),
            line1: gone(),
            line2: None,
            city: gone(),
            region: None,
            postal_code: gone(),
            country: self.country.clone(),
            phone: None,
        }
    }

    pub fn read(body: &mut Object) -> Option<Self> {
        let line = |max| move |text: &str| validation::line(text, 1, max);
        let name = body.field("name").text(line(100));
        let line1 = body.field("line1").text(line(200));
        let line2 = body.field("line2").optional(|field| field.text(line(200)));
        let city = body.field("city").text(line(100));
        let region = body.field("region").optional(|field| field.text(line(100)));
        let postal_code = body.field("postal_code").text(line(20));
        let country = body.field("country").text(Country::parse);
        let phone = body.field("phone").optional(|field| field.text(Phone::parse));
        Some(Self {
            name: name?,
            line1: line1?,
            line2: line2?,
            city: city?,
            region: region?,
            postal_code: postal_code?,
            country: country?,
            phone: phone?,
        })
    }
}

/// A country (ISO 3166-1 alpha-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Country(String);

impl Country {
    /// # Errors
    /// [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        // The library also accepts lower case.
        let known = text.bytes().all(|b| b.is_ascii_uppercase()) && rust_iso3166::from_alpha2(text).is_some();
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(Violation::Format("an ISO 3166-1 alpha-2 country code, such as DE"))
        }
    }
}

/// A registration without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    pub email: EmailAddress,
    pub name: String,
}

impl Applicant {
    pub fn user(self, id: Id<User>, role: Role, now: Timestamp) -> User {
        User {
            id,
            email: self.email,
            profile: Profile::named(self.name),
            role,
            status: AccountStatus::Active,
            email_verified: true,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Marker of registration ids.
pub enum Registration {}

impl Entity for Registration {
    const PREFIX: &'static str = "reg";
}

/// Marker of password reset ids.
pub enum Reset {}

impl Entity for Reset {
    const PREFIX: &'static str = "rst";
}

/// Marker of OAuth client ids (RFC 6749, section 2).
pub enum Client {}

impl Entity for Client {
    const PREFIX: &'static str = "cli";
}

/// Marker of session ids. A session is a family of refresh tokens.
pub enum Session {}

impl Entity for Session {
    const PREFIX: &'static str = "ses";
}

/// Caller of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    User(Id<User>),
    /// A machine client.
    Client(Id<Client>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Client(id) => id.fmt(f),
        }
    }
}

impl FromStr for Actor {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        text.parse().map(Self::User).or_else(|_| text.parse().map(Self::Client))
    }
}

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
