//! The shop from outside: its functions' own binaries behind the HTTP of API Gateway, on an embedded DynamoDB, with a
//! proxy between the two that fails as tests ask for. A module a resource or a concern, a test a promise; a test that
//! proves an invariant has its number in front.
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
mod refusals;
mod tokens;

mod cost;
mod faults;
mod gateway;
mod keys;
mod limits;
mod log;
mod mail;
mod metrics;
mod mishaps;
mod once;
mod outages;
mod prices;
mod races;
mod rights;
mod variables;
mod versions;
