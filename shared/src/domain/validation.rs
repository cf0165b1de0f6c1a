//! Reads client input into domain types and reports every invalid field in one response.
//!
//! An [`Object`] is read field by field. Each read returns `Some` value, or records a [`FieldError`] and returns `None`.
//! Read all fields before the first `?`, so that the client learns of all its mistakes at once.
//!
//! ```
//! # use shared::domain::{validation, money::Money, product::Sku};
//! let document = serde_json::json!({"sku": "MUG 1", "price": {"amount": "12"}});
//! let faults = validation::read(document, |body| {
//!     let (sku, price) = (body.field("sku").text(Sku::parse), body.field("price").object(Money::read));
//!     Some((sku?, price?))
//! });
//! let pointers: Vec<_> = faults.unwrap_err().into_iter().map(|invalid| invalid.pointer).collect();
//! assert_eq!(pointers, ["/sku", "/price/amount", "/price/currency"]);
//! ```

use std::{cell::RefCell, collections::BTreeMap, mem, num::IntErrorKind, ops::Deref, str::FromStr};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::{Map, Number, Value};
use strum::VariantNames;

/// Rule that a value breaks. Its text completes the sentence "the field …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("is required")]
    Required,
    /// The object has no such field, or the client may not set it.
    #[error("is unknown or read-only")]
    UnknownField,
    #[error("is not a parameter of this operation")]
    UnknownParameter,
    /// The JSON type is wrong.
    #[error("must be {0}")]
    Type(&'static str),
    /// The type is right, the form is not.
    #[error("must be {0}")]
    Format(&'static str),
    /// Counted in characters.
    #[error("must have {0} characters or more")]
    TooShort(usize),
    /// Counted in characters.
    #[error("must have {0} characters or fewer")]
    TooLong(usize),
    #[error("must be {0} or more")]
    TooSmall(i64),
    #[error("must be {0} or less")]
    TooLarge(i64),
    #[error("must be one of {}", .0.join(", "))]
    UnknownValue(&'static [&'static str]),
    #[error("must have {0} entries or fewer")]
    TooMany(usize),
    #[error("must have {0} entries or more")]
    TooFew(usize),
    #[error("must be priced in the same currency as the other items")]
    MixedCurrencies,
    /// The password is on the blocklist.
    #[error("is too common")]
    CommonPassword,
    #[error("is too easy to guess: it consists of repeated characters, sequences or neighbouring keys")]
    RepetitivePassword,
    /// The password consists of its owner's name, their e-mail address or the shop's name.
    #[error("must not be based on your name, your e-mail address or the shop's name")]
    PersonalPassword,
}

impl Violation {
    /// Returns the stable code that clients may switch on.
    pub fn code(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownField => "unknown_field",
            Self::UnknownParameter => "unknown_parameter",
            Self::Type(_) => "invalid_type",
            Self::Format(_) => "invalid_format",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::TooSmall(_) => "too_small",
            Self::TooLarge(_) => "too_large",
            Self::UnknownValue(_) => "unknown_value",
            Self::TooMany(_) => "too_many",
            Self::TooFew(_) => "too_few",
            Self::MixedCurrencies => "mixed_currencies",
            Self::CommonPassword => "common_password",
            Self::RepetitivePassword => "repetitive_password",
            Self::PersonalPassword => "personal_password",
        }
    }
}

/// An invalid field and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body; for a query parameter, into the query read as an object.
    pub pointer: String,
    pub violation: Violation,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, violation: Violation) -> Self {
        Self { pointer: pointer.into(), violation }
    }
}

impl Serialize for FieldError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("FieldError", 3)?;
        fields.serialize_field("pointer", &self.pointer)?;
        fields.serialize_field("code", self.violation.code())?;
        fields.serialize_field("detail", &self.violation.to_string())?;
        fields.end()
    }
}

/// One or more invalid fields: a 422 always names at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ValidationErrors(Vec<FieldError>);

/// A response lists at most so many errors, however many fields a client makes up.
const MAX_ERRORS: usize = 100;

impl ValidationErrors {
    /// Fails with these errors if there are any.
    ///
    /// # Errors
    /// The first hundred of them.
    pub fn check(mut errors: Vec<FieldError>) -> Result<(), Self> {
        errors.truncate(MAX_ERRORS);
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Adds more errors.
    #[must_use]
    pub fn and(mut self, more: Vec<FieldError>) -> Self {
        self.0.extend(more);
        self.0.truncate(MAX_ERRORS);
        self
    }
}

impl Deref for ValidationErrors {
    type Target = [FieldError];

