//! Users of the shop, their profiles, and the actors of the API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::{
    id::{Entity, Id},
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A user of the shop: customer, staff or admin, as they and the staff may see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their identifier, for ever.
    pub id: Id<User>,
    /// The address that they log in with, proven to be theirs.
    pub email: EmailAddress,
    /// What they say of themselves, and may change.
    #[serde(flatten)]
    pub profile: Profile,
    /// What they are allowed, as a set of scopes.
    pub role: Role,
    /// Whether they may log in.
    pub status: AccountStatus,
    /// Always true: only a proven e-mail becomes an account.
    pub email_verified: bool,
    /// When the account was opened.
    pub created_at: Timestamp,
    /// When this last changed.
    pub updated_at: Timestamp,
}

impl Entity for User {
    const PREFIX: &'static str = "usr";
}

/// What users say of themselves, and what a PATCH of theirs may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// One line, 1 to 100 characters.
    pub name: String,
    /// Where they can be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Where they have things sent; up to 20.
    pub addresses: Vec<Address>,
}

impl Profile {
    /// The profile that a new account begins with.
    pub fn named(name: String) -> Self {
        Self { name, phone: None, addresses: Vec::new() }
    }

    /// Reads it from the document that a patch has made.
    pub fn read(body: &mut Object) -> Option<Self> {
        let name = body.field("name").text(name);
        let phone = body.field("phone").optional(|field| field.text(Phone::parse));
        let addresses =
            body.field("addresses").or(Vec::new(), |field| field.list(20, |one| one.object(Address::read)));
        Some(Self { name: name?, phone: phone?, addresses: addresses? })
    }
}

/// A person's name: one line, 1 to 100 characters.
///
/// # Errors
/// As for [`validation::line`].
pub fn name(text: &str) -> Result<String, Violation> {
    validation::line(text, 1, 100)
}

/// What the staff may change of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccessUpdate {
    /// What they are allowed.
    pub role: Role,
    /// Whether they may log in.
    pub status: AccountStatus,
}

impl AccessUpdate {
    /// Reads it from the document that a patch has made; tells, too, whether a lock on log-ins is to be lifted.
    pub fn read(body: &mut Object) -> Option<(Self, bool)> {
        let role = body.field("role").text(validation::one_of);
        let status = body.field("status").text(validation::one_of);
        let unlock = body.field("locked").or(false, |field| {
            field.boolean(|locked| if locked { Err(Violation::UnknownValue(&["false"])) } else { Ok(true) })
        });
        Some((Self { role: role?, status: status? }, unlock?))
    }
}

/// A user's role: the set of scopes that a session of theirs gets.
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

/// Whether a user may log in.
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
    /// Reads it by the rule of HTML (<https://html.spec.whatwg.org/#valid-e-mail-address>), which leaves out what of
    /// RFC 5322 no mailbox uses; up to 254 characters, 64 before the `@`, and a dot behind it.
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

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A telephone number: 3 to 15 digits (ITU-T E.164), perhaps with a `+` in front, and what people put between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Reads it as people write it.
    ///
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

/// Where things are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Whose name stands on the parcel; up to 100 characters.
    pub name: String,
    /// Street and number; up to 200 characters.
    pub line1: String,
    /// Floor, company, and the like; up to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Up to 100 characters.
    pub city: String,
    /// State, province or county, where the country has them; up to 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Up to 20 characters.
    pub postal_code: String,
    /// The country.
    pub country: Country,
    /// Whom the carrier may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
}

impl Address {
    /// What of it stays when a person is forgotten: the country.
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

    /// Reads it from a client's object.
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

/// A country by its two letters (ISO 3166-1 alpha-2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Country(String);

impl Country {
    /// Reads it as clients write it: in capitals.
    ///
    /// # Errors
    /// [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        // The library reads small letters, too; the API has one spelling.
        let known = text.bytes().all(|b| b.is_ascii_uppercase()) && rust_iso3166::from_alpha2(text).is_some();
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(Violation::Format("an ISO 3166-1 alpha-2 country code, such as DE"))
        }
    }
}

/// What somebody sends to open an account, but for the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicant {
    /// The address that they want to log in with.
    pub email: EmailAddress,
    /// What they are called.
    pub name: String,
}

impl Applicant {
    /// The user that they become.
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

/// A registration that waits for the proof of its e-mail.
pub enum Registration {}

impl Entity for Registration {
    const PREFIX: &'static str = "reg";
}

/// A request to set a new password.
pub enum Reset {}

impl Entity for Reset {
    const PREFIX: &'static str = "rst";
}

/// A program that uses the shop with tokens of its own (RFC 6749, section 2).
pub enum Client {}

impl Entity for Client {
    const PREFIX: &'static str = "cli";
}

/// A session of a user: the family of refresh tokens that one log-in begins.
pub enum Session {}

impl Entity for Session {
    const PREFIX: &'static str = "ses";
}

/// Whoever does something in the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person.
    User(Id<User>),
    /// A program, in nobody's name but its own.
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
