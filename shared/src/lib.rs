//! The domain crate: everything that the functions share.
//!
//! The modules in reading order; each uses only those above it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`domain`] | money, ids, products, inventory: pure rules, no I/O, no clock, no HTTP |
//! | [`error`] | what can go wrong, in the shop's words |
//! | [`config`] | the environment variables, and what to do when one is missing |
//! | [`telemetry`] | the one log line per invocation, with its metrics |
//! | [`auth`] | access tokens, scopes, and the proofs of who is calling |
//! | [`store`] | DynamoDB, and nobody else's |
//! | [`start`] | the start of a function and its end |
//! | [`http`] | request in, answer out |
//! | [`stream`] | the changes of a table, batch by batch |

pub mod domain;
pub mod error;

pub mod config;
pub mod telemetry;

pub mod auth;

pub mod store;

pub mod start;

pub mod http;
pub mod stream;
