//! The domain crate: everything that the functions share.
//!
//! Modules in reading order; each uses only those above it. So do the files within each module.
//!
//! | module | content |
//! | --- | --- |
//! | [`domain`] | the shop's rules: pure, without I/O, clock or HTTP |
//! | [`error`] | everything that can go wrong |
//! | [`config`] | environment variables |
//! | [`telemetry`] | the log line of each invocation, and its metrics |
//! | [`auth`] | scopes, tokens, and proofs of who is calling |
//! | [`password`] | which passwords are acceptable, and their hashes |
//! | `aws` | configuration and errors of AWS clients |
//! | `cache` | values that are read at start and kept in memory |
//! | [`secrets`] | Secrets Manager: private keys |
//! | [`store`] | DynamoDB: load, save, list |
//! | [`payments`] | the payment provider's API |
//! | [`html`] | pages and their security policies |
//! | [`orders`] | use cases: place, pay, capture, refund, cancel, fulfil, expire, reconcile |
//! | [`accounts`] | use cases: register, verify, log in, reset, erase |
//! | [`key_rotation`] | use case: rotate keys |
//! | [`oauth`] | OAuth 2.0 |
//! | [`mail`] | notifications and SES |
//! | [`events`] | events and EventBridge |
//! | [`docs`] | the API's own documentation |
//! | `start` | start and end of a function |
//! | [`http`], [`stream`], [`task`] | the triggers: requests, table streams, schedules and others |
//! | [`prelude`] | names that nearly every function uses |

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
pub mod payments;

pub mod orders;

pub mod accounts;
pub mod key_rotation;

pub mod oauth;

pub mod docs;
pub mod events;
pub mod mail;

mod start;

pub mod http;
pub mod stream;
pub mod task;

/// Names that nearly every function uses.
pub mod prelude {
    pub use std::process::ExitCode;

    pub use crate::{
        auth::Scope,
        config::ConfigError,
        error::Error,
        http::{self, Request, Response},
        store::{Store, keys::Keys},
    };
}
