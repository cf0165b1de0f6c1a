//! Orders: what was bought, their state, and the rules for changing them.
//!
//! [`state`] has the transitions. Every change is a method of [`Order`], which appends to the timeline and returns the
//! stock changes that go with it. [`Order::next_step`] decides what to ask the payment provider next, and
//! [`Order::due`] when to look at an order again.

mod state;

mod fulfilment;
mod line;
mod timeline;

mod error;

mod entity;

mod steps;

mod closing;

mod place;

mod pay;

mod cancel;
mod expire;
mod fulfil;
mod refund;

pub use entity::Order;
pub use error::OrderError;
pub use fulfilment::{Fulfilment, NewFulfilment, Tracking};
pub use line::Line;
pub use place::{NewOrder, PlaceOrderError};
pub use state::{FulfilmentStatus, OrderStatus, PaymentStatus};
pub use steps::{ABANDONED_AFTER, DueQueue, ProviderStep};
pub use timeline::{TimelineEvent, TimelineEventType};
