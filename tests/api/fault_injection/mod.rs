//! Faults of the services: each error of DynamoDB, Secrets Manager and Stripe, lost responses, calls that never return, and
//! killed functions. The calls to fail are found by observation.

pub mod catalogue;
pub mod orders;
pub mod unavailable;

/// Names of the AWS errors that are mistakes of the shop. They get 500, all others 503.
const MISTAKES: [&str; 5] =
    ["no such table", "access denied", "expired credentials", "a bad request", "an unknown error"];
