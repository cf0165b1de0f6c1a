//! Use cases of orders.
//!
//! Every change runs through one loop ([`process`]): load the order, decide, save under optimistic locking, and retry after
//! a concurrent change. With an idempotency key, the effect and its record are one transaction.
//!
//! A change that involves the payment provider takes three steps: write down what will be asked of the provider, ask, and
//! write down the outcome. A process that dies in between leaves enough for a retry, a webhook or the schedule to
//! continue. [`Order::next_step`](crate::domain::order::Order::next_step) decides what to ask next.

mod process;

mod provider_step;

mod checkout;

mod cancel;
mod capture;
mod erase;
mod expire;
mod fulfil;
mod list;
mod pay;
mod place;
mod queue;
mod reconcile;
mod refund;
mod webhook;

pub use checkout::Checkout;
pub use erase::{erase, erase_late};
pub use fulfil::fulfil;
pub use list::list;
pub use pay::UNKNOWN_PAYMENT_METHOD;
pub use place::place;
