//! Products of the catalogue.

/// Price in minor units.
pub(super) const PRICE: i64 = 1_850;

/// Returns the id of a product.
pub(super) fn product_id(number: usize) -> String {
    format!("prod_01k2{number:022}")
}
