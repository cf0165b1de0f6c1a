//! Stock and the ledger of its movements.

use serde::{Deserialize, Serialize};

use super::{
    change::Initiator,
    id::{Entity, Id},
    order_id::OrderId,
    product::{Availability, NewProduct, Product},
    time::Timestamp,
    user::Actor,
    validation::{self, Field, Object, Violation},
};

/// Stock of one product: `available + reserved = on_hand`, none of them negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    pub product_id: Id<Product>,
    /// Pieces in the warehouse: the sum of the product's movements.
    pub on_hand: i64,
    /// Pieces that open orders have reserved.
    pub reserved: i64,
    /// Pieces that can be sold.
    pub available: i64,
    /// Stock counts as low at this many available pieces or fewer.
    pub low_stock_threshold: i64,
    pub updated_at: Timestamp,
}

impl Stock {
    pub fn opening(product: &Product, new: &NewProduct) -> Self {
        Self {
            product_id: product.id,
            on_hand: new.initial_stock,
            reserved: 0,
            available: new.initial_stock,
            low_stock_threshold: new.low_stock_threshold,
            updated_at: product.created_at,
        }
    }

    pub fn availability(&self) -> Availability {
        Availability::of(self.available, self.low_stock_threshold)
    }
}

/// One entry of a product's stock ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Movements sort by their ids in the order in which they happened.
    pub id: Id<Movement>,
    pub product_id: Id<Product>,
    /// Pieces received, or removed if negative. Never 0.
    pub delta: i64,
    pub reason: MovementReason,
    /// Staff's remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: Initiator,
    /// Order that was shipped or returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    pub created_at: Timestamp,
}

impl Entity for Movement {
    const PREFIX: &'static str = "mov";
}

impl Movement {
    /// Returns the first entry of a new product's ledger, if the product starts with stock.
    pub fn opening(id: Id<Movement>, stock: &Stock, actor: Actor) -> Option<Self> {
        (stock.on_hand > 0).then_some(Self {
            id,
            product_id: stock.product_id,
            delta: stock.on_hand,
            reason: MovementReason::Opening,
            note: None,
            actor: actor.into(),
            order_id: None,
            created_at: stock.updated_at,
        })
    }
}

/// Reason of a stock movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementReason {
    /// Initial stock of a new product.
    Opening,
    /// Received from a supplier.
    Received,
    /// Corrects a miscount.
    Correction,
    /// Broken or lost.
    Damaged,
    /// Returned by a customer.
    Returned,
    /// Shipped to a customer.
    Shipped,
}

impl MovementReason {
    /// Parses a reason that staff may give. The shop itself records openings and shipments.
    fn parse(text: &str) -> Result<Self, Violation> {
        match text {
            "received" => Ok(Self::Received),
            "correction" => Ok(Self::Correction),
            "damaged" => Ok(Self::Damaged),
            "returned" => Ok(Self::Returned),
            _ => Err(Violation::UnknownValue(&["received", "correction", "damaged", "returned"])),
        }
    }
}

/// Stock adjustment by staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adjustment {
    delta: i64,
    reason: MovementReason,
    note: Option<String>,
}

impl Adjustment {
    const MAX: i64 = 1_000_000_000;

    pub fn read(body: &mut Object) -> Option<Self> {
        let delta = body.field("delta").integer(|delta| match delta {
            0 => Err(Violation::Format("a number other than 0")),
            _ => validation::within(delta, -Self::MAX, Self::MAX),
        });
        let reason = body.field("reason").text(MovementReason::parse);
        let note = body.field("note").optional(|field| field.text(|text| validation::prose(text, 1, 500)));
        Some(Self { delta: delta?, reason: reason?, note: note? })
    }

    pub fn movement(
        self,
        id: Id<Movement>,
        product_id: Id<Product>,
        actor: Actor,
        now: Timestamp,
    ) -> Movement {
        let Self { delta, reason, note } = self;
        Movement { id, product_id, delta, reason, note, actor: actor.into(), order_id: None, created_at: now }
    }
}

/// A quantity of one product, as requests and orders name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemQuantity {
    pub product_id: Id<Product>,
    /// Pieces, from 1.
    pub quantity: i64,
}

impl ItemQuantity {
    /// Maximum entries of one request. Each takes two items of a transaction (stock and movement), which holds 100.
    pub const MAX: usize = 48;
    const MAX_QUANTITY: i64 = 10_000;

    pub fn read(body: &mut Object) -> Option<Self> {
        let product_id = body.field("product_id").text(str::parse);
        let quantity =
            body.field("quantity").integer(|quantity| validation::within(quantity, 1, Self::MAX_QUANTITY));
        Some(Self { product_id: product_id?, quantity: quantity? })
    }

    pub fn read_list(field: Field) -> Option<Vec<Self>> {
        field.list(Self::MAX, |item| item.object(Self::read))
    }
}

/// Change of one product's stock, in pieces; negative where they decrease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    pub product_id: Id<Product>,
    pub on_hand: i64,
    pub reserved: i64,
    pub available: i64,
}

/// Stock changes that go with a change of an order. Each product occurs once: a transaction may touch an item only once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StockChanges(Vec<StockChange>);

impl StockChanges {
    pub fn iter(&self) -> impl Iterator<Item = &StockChange> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn reserve(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, 0, pieces, -pieces);
    }

    /// Returns reserved pieces to sale.
    pub fn release(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, 0, -pieces, pieces);
    }

    /// Takes reserved pieces out of the warehouse.
    pub fn ship(&mut self, product: Id<Product>, pieces: i64) {
        self.add(product, -pieces, -pieces, 0);
    }

    /// Puts returned pieces back on sale.
    pub fn restock(&mut self, product: Id<Product>, pieces: i64) {
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

    pub fn extend(&mut self, others: Self) {
        for other in others.0 {
            self.add(other.product_id, other.on_hand, other.reserved, other.available);
        }
    }
}
