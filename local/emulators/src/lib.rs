//! Stand-ins for the services that the shop calls, each reached by its address like the real one.
//!
//! | module | stands in for |
//! | --- | --- |
//! | [`dynamodb`] | DynamoDB, by the embedded database dynoxide |
//! | [`secrets_manager`] | Secrets Manager, with rotation |
//! | [`ses`] | SES: keeps the mails that it is sent |
//! | [`event_bridge`] | EventBridge: keeps the events that it is sent |
//! | [`stripe`] | Stripe: payments, refunds and webhooks |
//!
//! [`server`] is their common HTTP server, [`files`] what they keep their data in, [`lambda`] how they invoke functions.

mod mutex;

pub mod files;
pub mod server;

mod error;

mod aws;
mod inbox;
pub mod lambda;

pub mod dynamodb;
pub mod event_bridge;
pub mod secrets_manager;
pub mod ses;
pub mod stripe;

pub use error::EmulatorError;
