//! The shop's rules: pure, without I/O, clock or HTTP. A value of a domain type is always valid.
//!
//! Modules in reading order; each uses only those above it.

pub mod time;
pub mod validation;

pub mod id;
pub mod money;

pub mod user;

pub mod change;
pub mod client;

pub mod audit;

pub mod product;

pub mod listing;
pub mod order_id;

pub mod inventory;

pub mod payment;

pub mod order;
