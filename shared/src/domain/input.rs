//! What a client sent, read into the domain's types, with every fault named at once.
//!
//! An [`Object`] is read field by field; each read gives `Some` value or notes a [`Fault`] and gives `None`. All
//! fields are read before the first `?`, so that the client hears of all its mistakes in one answer.
//!
//! ```
//! # use shared::domain::{input, money::Money, product::Sku};
//! let document = serde_json::json!({"sku": "MUG 1", "price": {"amount": "12"}});
//! let faults = input::read(document, |body| {
//!     let (sku, price) = (body.field("sku").text(Sku::parse), body.field("price").object(Money::read));
//!     Some((sku?, price?))
//! });
//! let pointers: Vec<_> = faults.unwrap_err().into_iter().map(|invalid| invalid.pointer).collect();
//! assert_eq!(pointers, ["/sku", "/price/amount", "/price/currency"]);
//! ```

use std::{cell::RefCell, collections::BTreeMap, mem, num::IntErrorKind};

use serde::{Serialize, Serializer, ser::SerializeStruct};
use serde_json::{Map, Number, Value};

/// Why a value is refused. Its text completes the sentence "the field …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is missing.
    #[error("is required")]
    Required,
    /// The object has no such field, or none that the client may set.
    #[error("is not a field that can be set here")]
    UnknownField,
    /// The operation has no such query parameter.
    #[error("is not a parameter of this operation")]
    UnknownParameter,
    /// The JSON type is wrong.
    #[error("must be {0}")]
    Type(&'static str),
    /// The type is right, the form is not.
    #[error("must be {0}")]
    Format(&'static str),
    /// Too few characters.
    #[error("must have {0} characters or more")]
    TooShort(usize),
    /// Too many characters.
    #[error("must have {0} characters or fewer")]
    TooLong(usize),
    /// A number below what is allowed.
    #[error("must be {0} or more")]
    TooSmall(i64),
    /// A number above what is allowed.
    #[error("must be {0} or less")]
    TooLarge(i64),
    /// Not one of the values that there are.
    #[error("must be one of {0}")]
    UnknownValue(&'static str),
    /// Too many elements or entries.
    #[error("must have {0} entries or fewer")]
    TooMany(usize),
    /// Not one entry.
    #[error("must have {0} entries or more")]
    TooFew(usize),
    /// A product of another currency than those before it.
    #[error("has a price in another currency than the products before it")]
    MixedCurrencies,
    /// A password made of what attackers try first.
    #[error("is one of the passwords that attackers try first")]
    CommonPassword,
    /// A password made of repetitions, sequences and walks over the keyboard.
    #[error("must be more than a few repeated characters, a sequence or neighbouring keys")]
    RepetitivePassword,
    /// A password made of what everybody knows of its owner.
    #[error("must be more than your name, your e-mail address or the shop's name")]
    PersonalPassword,
}

impl Fault {
    /// The stable code that clients may switch on.
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

/// One invalid field: where it is (a JSON pointer, RFC 6901) and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// A JSON pointer into the body; for a query parameter, into the query read as an object.
    pub pointer: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Serialize for Invalid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Invalid", 3)?;
        fields.serialize_field("pointer", &self.pointer)?;
        fields.serialize_field("code", self.fault.code())?;
        fields.serialize_field("detail", &self.fault.to_string())?;
        fields.end()
    }
}

type Faults = RefCell<Vec<Invalid>>;

/// Reads a whole document, which must be an object.
///
/// # Errors
/// Every fault that `read` noted, and every field that it did not ask for.
pub fn read<T>(document: Value, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Vec<Invalid>> {
    self::read_with(document, Fault::UnknownField, read)
}

/// Reads query parameters: [`read`], in the words that fit them.
///
/// # Errors
/// As for [`read`].
pub fn read_query<T>(
    parameters: Map<String, Value>,
    read: impl FnOnce(&mut Object) -> Option<T>,
) -> Result<T, Vec<Invalid>> {
    self::read_with(Value::Object(parameters), Fault::UnknownParameter, read)
}

fn read_with<T>(
    document: Value,
    unknown: Fault,
    read: impl FnOnce(&mut Object) -> Option<T>,
) -> Result<T, Vec<Invalid>> {
    let faults = Faults::default();
    let root = Field { value: Some(document), pointer: String::new(), faults: &faults, unknown };
    let value = root.object(read);
    match (value, faults.into_inner()) {
        (Some(value), faults) if faults.is_empty() => Ok(value),
        (_, faults) => Err(faults),
    }
}

/// A JSON object being read; a field that nobody asks for is a fault.
pub struct Object<'f> {
    fields: Map<String, Value>,
    pointer: String,
    faults: &'f Faults,
    unknown: Fault,
}

impl<'f> Object<'f> {
    /// The field of that name, present or not.
    pub fn field(&mut self, name: &str) -> Field<'f> {
        let pointer = child(&self.pointer, name);
        Field { value: self.fields.remove(name), pointer, faults: self.faults, unknown: self.unknown }
    }
}

/// A value being read, or the place where one is missing.
pub struct Field<'f> {
    value: Option<Value>,
    pointer: String,
    faults: &'f Faults,
    unknown: Fault,
}

impl<'f> Field<'f> {
    /// Reads it if it is there; gives `default` if it is not.
    pub fn or<T>(self, default: T, read: impl FnOnce(Self) -> Option<T>) -> Option<T> {
        if self.value.is_some() { read(self) } else { Some(default) }
    }

