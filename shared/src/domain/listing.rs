//! Filters and order of a list of products.

use serde::Serialize;
use strum::{EnumString, VariantNames};

use super::{
    product::{self, Category, ProductStatus},
    validation::{self, Object, Violation},
};

/// Filters and order. A cursor is bound to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    pub category: Option<Category>,
    pub status: ProductStatus,
    /// In minor units.
    pub min_price: Option<i64>,
    /// In minor units.
    pub max_price: Option<i64>,
    pub in_stock: Option<bool>,
    /// Prefixes of words in the name. All of them must match.
    pub words: Vec<String>,
    pub sort: Sort,
}

impl Listing {
    pub fn read(query: &mut Object) -> Option<Self> {
        let price = |text: &str, min| {
            validation::number(text).and_then(|amount| validation::within(amount, min, i64::MAX))
        };
        let category = query.field("category").optional(|field| field.text(Category::parse));
        let status = query.field("status").or(ProductStatus::Active, |field| field.text(validation::one_of));
        let min_price = query.field("min_price").optional(|field| field.text(|text| price(text, 0)));
        let min = min_price.flatten().unwrap_or(0);
        let max_price = query.field("max_price").optional(|field| field.text(|text| price(text, min)));
        let in_stock = query.field("in_stock").optional(|field| field.text(boolean));
        let words = query.field("q").or(Vec::new(), |field| field.text(search_words));
        let sort = query.field("sort").or(Sort::Newest, |field| field.text(validation::one_of));
        Some(Self {
            category: category?,
            status: status?,
            min_price: min_price?,
            max_price: max_price?,
            in_stock: in_stock?,
            words: words?,
            sort: sort?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Sort {
    Newest,
    #[strum(serialize = "price")]
    PriceAscending,
    #[strum(serialize = "-price")]
    PriceDescending,
    Name,
}

/// Reads the `limit` of a page: 1 to 100, by default 20.
pub fn limit(query: &mut Object) -> Option<usize> {
    let limit = |text: &str| validation::number(text).and_then(|limit| validation::within(limit, 1, 100));
    let limit = query.field("limit").or(20, |field| field.text(limit));
    limit.and_then(|limit| usize::try_from(limit).ok())
}

fn boolean(text: &str) -> Result<bool, Violation> {
    text.parse().map_err(|_| Violation::Type("true or false"))
}

fn search_words(text: &str) -> Result<Vec<String>, Violation> {
    let words = product::words(&validation::line(text, 1, 100)?);
    if words.is_empty() {
        Err(Violation::Format("one or more words of letters or digits"))
    } else {
        Ok(words)
    }
}
