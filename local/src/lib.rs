//! The shop on one machine, and the keeping of its repository: what `cargo shop` does.
//!
//! | module | holds |
//! | --- | --- |
//! | [`template`], [`filter`] | template.yaml, as far as one machine needs it |
//! | [`data`] | the folder that keeps a shop's data |
//! | [`database`] | DynamoDB inside this process, its tables made from the template |
//! | [`secrets`], [`mail`], [`event_bridge`], [`stripe`] | what stands in for Secrets Manager, SES, EventBridge and Stripe, by address |
//! | [`jsonl`] | the files of mails and events |
//! | [`keys`], [`seed`] | tokens signed with the shop's key; the catalogue and the first users |
//! | [`process`] | processes that never outlive the one that started them |
//! | [`cargo_lambda`] | cargo-lambda, found or installed |
//! | [`function`] | a function under `cargo lambda watch`, kept alive |
//! | [`gateway`] | API Gateway, in front of the functions |
//! | [`streams`], [`schedules`] | the streams of tables and the hours, delivered to functions as AWS does |
//! | [`log`] | what the functions print, made readable |
//! | [`up`] | all of it together: `cargo shop up` |
//! | [`bench`] | how fast the functions are: `cargo shop bench` |
//! | [`torture`] | a running shop under all that can happen to it: `cargo shop torture` |
//! | [`blocklist`] | the filter of common passwords, made from lists |
//! | [`deploy`] | the shop in the cloud: `cargo shop deploy` |
//! | [`new`] | a new operation: `cargo shop new` |
//! | [`tidy`] | what must be true of the repository, and the files that are made from others |

use std::path::PathBuf;

pub mod filter;
pub mod template;

pub mod data;
pub mod database;

pub mod event_bridge;
pub mod jsonl;
pub mod mail;
pub mod secrets;
mod server;
pub mod stripe;

pub mod keys;
pub mod seed;

pub mod process;

pub mod cargo_lambda;
pub mod function;
pub mod gateway;
pub mod log;
pub mod schedules;
pub mod streams;

pub mod bench;
pub mod up;

pub mod torture;

pub mod blocklist;
pub mod deploy;
pub mod tidy;

pub mod new;

/// The root of the repository that this was built from.
pub fn repository() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map_or_else(|| package.clone(), PathBuf::from)
}