    /// Reads it if it is there.
    pub fn optional<T>(self, read: impl FnOnce(Self) -> Option<T>) -> Option<Option<T>> {
        if self.value.is_some() { read(self).map(Some) } else { Some(None) }
    }

    /// Reads a string.
    pub fn text<T>(mut self, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        match self.value.take() {
            Some(Value::String(text)) => self.note(parse(&text)),
            other => self.refuse(other, "a string"),
        }
    }

    /// Reads a whole number, be it written `12` or `12.0`: JSON has one kind of number. One that no `i64` can hold is judged
    /// as the nearest that it can.
    pub fn integer<T>(mut self, parse: impl FnOnce(i64) -> Result<T, Fault>) -> Option<T> {
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
    pub fn boolean<T>(mut self, parse: impl FnOnce(bool) -> Result<T, Fault>) -> Option<T> {
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
            Object { fields, pointer: self.pointer.clone(), faults: self.faults, unknown: self.unknown };
        let value = read(&mut object);
        for name in mem::take(&mut object.fields).keys() {
            let pointer = child(&self.pointer, name);
            self.faults.borrow_mut().push(Invalid { pointer, fault: self.unknown });
        }
        value
    }

    /// Reads an array of `max` elements at most.
    pub fn list<T>(self, max: usize, read: impl Fn(Self) -> Option<T>) -> Option<Vec<T>> {
        self.list_within(0, max, read)
    }

    /// Reads an array of so many elements.
    pub fn list_within<T>(
        mut self,
        min: usize,
        max: usize,
        read: impl Fn(Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let elements = match self.value.take() {
            Some(Value::Array(elements)) if elements.len() < min => {
                return self.note(Err(Fault::TooFew(min)));
            }
            Some(Value::Array(elements)) if elements.len() > max => {
                return self.note(Err(Fault::TooMany(max)));
            }
            Some(Value::Array(elements)) => elements,
            other => return self.refuse(other, "an array"),
        };
        let read_element = |(index, value): (usize, Value)| {
            let pointer = child(&self.pointer, &index.to_string());
            read(Field { value: Some(value), pointer, faults: self.faults, unknown: self.unknown })
        };
        // All of them, before the first that failed is judged.
        let read: Vec<Option<T>> = elements.into_iter().enumerate().map(read_element).collect();
        read.into_iter().collect()
    }

    /// Reads an object whose field names are data, with `max` entries at most.
    pub fn map(
        self,
        max: usize,
        key: impl Fn(&str) -> Result<String, Fault>,
        value: impl Fn(&str) -> Result<String, Fault>,
    ) -> Option<BTreeMap<String, String>> {
        let (pointer, faults) = (self.pointer.clone(), self.faults);
        self.object(|object| {
            let names: Vec<String> = object.fields.keys().cloned().collect();
            if names.len() > max {
                object.fields.clear();
                faults.borrow_mut().push(Invalid { pointer, fault: Fault::TooMany(max) });
                return None;
            }
            let entries: Vec<Option<(String, String)>> = names
                .iter()
                .map(|name| {
                    let value = object.field(name).text(&value);
                    let entry = Field {
                        value: None,
                        pointer: child(&pointer, name),
                        faults,
                        unknown: Fault::UnknownField,
                    };
                    entry.note(key(name)).zip(value)
                })
                .collect();
            entries.into_iter().collect()
        })
    }

    fn refuse<T>(self, value: Option<Value>, expected: &'static str) -> Option<T> {
        self.note(Err(if value.is_some() { Fault::Type(expected) } else { Fault::Required }))
    }

    fn note<T>(self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.faults.borrow_mut().push(Invalid { pointer: self.pointer, fault })).ok()
    }
}

/// The `i64` that is nearest to a whole number which was written as a float; none where it is a fraction.
fn whole(number: &Number) -> Option<i64> {
    number.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64)
}

fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Text of so many characters that holds no control characters but line breaks, and is not blank.
///
/// # Errors
/// [`Fault::TooShort`], [`Fault::TooLong`], [`Fault::Format`].
pub fn prose(text: &str, min: usize, max: usize) -> Result<String, Fault> {
    if text.chars().count() > max {
        return Err(Fault::TooLong(max));
    }
    if text.trim().chars().count() < min {
        return Err(Fault::TooShort(min));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Fault::Format("text without control characters"));
    }
    Ok(text.to_owned())
}

/// A [`prose`] of one line.
///
/// # Errors
/// As for [`prose`].
pub fn line(text: &str, min: usize, max: usize) -> Result<String, Fault> {
    let text = prose(text, min, max)?;
    if text.contains('\n') { Err(Fault::Format("one line of text")) } else { Ok(text) }
}

/// A number within bounds, both of them allowed.
///
/// # Errors
/// [`Fault::TooSmall`], [`Fault::TooLarge`].
pub fn within(number: i64, min: i64, max: i64) -> Result<i64, Fault> {
    if number < min {
        Err(Fault::TooSmall(min))
    } else if number > max {
        Err(Fault::TooLarge(max))
    } else {
        Ok(number)
    }
}

/// A whole number written in decimal, as in a query parameter. One that no `i64` can hold is the nearest that it can.
///
/// # Errors
/// [`Fault::Type`].
pub fn number(text: &str) -> Result<i64, Fault> {
    match text.parse() {
        Ok(number) => Ok(number),
        Err(error) => match error.kind() {
            IntErrorKind::PosOverflow => Ok(i64::MAX),
            IntErrorKind::NegOverflow => Ok(i64::MIN),
            _ => Err(Fault::Type("an integer")),
        },
    }
}
