//! Products.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::{
    id::{Entity, Id},
    money::Money,
    time::Timestamp,
    validation::{self, Object, Violation},
};

/// A product, as customers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub id: Id<Product>,
    /// Unique and unchangeable.
    pub sku: Sku,
    #[serde(flatten)]
    pub details: Details,
    pub availability: Availability,
    pub status: ProductStatus,
    pub created_at: Timestamp,
    /// Changes of stock don't count.
    pub updated_at: Timestamp,
}

impl Product {
    /// Returns the ETag: version of the entry and availability.
    pub fn etag(&self, version: i64) -> String {
        format!("{version}-{}", self.availability.into_str())
    }
}

impl Entity for Product {
    const PREFIX: &'static str = "prod";
}

/// Changeable data of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// One line, 1 to 200 characters.
    pub name: String,
    /// Up to 10,000 characters. Lists omit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub category: Category,
    /// Price of one piece.
    pub price: Money,
    /// Up to 10 URLs or paths, main image first.
    pub images: Vec<String>,
    /// Up to 20 properties such as colour and size.
    pub attributes: BTreeMap<String, String>,
}

impl Details {
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

    /// Returns the words of the name for search.
    pub fn words(&self) -> Vec<String> {
        words(&self.name)
    }
}

/// Splits a text into words: runs of letters and digits, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Request to create a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewProduct {
    pub sku: Sku,
    #[serde(flatten)]
    pub details: Details,
    pub initial_stock: i64,
    /// Stock counts as low at this many available pieces or fewer.
    pub low_stock_threshold: i64,
}

impl NewProduct {
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

/// Everything that a PATCH may change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Editable {
    #[serde(flatten)]
    pub details: Details,
    /// Stock counts as low at this many available pieces or fewer.
    pub low_stock_threshold: i64,
}

impl Editable {
    pub fn read(body: &mut Object) -> Option<Self> {
        let (details, low_stock_threshold) = (Details::read(body), low_stock_threshold(body));
        Some(Self { details: details?, low_stock_threshold: low_stock_threshold? })
    }
}

fn low_stock_threshold(body: &mut Object) -> Option<i64> {
    body.field("low_stock_threshold")
        .or(5, |field| field.integer(|pieces| validation::within(pieces, 0, 1_000_000)))
}

/// Products are never deleted, because old orders refer to them.
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

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A category's slug: 1 to 64 characters of `a-z 0-9 -`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Category(String);

impl Category {
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

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Accepts an absolute path of the shop or an https URL, up to 500 characters.
fn image_address(text: &str) -> Result<String, Violation> {
    let text = validation::line(text, 1, 500)?;
    let path = text.starts_with('/') && !text.starts_with("//");
    let url = text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty());
    let clean = !text.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\'));
    if (path || url) && clean { Ok(text) } else { Err(Violation::Format("an https URL or an absolute path")) }
}
