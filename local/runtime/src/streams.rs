//! Delivers table streams to functions like Lambda's event source mappings: in order, at least once, in batches. A failed
//! batch is bisected, retried and at last becomes a dead letter.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use dynoxide::{
    Database,
    actions::{
        describe_table::DescribeTableRequest, get_records::GetRecordsRequest,
        get_shard_iterator::GetShardIteratorRequest,
    },
};
use serde_json::{Value, json};
use shared::telemetry;
use template::Source;
use tokio::time::sleep;

/// Pause before an empty stream is read again.
const INTERVAL: Duration = Duration::from_millis(50);
/// Pause before a retry, which doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Exceeds the time that any function may run.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(30);

/// Delivery of a table's stream to a function.
pub struct Delivery {
    source: Source,
    database: Database,
    stream: String,
    http: reqwest::Client,
    url: String,
    /// Start of the stream before the first checkpoint.
    start: String,
    /// Sequence number of the last processed record.
    checkpoint: Option<String>,
    folder: PathBuf,
}

/// Records cannot be delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("template.yaml: {0} has no stream for {1}: add a StreamSpecification to the table")]
    NoStream(String, String),
    #[error("the stream cannot be read: {0}")]
    Read(#[from] dynoxide::DynoxideError),
    #[error("the function cannot be reached: {0}")]
    Reach(#[from] reqwest::Error),
    #[error("the checkpoint or dead letters cannot be written to {0}: {1}")]
    Note(PathBuf, #[source] io::Error),
}

/// Consecutive records and their number of failures.
struct Batch {
    records: Vec<Value>,
    failures: u32,
}

impl Delivery {
    /// Opens a delivery. Invocations go to `url`, the URL of `cargo lambda watch`. `folder` keeps the checkpoint, and the
    /// dead letters in `dead-letters.jsonl`.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub fn open(
        source: Source,
        database: &Database,
        url: &str,
        folder: &Path,
    ) -> Result<Self, DeliveryError> {
        let table = database.describe_table(DescribeTableRequest { table_name: source.table.clone() })?.table;
        let no_stream = || DeliveryError::NoStream(source.table.clone(), source.function.clone());
        let stream = table.latest_stream_arn.ok_or_else(no_stream)?;
        let http = reqwest::Client::builder().no_proxy().timeout(INVOCATION_TIMEOUT).build()?;
        let url = format!("{url}/2015-03-31/functions/{}/invocations", source.function);
        let mut delivery = Self {
            source,
            database: database.clone(),
            stream,
            http,
            url,
            start: String::new(),
            checkpoint: None,
            folder: folder.to_owned(),
        };
        let kind = if delivery.source.from_the_beginning { "TRIM_HORIZON" } else { "LATEST" };
        delivery.start = delivery.iterator(kind, None)?;
        let path = delivery.checkpoint_path();
        delivery.checkpoint = match fs::read_to_string(&path) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(DeliveryError::Note(path, error)),
        };
        Ok(delivery)
    }

    /// Delivers forever. `say` reports failures.
    pub async fn run(mut self, say: impl Fn(&str)) {
        loop {
            match self.deliver_next(&say).await {
                Ok(0) => sleep(INTERVAL).await,
                Ok(_) => {}
                Err(error) => {
                    say(&format!("{} ({}): {error}", self.source.function, self.source.table));
                    sleep(LONGEST_WAIT).await;
                }
            }
        }
    }

    /// Delivers the next batch until each of its records is processed or a dead letter. Returns the number of records that
    /// the stream had, 0 if it was empty.
    ///
    /// # Errors
    /// [`DeliveryError`]. The next call continues after the last processed record.
    pub async fn deliver_next(&mut self, say: impl Fn(&str)) -> Result<usize, DeliveryError> {
        let records = self.read()?;
        let count = records.len();
        let last = records.last().map(sequence_number);
        let wanted: Vec<_> = records.into_iter().filter(|record| self.wants(record)).collect();
        if !wanted.is_empty() {
            self.deliver(wanted, &say).await?;
        }
        if let Some(last) = last {
            self.done_up_to(last)?;
        }
        Ok(count)
    }

    fn read(&self) -> Result<Vec<Value>, DeliveryError> {
        let shard_iterator = match &self.checkpoint {
            Some(_) => self.iterator("AFTER_SEQUENCE_NUMBER", self.checkpoint.clone())?,
            None => self.start.clone(),
        };
        let request = GetRecordsRequest { shard_iterator, limit: Some(self.source.batch_size) };
        let records = self.database.get_records(request)?.records;
        let with_source = |record| {
            let mut record = json!(record);
            record["eventSourceARN"] = json!(self.stream);
            record
        };
        Ok(records.into_iter().map(with_source).collect())
    }

    fn iterator(&self, kind: &str, sequence_number: Option<String>) -> Result<String, DeliveryError> {
        let answer = self.database.get_shard_iterator(GetShardIteratorRequest {
            stream_arn: self.stream.clone(),
            shard_id: dynoxide::streams::shard_id(&self.source.table),
            shard_iterator_type: kind.to_owned(),
            sequence_number,
        })?;
        Ok(answer.shard_iterator.unwrap_or_default())
    }

    fn wants(&self, record: &Value) -> bool {
        let filters = &self.source.filters;
        filters.is_empty() || filters.iter().any(|filter| filter.matches(record))
    }

    async fn deliver(&mut self, records: Vec<Value>, say: &impl Fn(&str)) -> Result<(), DeliveryError> {
        let mut batches = vec![Batch { records, failures: 0 }];
        while let Some(mut batch) = batches.pop() {
            let Err((first_failed, reason)) = self.invoke(&batch.records).await? else {
                self.done_with(&batch.records)?;
                continue;
            };
            let handled: Vec<_> = batch.records.drain(..first_failed).collect();
            self.done_with(&handled)?;
            if self.source.bisects && batch.records.len() > 1 {
                // A bisection does not count as a retry.
                let second = batch.records.split_off(batch.records.len() / 2);
                batches.push(Batch { records: second, failures: batch.failures });
                batches.push(batch);
            } else if self.source.retries.is_none_or(|retries| batch.failures < retries) {
                sleep(LONGEST_WAIT.min(FIRST_WAIT * 2_u32.saturating_pow(batch.failures))).await;
                batches.push(Batch { failures: batch.failures.saturating_add(1), ..batch });
            } else {
                self.dead_letter(&batch.records, &reason)?;
                self.done_with(&batch.records)?;
                let (count, file) = (batch.records.len(), self.dead_letters_path());
                say(&format!("{} failed: {count} dead letters in {}", self.source.function, file.display()));
            }
        }
        Ok(())
    }

    /// Invokes the function once. Returns index and reason of the first failure.
    async fn invoke(&self, records: &[Value]) -> Result<Result<(), (usize, String)>, DeliveryError> {
        let sent = self.http.post(&self.url).json(&json!({"Records": records})).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(late) if late.is_timeout() => return Ok(Err((0, "it did not answer".to_owned()))),
            Err(unreachable) => return Err(unreachable.into()),
        };
        let (status, body) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Ok(Err((0, body)));
        }
        if !self.source.reports_failures {
            return Ok(Ok(()));
        }
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
        // An unknown sequence number stands for the whole batch.
        let place = |failure: &Value| {
            let failed = failure["itemIdentifier"].as_str();
            records
                .iter()
                .position(|record| Some(sequence_number(record)) == failed.map(str::to_owned))
                .unwrap_or(0)
        };
        Ok(match failures.map(place).min() {
            Some(first) => Err((first, "it reported a failure".to_owned())),
            None => Ok(()),
        })
    }

    fn dead_letter(&self, records: &[Value], reason: &str) -> Result<(), DeliveryError> {
        let (path, function) = (self.dead_letters_path(), &self.source.function);
        let line = json!({"failed_at": telemetry::now(), "function": function, "reason": reason, "records": records});
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}")).map_err(|error| DeliveryError::Note(path, error))
    }

    fn done_with(&mut self, records: &[Value]) -> Result<(), DeliveryError> {
        records.last().map(sequence_number).map_or(Ok(()), |last| self.done_up_to(last))
    }

    fn done_up_to(&mut self, last: String) -> Result<(), DeliveryError> {
        let path = self.checkpoint_path();
        // Renamed, so that a crash leaves the old file or the new one.
        let new = path.with_extension("new");
        let written = fs::write(&new, &last).and_then(|()| fs::rename(&new, &path));
        written.map_err(|error| DeliveryError::Note(path, error))?;
        self.checkpoint = Some(last);
        Ok(())
    }

    fn checkpoint_path(&self) -> PathBuf {
        // A function may have several streams.
        self.folder.join(format!("{}-{}.checkpoint", self.source.function, self.source.table))
    }

    fn dead_letters_path(&self) -> PathBuf {
        self.folder.join("dead-letters.jsonl")
    }
}

