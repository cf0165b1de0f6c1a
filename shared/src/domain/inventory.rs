//! Stock: how much there is of a product, and the ledger of how that came about.

use serde::{Deserialize, Serialize};

use super::{
    cause::By,
    id::{Entity, Id},
    input::{self, Fault, Object},
    order::OrderId,
    product::{NewProduct, Product},
    time::Timestamp,
    user::Actor,
};

/// The stock of one product. Always `available + reserved = on_hand`, and none of them negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Whose stock it is.
    pub product_id: Id<Product>,
    /// Pieces in the house: the sum of the product's movements.
    pub on_hand: i64,
    /// Pieces that open orders have a claim on.
    pub reserved: i64,
    /// Pieces that can still be sold.
    pub available: i64,
    /// At how many available pieces and fewer it counts as low.
    pub low_stock_threshold: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Stock {
    /// The stock that a new product begins with.
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

    /// What everybody may know of it.
    pub fn availability(&self) -> Availability {
        Availability::of(self.available, self.low_stock_threshold)
    }
}

/// How much there is of a product, as everybody may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// More than the threshold.
    InStock,
    /// Some, but no more than the threshold.
    LowStock,
    /// None.
    OutOfStock,
}

impl Availability {
    /// The band that so many available pieces fall into.
    pub fn of(available: i64, low_stock_threshold: i64) -> Self {
        if available <= 0 {
            Self::OutOfStock
        } else if available <= low_stock_threshold {
            Self::LowStock
        } else {
            Self::InStock
        }
    }

    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InStock => "in_stock",
            Self::LowStock => "low_stock",
            Self::OutOfStock => "out_of_stock",
        }
    }
}

/// One line of the ledger of what is on hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Its identifier; movements sort by it as they happened.
    pub id: Id<Movement>,
    /// What moved.
    pub product_id: Id<Product>,
    /// How many pieces came in, or went out where negative. Never 0.
    pub delta: i64,
    /// Why.
    pub reason: Reason,
    /// What the staff had to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who did it.
    pub actor: By,
    /// For which order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    /// When.
    pub created_at: Timestamp,
}

impl Entity for Movement {
    const PREFIX: &'static str = "mov";
}

impl Movement {
    /// The first line of a new product's ledger; there is none where there is no stock.
    pub fn opening(id: Id<Movement>, stock: &Stock, actor: Actor) -> Option<Self> {
        (stock.on_hand > 0).then_some(Self {
            id,
            product_id: stock.product_id,
            delta: stock.on_hand,
            reason: Reason::Opening,
            note: None,
            actor: actor.into(),
            order_id: None,
            created_at: stock.updated_at,
        })
    }
}

/// Why stock moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Came with the product's entry.
    Opening,
    /// Came from a supplier.
    Received,
    /// Was miscounted.
    Correction,
    /// Broke or was lost.
    Damaged,
    /// Came back from a customer.
    Returned,
    /// Went to a customer.
    Shipped,
}

impl Reason {
    /// Reads a reason that the staff may give; openings and shipments are the shop's own.
    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "received" => Ok(Self::Received),
            "correction" => Ok(Self::Correction),
            "damaged" => Ok(Self::Damaged),
            "returned" => Ok(Self::Returned),
            _ => Err(Fault::UnknownValue("received, correction, damaged, returned")),
        }
    }
}

/// A change of stock that the staff asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Adjustment {
    delta: i64,
    reason: Reason,
    note: Option<String>,
}

impl Adjustment {
    const MAX: i64 = 1_000_000_000;

    /// Reads it from a client's object.
    pub fn read(body: &mut Object) -> Option<Self> {
        let delta = body.field("delta").integer(|delta| match delta {
            0 => Err(Fault::Format("a number other than 0")),
            _ => input::within(delta, -Self::MAX, Self::MAX),
        });
        let reason = body.field("reason").text(Reason::parse);
        let note = body.field("note").optional(|field| field.text(|text| input::prose(text, 1, 500)));
        Some(Self { delta: delta?, reason: reason?, note: note? })
    }

    /// The line of the ledger that it makes.
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