    fn deref(&self) -> &[FieldError] {
        &self.0
    }
}

impl From<FieldError> for ValidationErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl IntoIterator for ValidationErrors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

type Errors = RefCell<Vec<FieldError>>;

/// Reads a document, which must be an object.
///
/// # Errors
/// Every error that `read` recorded, and every field that it did not ask for.
pub fn read<T>(document: Value, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, ValidationErrors> {
    read_with(document, Violation::UnknownField, read)
}

/// Reads query parameters, as [`read`] reads a document.
///
/// # Errors
/// As for [`read`].
pub fn read_query<T>(
    parameters: Map<String, Value>,
    read: impl FnOnce(&mut Object) -> Option<T>,
) -> Result<T, ValidationErrors> {
    read_with(Value::Object(parameters), Violation::UnknownParameter, read)
}

fn read_with<T>(
    document: Value,
    unknown: Violation,
    read: impl FnOnce(&mut Object) -> Option<T>,
) -> Result<T, ValidationErrors> {
    let errors = Errors::default();
    let root = Field { value: Some(document), pointer: String::new(), errors: &errors, unknown };
    let value = root.object(read);
    ValidationErrors::check(errors.into_inner())?;
    #[expect(clippy::expect_used, reason = "every read that returns `None` records why")]
    Ok(value.expect("a read without errors returns a value"))
}

/// A JSON object being read. A field that the reader does not ask for is an error.
pub struct Object<'f> {
    fields: Map<String, Value>,
    pointer: String,
    errors: &'f Errors,
    unknown: Violation,
}

impl<'f> Object<'f> {
    /// Returns the field of that name, present or not.
    pub fn field(&mut self, name: &str) -> Field<'f> {
        let pointer = child(&self.pointer, name);
        Field { value: self.fields.remove(name), pointer, errors: self.errors, unknown: self.unknown }
    }
}

/// A value being read, or the place where one is missing.
pub struct Field<'f> {
    value: Option<Value>,
    pointer: String,
    errors: &'f Errors,
    unknown: Violation,
}

impl<'f> Field<'f> {
    /// Reads the field, or returns `default` if it is absent.
    pub fn or<T>(self, default: T, read: impl FnOnce(Self) -> Option<T>) -> Option<T> {
        if self.value.is_some() { read(self) } else { Some(default) }
    }

    /// Reads the field if it is present.
    pub fn optional<T>(self, read: impl FnOnce(Self) -> Option<T>) -> Option<Option<T>> {
        if self.value.is_some() { read(self).map(Some) } else { Some(None) }
    }

    /// Reads a string.
    pub fn text<T>(mut self, parse: impl FnOnce(&str) -> Result<T, Violation>) -> Option<T> {
        match self.value.take() {
            Some(Value::String(text)) => self.note(parse(&text)),
            other => self.refuse(other, "a string"),
        }
    }

    /// Reads a whole number, written `12` or `12.0`: JSON has one kind of number. A number outside `i64` saturates.
    pub fn integer<T>(mut self, parse: impl FnOnce(i64) -> Result<T, Violation>) -> Option<T> {
        match self.value.take() {
            Some(Value::Number(number)) => match number.as_i64() {
                Some(integer) => self.note(parse(integer)),
                None => match whole(&number) {
                    Some(integer) => self.note(parse(integer)),
                    None => self.refuse(Some(Value::Number(number)), "an integer"),
                },
            },
            other => self.refuse(other, "an integer"),
        }
    }

    /// Reads `true` or `false`.
    pub fn boolean<T>(mut self, parse: impl FnOnce(bool) -> Result<T, Violation>) -> Option<T> {
        match self.value.take() {
            Some(Value::Bool(boolean)) => self.note(parse(boolean)),
            other => self.refuse(other, "a boolean"),
        }
    }

