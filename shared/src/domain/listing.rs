//! What a client may ask of the catalogue's list.

use serde::Serialize;

use super::{
    input::{self, Fault, Object},
    product::{self, Category, Status},
};

/// Which products, in which order. Two equal listings are the same query, so a cursor is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Only those of this category.
    pub category: Option<Category>,
    /// Only those of this status.
    pub status: Status,
    /// Only those that cost so many minor units or more.
    pub min_price: Option<i64>,
    /// Only those that cost so many minor units or less.
    pub max_price: Option<i64>,
    /// Only those that are, or are not, available.
    pub in_stock: Option<bool>,
    /// Only those with, for each of these, a word in the name that begins so.
    pub words: Vec<String>,
    /// The order.
    pub sort: Sort,
}

impl Listing {
    /// Reads it from the query.
    pub fn read(query: &mut Object) -> Option<Self> {
        let price =
            |text: &str, min| input::number(text).and_then(|amount| input::within(amount, min, i64::MAX));
        let category = query.field("category").optional(|field| field.text(Category::parse));
        let status = query.field("status").or(Status::Active, |field| field.text(Status::parse));
        let min_price = query.field("min_price").optional(|field| field.text(|text| price(text, 0)));
        let min = min_price.flatten().unwrap_or(0);
        let max_price = query.field("max_price").optional(|field| field.text(|text| price(text, min)));
        let in_stock = query.field("in_stock").optional(|field| field.text(boolean));
        let words = query.field("q").or(Vec::new(), |field| field.text(search_words));
        let sort = query.field("sort").or(Sort::Newest, |field| field.text(Sort::parse));
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

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sort {
    /// The newest first.
    Newest,
    /// The cheapest first.
    PriceAscending,
    /// The dearest first.
    PriceDescending,
    /// By name.
    Name,
}

impl Sort {
    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "newest" => Ok(Self::Newest),
            "price" => Ok(Self::PriceAscending),
            "-price" => Ok(Self::PriceDescending),
            "name" => Ok(Self::Name),
            _ => Err(Fault::UnknownValue("newest, price, -price, name")),
        }
    }
}

/// How many items a page holds: `limit`, 1 to 100, else 20.
pub fn limit(query: &mut Object) -> Option<usize> {
    let limit = |text: &str| input::number(text).and_then(|limit| input::within(limit, 1, 100));
    let limit = query.field("limit").or(20, |field| field.text(limit));
    limit.and_then(|limit| usize::try_from(limit).ok())
}

fn boolean(text: &str) -> Result<bool, Fault> {
    text.parse().map_err(|_| Fault::Type("true or false"))
}

fn search_words(text: &str) -> Result<Vec<String>, Fault> {
    let words = product::words(&input::line(text, 1, 100)?);
    if words.is_empty() { Err(Fault::Format("words of letters or digits")) } else { Ok(words) }
}
