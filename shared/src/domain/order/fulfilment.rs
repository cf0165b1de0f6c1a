//! Shipments.

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{Entity, Id},
    inventory::ItemQuantity,
    time::Timestamp,
    validation::{self, Object},
};

/// A shipment of all or part of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfilment {
    pub id: Id<Fulfilment>,
    pub lines: Vec<ItemQuantity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<Tracking>,
    pub created_at: Timestamp,
}

impl Entity for Fulfilment {
    const PREFIX: &'static str = "ful";
}

/// Tracking data of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// Up to 100 characters.
    pub carrier: String,
    /// The carrier's tracking number, up to 100 characters.
    pub number: String,
}

/// Request to ship an order. Without lines, everything left to ship.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewFulfilment {
    pub(super) lines: Option<Vec<ItemQuantity>>,
    pub(super) tracking: Option<Tracking>,
    /// Set to ship although the customer disputes the charge.
    pub despite_dispute: bool,
}

impl NewFulfilment {
    pub fn read(body: &mut Object) -> Option<Self> {
        let lines = body.field("lines").optional(|field| {
            field.list_within(1, ItemQuantity::MAX, |item| item.object(ItemQuantity::read))
        });
        let tracking = body.field("tracking").optional(|field| {
            field.object(|tracking| {
                let carrier = tracking.field("carrier").text(|text| validation::line(text, 1, 100));
                let number = tracking.field("number").text(|text| validation::line(text, 1, 100));
                Some(Tracking { carrier: carrier?, number: number? })
            })
        });
        let despite_dispute = body.field("despite_dispute").or(false, |field| field.boolean(Ok));
        Some(Self { lines: lines?, tracking: tracking?, despite_dispute: despite_dispute? })
    }
}