    /// Reads an object.
    pub fn object<T>(mut self, read: impl FnOnce(&mut Object<'f>) -> Option<T>) -> Option<T> {
        let fields = match self.value.take() {
            Some(Value::Object(fields)) => fields,
            other => return self.refuse(other, "an object"),
        };
        let mut object =
            Object { fields, pointer: self.pointer.clone(), errors: self.errors, unknown: self.unknown };
        let value = read(&mut object);
        for name in mem::take(&mut object.fields).keys() {
            let pointer = child(&self.pointer, name);
            self.errors.borrow_mut().push(FieldError { pointer, violation: self.unknown });
        }
        value
    }

    /// Reads an array of at most `max` elements.
    pub fn list<T>(self, max: usize, read: impl Fn(Self) -> Option<T>) -> Option<Vec<T>> {
        self.list_within(0, max, read)
    }

    /// Reads an array of `min` to `max` elements.
    pub fn list_within<T>(
        mut self,
        min: usize,
        max: usize,
        read: impl Fn(Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = match self.value.take() {
            Some(Value::Array(elements)) if elements.len() < min => {
                return self.note(Err(Violation::TooFew(min)));
            }
            Some(Value::Array(elements)) if elements.len() > max => {
                return self.note(Err(Violation::TooMany(max)));
            }
            Some(Value::Array(elements)) => elements,
            other => return self.refuse(other, "an array"),
        };
        let read_element = |(index, value): (usize, Value)| {
            let pointer = child(&self.pointer, &index.to_string());
            read(Field { value: Some(value), pointer, errors: self.errors, unknown: self.unknown })
        };
        // Collect first: every invalid element is reported.
        let read: Vec<Option<T>> = elements.into_iter().enumerate().map(read_element).collect();
        read.into_iter().collect()
    }

    /// Reads an object whose field names are data, with at most `max` entries.
    pub fn map(
        self,
        max: usize,
        key: impl Fn(&str) -> Result<String, Violation>,
        value: impl Fn(&str) -> Result<String, Violation>,
    ) -> Option<BTreeMap<String, String>> {
        let (pointer, errors) = (self.pointer.clone(), self.errors);
        self.object(|object| {
            let names: Vec<String> = object.fields.keys().cloned().collect();
            if names.len() > max {
                object.fields.clear();
                errors.borrow_mut().push(FieldError { pointer, violation: Violation::TooMany(max) });
                return None;
            }
            let entries: Vec<Option<(String, String)>> = names
                .iter()
                .map(|name| {
                    let value = object.field(name).text(&value);
                    let entry = Field {
                        value: None,
                        pointer: child(&pointer, name),
                        errors,
                        unknown: Violation::UnknownField,
                    };
                    entry.note(key(name)).zip(value)
                })
                .collect();
            entries.into_iter().collect()
        })
    }

    fn refuse<T>(self, value: Option<Value>, expected: &'static str) -> Option<T> {
        self.note(Err(if value.is_some() { Violation::Type(expected) } else { Violation::Required }))
    }

    fn note<T>(self, result: Result<T, Violation>) -> Option<T> {
        result
            .map_err(|violation| {
                self.errors.borrow_mut().push(FieldError { pointer: self.pointer, violation })
            })
            .ok()
    }
}

/// Converts a whole number that was written as a float, saturating; returns `None` for a fraction.
fn whole(number: &Number) -> Option<i64> {
    number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64)
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Parses one of an enum's values.
///
/// # Errors
/// [`Violation::UnknownValue`] with all of them.
pub fn one_of<T: FromStr + VariantNames>(text: &str) -> Result<T, Violation> {
    text.parse().map_err(|_| Violation::UnknownValue(T::VARIANTS))
}

/// Returns whether a character is invisible and changes how the text around it is shown: marks of direction (Unicode TR 9),
/// which can make a name look like another, separators of lines and paragraphs, and zero-width spaces.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Accepts text of `min` to `max` characters without control characters other than line breaks, and without invisible ones.
///
/// # Errors
/// [`Violation::TooShort`], [`Violation::TooLong`], [`Violation::Format`].
pub fn prose(text: &str, min: usize, max: usize) -> Result<String, Violation> {
    if text.chars().count() > max {
        return Err(Violation::TooLong(max));
    }
    if text.trim().chars().count() < min {
        return Err(Violation::TooShort(min));
    }
    if text.chars().any(|c| (c.is_control() && c != '\n') || is_deceptive(c)) {
        return Err(Violation::Format("text without control characters"));
    }
    Ok(text.to_owned())
}

/// Accepts [`prose`] of a single line.
///
/// # Errors
/// As for [`prose`].
pub fn line(text: &str, min: usize, max: usize) -> Result<String, Violation> {
    let text = prose(text, min, max)?;
    if text.contains('\n') { Err(Violation::Format("one line of text")) } else { Ok(text) }
}

/// Accepts a number from `min` to `max`, both included.
///
/// # Errors
/// [`Violation::TooSmall`], [`Violation::TooLarge`].
pub fn within(number: i64, min: i64, max: i64) -> Result<i64, Violation> {
    if number < min {
        Err(Violation::TooSmall(min))
    } else if number > max {
        Err(Violation::TooLarge(max))
    } else {
        Ok(number)
    }
}

/// Parses a decimal integer, as in a query parameter, saturating outside `i64`.
///
/// # Errors
/// [`Violation::Type`].
pub fn number(text: &str) -> Result<i64, Violation> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Ok(i64::MAX),
            IntErrorKind::NegOverflow => Ok(i64::MIN),
            _ => Err(Violation::Type("an integer")),
        },
    }
}
