//! The catalogue: products and what may be said of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::{
    id::{Entity, Id},
    money::Money,
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A thing that the shop sells, as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its identifier, for ever.
    pub id: Id<Product>,
    /// The seller's own number for it, unique in the shop, for ever.
    pub sku: Sku,
    /// What may be said of it, and changed.
    #[serde(flatten)]
    pub details: Details,
    /// How much of it there is, roughly: the count itself is the staff's.
    pub availability: Availability,
    /// Whether it can be bought.
    pub status: ProductStatus,
    /// When it entered the catalogue.
    pub created_at: Timestamp,
    /// When the entry last changed. A change of stock is none.
    pub updated_at: Timestamp,
}

impl Product {
    /// What an ETag of it names: the entry's version, and the availability that is shown with it.
    pub fn etag(&self, version: i64) -> String {
        format!("{version}-{}", self.availability.into_str())
    }
}

impl Entity for Product {
    const PREFIX: &'static str = "prod";
}

/// What an entry of the catalogue says, and what a PATCH may change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// One line, 1 to 200 characters.
    pub name: String,
    /// Up to 10,000 characters; absent from lists, which carry summaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The one category it is listed under.
    pub category: Category,
    /// What one piece costs.
    pub price: Money,
    /// URLs or paths of pictures, the best first; up to 10.
    pub images: Vec<String>,
    /// Facts such as colour and size; up to 20.
    pub attributes: BTreeMap<String, String>,
}

impl Details {
    /// Reads them from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let name = body.field("name").text(|text| validation::line(text, 1, 200));
        let description = body
            .field("description")
            .or(String::new(), |field| field.text(|text| validation::prose(text, 0, 10_000)));
        let category = body.field("category").text(Category::parse);
        let price = body.field("price").object(Money::read);
        let images =
            body.field("images").or(Vec::new(), |field| field.list(10, |image| image.text(image_address)));
        let attributes = body.field("attributes").or(BTreeMap::new(), |field| {
            field.map(20, |name| validation::line(name, 1, 50), |value| validation::line(value, 1, 200))
        });
        Some(Self {
            name: name?,
            description: Some(description?),
            category: category?,
            price: price?,
            images: images?,
            attributes: attributes?,
        })
    }

    /// The words of the name, as search compares them.
    pub fn words(&self) -> Vec<String> {
        words(&self.name)
    }
}

/// The words in a text: runs of letters and digits, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// What a client sends to put a product into the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewProduct {
    /// The seller's number for it.
    pub sku: Sku,
    /// What is said of it.
    #[serde(flatten)]
    pub details: Details,
    /// How many pieces there are to begin with.
    pub initial_stock: i64,
    /// At how many available pieces and fewer it counts as low.
    pub low_stock_threshold: i64,
}

impl NewProduct {
    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let sku = body.field("sku").text(Sku::parse);
        let details = Details::read(body);
        let initial_stock = body
            .field("initial_stock")
            .or(0, |field| field.integer(|pieces| validation::within(pieces, 0, 1_000_000_000)));
        let low_stock_threshold = low_stock_threshold(body);
        Some(Self {
            sku: sku?,
            details: details?,
            initial_stock: initial_stock?,
            low_stock_threshold: low_stock_threshold?,
        })
    }

    /// The entry that it makes.
    pub fn product(&self, id: Id<Product>, now: Timestamp) -> Product {
        Product {
            id,
            sku: self.sku.clone(),
            details: self.details.clone(),
            availability: Availability::of(self.initial_stock, self.low_stock_threshold),
            status: ProductStatus::Active,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Everything that a PATCH may change: the entry's details, and where its stock counts as low.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Editable {
    /// What is said of the product.
    #[serde(flatten)]
    pub details: Details,
    /// At how many available pieces and fewer it counts as low.
    pub low_stock_threshold: i64,
}

impl Editable {
    /// Reads it from the document that a patch has made.
    pub fn read(body: &mut Object) -> Option<Self> {
        let (details, low_stock_threshold) = (Details::read(body), low_stock_threshold(body));
        Some(Self { details: details?, low_stock_threshold: low_stock_threshold? })
    }
}

fn low_stock_threshold(body: &mut Object) -> Option<i64> {
    body.field("low_stock_threshold")
        .or(5, |field| field.integer(|pieces| validation::within(pieces, 0, 1_000_000)))
}

/// Whether a product can be bought. Nothing is ever destroyed: old orders stay readable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ProductStatus {
    /// On sale.
    Active,
    /// Removed from the catalogue.
    Archived,
}

/// Stock level of a product, as customers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Availability {
    /// More than the low-stock threshold.
    InStock,
    /// Some, but no more than the threshold.
    LowStock,
    OutOfStock,
}

impl Availability {
    /// Returns the level of `available` pieces.
    pub fn of(available: i64, low_stock_threshold: i64) -> Self {
        if available <= 0 {
            Self::OutOfStock
        } else if available <= low_stock_threshold {
            Self::LowStock
        } else {
            Self::InStock
        }
    }
}

/// A stock keeping unit: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sku(String);

impl Sku {
    /// Reads it as clients write it.
    ///
    /// # Errors
    /// [`Violation::TooShort`], [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let text = validation::line(text, 1, 64)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.chars().all(fits) {
            Ok(Self(text))
        } else {
            Err(Violation::Format("made of letters, digits, '.', '_' and '-'"))
        }
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A category's slug: 1 to 64 characters of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Category(String);

impl Category {
    /// Reads it as clients write it.
    ///
    /// # Errors
    /// [`Violation::TooShort`], [`Violation::TooLong`], [`Violation::Format`].
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let text = validation::line(text, 1, 64)?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.chars().all(fits) {
            Ok(Self(text))
        } else {
            Err(Violation::Format("made of lower-case letters, digits and '-'"))
        }
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An absolute path below the shop, or an http(s) URL; up to 500 characters.
fn image_address(text: &str) -> Result<String, Violation> {
    let text = validation::line(text, 1, 500)?;
    let path = text.starts_with('/') && !text.starts_with("//");
    let url =
        ["https://", "http://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    let clean = !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\'));
    if (path || url) && clean {
        Ok(text)
    } else {
        Err(Violation::Format("an http(s) URL or an absolute path"))
    }
}
