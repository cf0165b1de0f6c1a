//! The lists of operations that tests keep, held against the functions, their contracts and their rights. A list without
//! a row for an operation fails by the operation's name.

use std::{collections::BTreeSet, fs};

use tidy::{self, Repository};

use crate::{
    fault_injection::{catalogue, orders, unavailable},
    prices,
    shop::{CONTRACT, process},
};

/// Functions that a stream or a schedule invokes, and the module whose tests inject their faults.
const FAULTS_ELSEWHERE: [(&str, &str); 3] =
    [("keys-rotate", "keys"), ("mail-send", "mail"), ("products-availability", "availability")];

/// Operations that no request written by hand can show, and the reason.
const NOT_BY_HAND: [(&str, &str); 2] = [
    ("oauth-authorize-submit", "needs the form's token and cookie"),
    ("payments-webhook", "needs the provider's signature"),
];

fn names<'a>(rows: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    rows.into_iter().map(str::to_owned).collect()
}

fn all_functions() -> BTreeSet<String> {
    process::functions().into_iter().collect()
}

/// The functions that may use a table other than that of the public keys, which every function reads once.
fn functions_with_a_table() -> BTreeSet<String> {
    let files = tidy::read(&template::repository()).unwrap();
    let rights = Repository::new(files).unwrap().rights().into_iter();
    // Lambda reads the streams, with the role of the function.
    let of_streams = ["DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"];
    let uses = |(action, resource): &(String, String)| {
        let action = action.strip_prefix("dynamodb:").filter(|action| !of_streams.contains(action));
        action.is_some_and(|action| (action, &**resource) != ("Query", "KeysTable/index/verifiers"))
    };
    rights.filter(|(_, rights)| rights.iter().any(uses)).map(|(function, _)| function).collect()
}

/// Fails by name for each operation without a row, and for each row without an operation.
#[track_caller]
fn assert_rows(list: &str, operations: &BTreeSet<String>, rows: &BTreeSet<String>) {
    let missing: Vec<_> = operations.difference(rows).collect();
    let unknown: Vec<_> = rows.difference(operations).collect();
    assert!(missing.is_empty(), "{list} has no row for {missing:?}");
    assert!(unknown.is_empty(), "{list} has a row for {unknown:?}, which there is no reason for");
}

#[test]
fn every_function_that_uses_a_table_has_its_faults_injected() {
    let orders = orders::OPERATIONS.map(|operation| operation.function);
    let elsewhere = FAULTS_ELSEWHERE.map(|(function, _)| function);
    let lists = [&catalogue::OPERATIONS[..], &unavailable::FUNCTIONS, &orders, &elsewhere];
    assert_rows("tests/api/fault_injection", &functions_with_a_table(), &names(lists.concat()));
    for (function, module) in FAULTS_ELSEWHERE {
        let path = template::repository().join(format!("tests/api/{module}.rs"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(function), "{} does not name {function}", path.display());
    }
}

#[test]
fn every_function_that_uses_a_table_has_its_round_trips_counted() {
    let tests = include_str!("cost.rs");
    let mut functions = functions_with_a_table();
    // It runs once a month.
    functions.remove("keys-rotate");
    let counted = functions.iter().filter(|function| tests.contains(&format!("\"{function}\""))).cloned();
    assert_rows("tests/api/cost.rs", &functions, &counted.collect());
}

#[test]
fn every_function_that_uses_a_table_has_a_price() {
    let mut functions = functions_with_a_table();
    functions.remove("keys-rotate");
    assert_rows("docs/scaling.md", &functions, &prices::priced());
}

#[test]
fn every_function_has_an_event() {
    let files = template::repository().join("local/events").read_dir().unwrap();
    let events = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_rows("local/events", &all_functions(), &events.collect());
}

#[test]
fn every_function_has_an_event_in_the_benchmark() {
    let functions = all_functions();
    let known = functions.iter().filter(|function| bench::is_known(function)).cloned();
    assert_rows("local/bench/src/traffic.rs", &functions, &known.collect());
}

#[test]
fn every_operation_has_a_request_by_hand() {
    let text = fs::read_to_string(template::repository().join("local/shop.http")).unwrap();
    let requests = text.lines().filter_map(|line| line.split_once(" {{shop}}"));
    let mut shown: BTreeSet<String> = requests
        .map(|(method, path)| CONTRACT.operation(method, path.split('?').next().unwrap()).id.clone())
        .collect();
    shown.extend(NOT_BY_HAND.map(|(operation, _)| operation.to_owned()));
    let operations = CONTRACT.operations().iter().map(|operation| operation.id.clone());
    assert_rows("local/shop.http", &operations.collect(), &shown);
}
