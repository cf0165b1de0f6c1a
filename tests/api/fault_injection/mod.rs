//! Faults of the services: each error of DynamoDB, Secrets Manager and Stripe, lost responses, calls that never return, and
//! killed functions. The calls to fail are found by observation.

pub mod catalogue;
pub mod orders;
pub mod unavailable;
