//! No function may do what it never does: each right in template.yaml is one that some call has needed in the last whole
//! run of the API's tests. That none is missing shows in that run itself, whose proxy refuses what is not granted.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod used;

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use local::tidy::{self, Repository};

/// What Lambda does in a function's name: it reads the stream that feeds it, and parks the records that the function fails at.
const OF_LAMBDA: [&str; 5] = [
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "sqs:SendMessage",
];

#[test]
fn every_right_is_needed() {
    let record = fs::read_to_string(used::path()).unwrap_or_default();
    let mut lines = record.lines();
    let began = lines.next().and_then(|millis| millis.parse().ok()).map(Duration::from_millis);
    let root = local::repository();
    let changed =
        ["functions", "local/src", "shared/src", "tests/api"].map(|folder| newest(&root.join(folder)));
    let is_of_this_code =
        began.is_some_and(|began| changed.iter().all(|changed| *changed < UNIX_EPOCH + began));
    assert!(
        is_of_this_code,
        "nobody knows which rights this code needs: run all tests of the API, by `cargo test` or by \
         `cargo test --test api` without a filter"
    );

    let needed: Vec<Vec<&str>> = lines.map(|line| line.splitn(3, ' ').collect()).collect();
    let is_needed = |function: &str, action: &str, granted: &str| {
        needed.iter().any(|right| right[..2] == [function, action] && used::covers(granted, right[2]))
    };
    let mut unused = Vec::new();
    for (function, rights) in Repository::new(tidy::read(&root).unwrap()).unwrap().rights() {
        for (action, resource) in rights.iter().filter(|(action, _)| !OF_LAMBDA.contains(&&**action)) {
            if !is_needed(&function, action, resource) {
                unused.push(format!("{function} may do {action} to {resource}, and no test has it do so"));
            }
        }
    }
    assert!(
        unused.is_empty(),
        "remove the right from template.yaml, or add the test that needs it:\n  {}\n",
        unused.join("\n  ")
    );
}

/// When a source below a folder was last changed.
fn newest(folder: &Path) -> SystemTime {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let changed = entries.map(|path| match path.extension() {
        _ if path.is_dir() => newest(&path),
        Some(extension) if extension == "rs" => fs::metadata(&path).unwrap().modified().unwrap(),
        _ => UNIX_EPOCH,
    });
    changed.max().unwrap_or(UNIX_EPOCH)
}
