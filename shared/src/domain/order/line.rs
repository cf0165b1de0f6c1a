//! Lines of an order.

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::Id,
    money::Money,
    product::{Product, Sku},
    validation::{FieldError, Violation},
};

/// A product in an order, as it was when the order was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub product_id: Id<Product>,
    pub sku: Sku,
    pub name: String,
    /// Price of one piece.
    pub unit_price: Money,
    /// Pieces ordered.
    pub quantity: i64,
    pub total: Money,
    /// Pieces shipped.
    pub fulfilled: i64,
    /// Pieces returned and put back on sale.
    pub restocked: i64,
    /// Pieces that will not be shipped: cancelled or refunded before shipment.
    pub released: i64,
}

impl Line {
    /// Returns the pieces still to be shipped, which are reserved.
    pub fn open(&self) -> i64 {
        self.quantity - self.fulfilled - self.released
    }

    /// Returns the pieces that the customer could still return.
    pub(super) fn returnable(&self) -> i64 {
        self.fulfilled - self.restocked
    }
}

/// Reports an entry of a request's list that asks for more than `max` pieces.
pub(super) fn too_large(list: &str, index: usize, max: i64) -> FieldError {
    FieldError::new(format!("/{list}/{index}/quantity"), Violation::TooLarge(max))
}

/// Reports an entry of a request's list whose product is not among `expected`.
pub(super) fn unknown_product(list: &str, index: usize, expected: &'static [&'static str]) -> FieldError {
    FieldError::new(format!("/{list}/{index}/product_id"), Violation::UnknownValue(expected))
}
