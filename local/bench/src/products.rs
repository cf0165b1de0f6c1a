//! The products of the store.

/// Price of each product, in cents.
pub(super) const PRICE: i64 = 1_850;

/// The id of a product.
pub(super) fn product_id(number: usize) -> String {
    format!("prod_01k2{number:022}")
}
