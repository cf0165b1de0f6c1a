//! The shop while a service that it calls fails: each error of DynamoDB, Secrets Manager and Stripe, lost
//! responses, calls that never return, and functions that are killed. The calls to fail are found by observing them.

pub mod catalogue;
pub mod orders;
pub mod unavailable;