fn sequence_number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{
        future,
        sync::{Arc, Mutex},
    };

    use emulators::{
        dynamodb::Dynamo,
        server::{Answer, Server},
    };
    use hyper::StatusCode;
    use template::{Template, filter::Filter};

    use super::*;

    /// A function that answers a batch with a status and a body.
    type Function = fn(&[Value]) -> (u16, Value);

    /// Batches that a function got, as their records' sort keys.
    type Batches = Arc<Mutex<Vec<String>>>;

    async fn serve(function: Function) -> (Server, Batches) {
        let batches = Batches::default();
        let seen = Arc::clone(&batches);
        let server = Server::start(0, move |_, body| {
            let event: Value = serde_json::from_slice(&body).unwrap();
            let records = event["Records"].as_array().unwrap();
            seen.lock().unwrap().push(records.iter().map(key).collect());
            let (status, answer) = function(records);
            let mut response = Answer::new(answer.to_string().into());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            future::ready(Ok(response))
        });
        (server.await.unwrap(), batches)
    }

    fn key(record: &Value) -> String {
        record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().to_owned()
    }

    /// Creates the shop's tables, with items of these sort keys.
    async fn table(keys: &[&str]) -> Dynamo {
        let dynamo = Dynamo::in_memory().await.unwrap();
        dynamo.create_tables(&Template::read(&template::repository()).unwrap()).unwrap();
        keys.iter().for_each(|key| write(&dynamo, key));
        dynamo
    }

    fn write(dynamo: &Dynamo, key: &str) {
        dynamo.put("ProductsTable", json!({"pk": {"S": "X"}, "sk": {"S": key}})).unwrap();
    }

    fn source() -> Source {
        Source {
            function: "any".to_owned(),
            table: "ProductsTable".to_owned(),
            batch_size: 10,
            from_the_beginning: true,
            retries: Some(1),
            bisects: true,
            reports_failures: true,
            filters: Vec::new(),
        }
    }

    #[tokio::test]
    async fn batches_come_in_order_filtered_and_once_across_restarts() {
        let (function, seen) = serve(|_| (200, json!({"batchItemFailures": []}))).await;
        let dynamo = table(&["a", "b", "x", "c"]).await;
        let folder = tempfile::tempdir().unwrap();
        let filter =
            Filter::parse(r#"{"dynamodb": {"Keys": {"sk": {"S": [{"anything-but": ["x"]}]}}}}"#).unwrap();
        let source = Source { batch_size: 3, filters: vec![filter], ..source() };
        let open = || Delivery::open(source.clone(), &dynamo.database, &function.url, folder.path()).unwrap();

        let mut delivery = open();
        while delivery.deliver_next(|_| ()).await.unwrap() > 0 {}
        write(&dynamo, "d");
        let mut delivery = open();
        while delivery.deliver_next(|_| ()).await.unwrap() > 0 {}

        assert_eq!(*seen.lock().unwrap(), ["ab", "c", "d"]);
    }

    #[tokio::test]
    async fn one_function_reads_the_streams_of_several_tables_each_to_its_end() {
        let (function, seen) = serve(|_| (200, json!({}))).await;
        let dynamo = table(&["a", "b"]).await;
        dynamo.put("UsersTable", json!({"pk": {"S": "X"}, "sk": {"S": "u"}})).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let open = |table: &str| {
            let source = Source { table: table.to_owned(), ..source() };
            Delivery::open(source, &dynamo.database, &function.url, folder.path()).unwrap()
        };
        for table in ["ProductsTable", "UsersTable", "ProductsTable", "UsersTable"] {
            let mut delivery = open(table);
            while delivery.deliver_next(|_| ()).await.unwrap() > 0 {}
        }
        assert_eq!(*seen.lock().unwrap(), ["ab", "u"]);
    }

    #[tokio::test]
    async fn a_poison_record_is_isolated_retried_and_becomes_a_dead_letter() {
        let poisoned: Function = |records| match records.iter().any(|record| key(record) == "p") {
            true => (500, json!({"errorType": "poison"})),
            false => (200, json!({})),
        };
        let (function, seen) = serve(poisoned).await;
        let dynamo = table(&["a", "b", "p", "c"]).await;
        let folder = tempfile::tempdir().unwrap();
        let mut delivery = Delivery::open(source(), &dynamo.database, &function.url, folder.path()).unwrap();

        assert_eq!(delivery.deliver_next(|_| ()).await.unwrap(), 4);

        assert_eq!(*seen.lock().unwrap(), ["abpc", "ab", "pc", "p", "p", "c"]);
        let dead_letter = fs::read_to_string(folder.path().join("dead-letters.jsonl")).unwrap();
        let dead_letter: Value = serde_json::from_str(&dead_letter).unwrap();
        assert_eq!(
            (key(&dead_letter["records"][0]), &dead_letter["function"]),
            ("p".to_owned(), &json!("any"))
        );
        assert_eq!(delivery.deliver_next(|_| ()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_stands_before_a_reported_failure_does_not_come_again() {
        let second_of_three: Function = |records| match records {
            [_, second, _] => {
                (200, json!({"batchItemFailures": [{"itemIdentifier": sequence_number(second)}]}))
            }
            _ => (200, json!(null)),
        };
        let (function, seen) = serve(second_of_three).await;
        let dynamo = table(&["a", "b", "c"]).await;
        let (source, folder) = (Source { bisects: false, ..source() }, tempfile::tempdir().unwrap());
        let mut delivery = Delivery::open(source, &dynamo.database, &function.url, folder.path()).unwrap();

        delivery.deliver_next(|_| ()).await.unwrap();

        assert_eq!(*seen.lock().unwrap(), ["abc", "bc"]);
    }

    #[tokio::test]
    async fn a_function_that_is_away_loses_nothing() {
        let dynamo = table(&["a"]).await;
        let folder = tempfile::tempdir().unwrap();
        let mut delivery =
            Delivery::open(source(), &dynamo.database, "http://127.0.0.1:1", folder.path()).unwrap();
        assert!(matches!(delivery.deliver_next(|_| ()).await, Err(DeliveryError::Reach(_))));

        let (function, seen) = serve(|_| (200, json!({}))).await;
        let mut delivery = Delivery::open(source(), &dynamo.database, &function.url, folder.path()).unwrap();
        delivery.deliver_next(|_| ()).await.unwrap();

        assert_eq!(*seen.lock().unwrap(), ["a"]);
    }
}
