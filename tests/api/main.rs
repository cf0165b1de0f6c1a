//! Tests of the shop from outside: the functions' binaries behind the gateway, on an embedded DynamoDB, with a proxy that
//! injects faults. One module per resource or concern, one test per promise. Tests of invariants have their numbers in their
//! names.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test, and all that helps it, fails by panicking"
)]

mod shop;

mod docs;
mod health;
mod inventory;
mod products;
mod products_list;

mod lists;
mod oauth;
mod sessions;
mod users;

mod expire;
mod orders;
mod payments;
mod provider;
mod webhooks;

mod availability;
mod burst;
mod bus;
mod events;

mod access;
mod audit;
mod authority;
mod tokens;
mod validation;

mod cost;
mod coverage;
mod fault_injection;
mod gateway;
mod idempotency;
mod keys;
mod limits;
mod log;
mod mail;
mod metrics;
mod prices;
mod races;
mod rights;
mod variables;
mod versions;
