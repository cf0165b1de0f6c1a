//! The commands of `cargo shop` that are more than a call of another crate.
//!
//! | module | command |
//! | --- | --- |
//! | [`up`] | `up`: the whole shop on this machine |
//! | [`deploy`] | `deploy`: the shop in the cloud |
//! | [`new`] | `new`: a new operation |
//! | [`revoke`] | `keys revoke`: the end of a leaked key |
//! | [`blocklist`] | `blocklist`: the filter of common passwords |

pub mod blocklist;
pub mod deploy;
pub mod new;
pub mod revoke;
pub mod up;
