//! What is ordered, and what becomes of it.

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::Id,
    input::{self, Fault, Field, Object},
    money::Money,
    product::{Product, Sku},
};

/// So many pieces of a product, of an order that has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The product.
    pub product_id: Id<Product>,
    /// How many pieces, from 1.
    pub quantity: i64,
}

impl Pick {
    /// The most lines that one request may name: each is a stock and a movement of a transaction, which takes 100 items.
    pub const MAX: usize = 48;
    /// The most pieces of one product in an order.
    const MAX_QUANTITY: i64 = 10_000;

    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let product_id = body.field("product_id").text(str::parse);
        let quantity =
            body.field("quantity").integer(|quantity| input::within(quantity, 1, Self::MAX_QUANTITY));
        Some(Self { product_id: product_id?, quantity: quantity? })
    }

    /// Reads a list of them.
    pub fn read_list(field: Field) -> Option<Vec<Self>> {
        field.list(Self::MAX, |pick| pick.object(Self::read))
    }
}

/// One product of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product_id: Id<Product>,
    /// Its SKU, as it was when the order was placed.
    pub sku: Sku,
    /// Its name, as it was.
    pub name: String,
    /// The price of one piece, as it was.
    pub unit_price: Money,
    /// Pieces ordered.
    pub quantity: i64,
    /// The price of all of them.
    pub total: Money,
    /// Pieces shipped.
    pub fulfilled: i64,
    /// Pieces that came back, and are on sale again.
    pub restocked: i64,
    /// Pieces that are not shipped any more.
    pub released: i64,
}

impl Line {
    /// Pieces that are still to be shipped, and so reserved.
    pub fn open(&self) -> i64 {
        self.quantity - self.fulfilled - self.released
    }

    /// Pieces that could come back.
    pub(super) fn returnable(&self) -> i64 {
        self.fulfilled - self.restocked
    }
}

/// How a stock changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    /// Whose stock.
    pub product_id: Id<Product>,
    /// Pieces in the house, more or fewer.
    pub on_hand: i64,
    /// Pieces that orders have a claim on.
    pub reserved: i64,
    /// Pieces that can be sold.
    pub available: i64,
}

/// How stocks change with an order: each product once, since a transaction may touch an item only once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockChanges(Vec<StockChange>);

impl StockChanges {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &StockChange> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pieces that an order has a claim on from now.
    pub(super) fn reserve(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, 0, pieces, -pieces);
    }

    /// Pieces that it gives back.
    pub(super) fn release(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, 0, -pieces, pieces);
    }

    /// Pieces that leave the house.
    pub(super) fn ship(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, -pieces, -pieces, 0);
    }

    /// Pieces that came back.
    pub(super) fn restock(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, pieces, 0, pieces);
    }

    fn add(&mut self, product_id: Id<Product>, on_hand: i64, reserved: i64, available: i64) {
        match self.0.iter_mut().find(|change| change.product_id == product_id) {
            Some(change) => {
                change.on_hand += on_hand;
                change.reserved += reserved;
                change.available += available;
            }
            None => self.0.push(StockChange { product_id, on_hand, reserved, available }),
        }
    }

    /// Adds others to them.
    pub fn extend(&mut self, others: Self) {
        for other in others.0 {
            self.add(other.product_id, other.on_hand, other.reserved, other.available);
        }
    }
}

/// A line of a client's list that can't be had, by its place.
pub(super) fn too_large(list: &str, place: usize, most: i64) -> input::Invalid {
    input::Invalid { pointer: format!("/{list}/{place}/quantity"), fault: Fault::TooLarge(most) }
}

pub(super) fn unknown(list: &str, place: usize, expected: &'static str) -> input::Invalid {
    input::Invalid { pointer: format!("/{list}/{place}/product_id"), fault: Fault::UnknownValue(expected) }
}
