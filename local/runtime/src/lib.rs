//! Lambda and API Gateway on one machine: functions and what calls them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`process`] | processes that never outlive the one that started them |
//! | [`cargo_lambda`] | cargo-lambda, found or installed |
//! | [`function`] | a function under `cargo lambda watch`, kept alive |
//! | [`rest_event`] | events of API Gateway |
//! | [`gateway`] | API Gateway in front of the functions |
//! | [`streams`], [`schedules`] | streams of tables and schedules, delivered to functions as AWS does |
//! | [`log`] | the functions' log lines, made readable |
//! | [`data`] | the folder that keeps a shop's data |
//! | [`keys`], [`seed`] | tokens signed with the shop's key; the catalogue and the first users |

pub mod process;

pub mod data;
pub mod keys;
pub mod seed;

pub mod rest_event;

pub mod cargo_lambda;
pub mod function;
pub mod gateway;
pub mod log;
pub mod schedules;
pub mod streams;
