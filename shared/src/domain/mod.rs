//! The shop's rules, pure: no I/O, no clock, no HTTP. A value of these types is valid, or it could not be made.

pub mod cause;
pub mod client;
pub mod id;
pub mod input;
pub mod inventory;
pub mod listing;
pub mod money;
pub mod order;
pub mod payment;
pub mod product;
pub mod time;
pub mod user;
