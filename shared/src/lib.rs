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
//! | [`auth`] | scopes, tokens of every kind, and the proofs of who is calling |
//! | [`password`] | what may become a password, and how it lies in the store |
//! | [`aws`] | how the services of AWS are called, and what their failures mean |
//! | [`cache`] | values that are read at start and kept in memory |
//! | [`secrets`] | Secrets Manager: private keys, and their rotation |
//! | [`store`] | DynamoDB, and nobody else's |
//! | [`html`] | pages, and the policies under which browsers show them |
//! | [`sign_in`] | the check of a password, and its limits |
//! | [`oauth`] | OAuth 2.0: authorization requests, grants, and the sign-in page |
//! | [`docs`] | what the API says of itself |
//! | [`mail`] | the mails, and SES, which sends them |
//! | [`events`] | EventBridge, which carries what has happened |
//! | [`payments`] | the payment provider |
//! | [`checkout`] | the processes of several steps: pay, capture, refund, cancel, expire, settle |
//! | [`start`] | the start of a function and its end |
//! | [`http`] | request in, answer out |
//! | [`stream`], [`task`] | the changes of a table, batch by batch; events of other kinds |

pub mod domain;
pub mod error;

pub mod config;
pub mod telemetry;

pub mod auth;
pub mod password;

mod aws;
mod cache;
pub mod secrets;
pub mod store;

pub mod html;
pub mod sign_in;

pub mod oauth;

pub mod docs;

pub mod events;
pub mod mail;
pub mod payments;

pub mod checkout;

pub mod start;

pub mod http;
pub mod stream;
pub mod task;
