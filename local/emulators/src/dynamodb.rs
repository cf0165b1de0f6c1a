//! DynamoDB inside this process: an emulator on SQLite, reached over HTTP like the real one.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use dynoxide::Database;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use template::{Table, Template, TemplateError};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

/// The emulator looks for a stream's last record with every write, and without an index it looks at all of them: after
/// some thousand writes that takes longer than all else.
const INDEX_OF_STREAMS: &str = "CREATE INDEX IF NOT EXISTS stream_position
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// A DynamoDB that runs until this is dropped.
pub struct Dynamo {
    /// Where it answers.
    pub url: String,
    /// The way around HTTP.
    pub database: Database,
    /// Dropped, it ends the server.
    _stop: oneshot::Sender<()>,
}

/// Why there is no database. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file can't be opened.
    #[error("{0} can't be opened as a database ({1}): start with --fresh, or choose another --data-dir")]
    Open(PathBuf, #[source] dynoxide::DynoxideError),
    /// The file can't be given the index that it lacks.
    #[error("the database can't be prepared ({0}): start with --fresh, or choose another --data-dir")]
    Prepare(#[from] rusqlite::Error),
    /// There is no port to listen on.
    #[error("DynamoDB finds no port to listen on: {0}")]
    Listen(#[from] io::Error),
    /// The template can't be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A table of the template was refused.
    #[error("template.yaml: {0} can't be made ({1}): correct it there")]
    Table(String, String),
    /// A table is there, but the template has become another since.
    #[error("the table {0} was made from another template.yaml: start with --fresh, which makes it again")]
    Changed(String),
    /// It refused what was asked of it.
    #[error("DynamoDB refused a request: {0}")]
    Refused(#[from] dynoxide::DynoxideError),
    /// The request is none that it knows.
    #[error("DynamoDB can't read a request: {0}")]
    Request(#[from] serde_json::Error),
}

impl Dynamo {
    /// Starts one that forgets.
    ///
    /// # Errors
    /// Where there is no port to listen on.
    pub async fn in_memory() -> Result<Self, DatabaseError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // By a name that a second connection can open, which adds the index.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::on_file(Path::new(&format!("file:shop-{number}?mode=memory&cache=shared"))).await
    }

    /// Starts one on a file, which is made where there is none.
    ///
    /// # Errors
    /// Where the file is no database, or there is no port to listen on.
    pub async fn on_file(path: &Path) -> Result<Self, DatabaseError> {
        let database = Database::new(&path.to_string_lossy());
        let database = database.map_err(|error| DatabaseError::Open(path.to_owned(), error))?;
        rusqlite::Connection::open(path)?.execute_batch(INDEX_OF_STREAMS)?;
        Self::serve(database).await
    }

    async fn serve(database: Database) -> Result<Self, DatabaseError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let until_stopped = async { stopped.await.unwrap_or_default() };
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), until_stopped));
        Ok(Self { url, database, _stop: stop })
    }

    /// Makes the tables of the template that are not there yet, and gives the names of all.
    ///
    /// # Errors
    /// Where the template can't be used, or has changed since a table was made.
    pub fn create_tables(&self, template: &Template) -> Result<Vec<String>, DatabaseError> {
        let tables = template.tables()?;
        for table in &tables {
            match self.database.describe_table(request(json!({"TableName": table.name}))?) {
                Ok(found) if shape(&json!(found)["Table"]) == shape(&table.definition) => {}
                Ok(_) => return Err(DatabaseError::Changed(table.name.clone())),
                Err(dynoxide::DynoxideError::ResourceNotFoundException(_)) => self.create_table(table)?,
                Err(other) => return Err(other.into()),
            }
        }
        Ok(tables.into_iter().map(|table| table.name).collect())
    }

    fn create_table(&self, table: &Table) -> Result<(), DatabaseError> {
        let refused = |reason: String| DatabaseError::Table(table.name.clone(), reason);
        // The emulator marks what it finds wrong while it reads the request.
        let reason =
            |error: serde_json::Error| error.to_string().trim_start_matches("VALIDATION:").to_owned();
        let create = request(table.definition.clone()).map_err(|error| refused(reason(error)))?;
        self.database.create_table(create).map_err(|error| refused(error.to_string()))?;
        if let Some(attribute) = &table.expires_by {
            let expiry = json!({
                "TableName": table.name,
                "TimeToLiveSpecification": {"AttributeName": attribute, "Enabled": true},
            });
            self.database.update_time_to_live(request(expiry)?)?;
        }
        Ok(())
    }

    /// Writes an item, given in DynamoDB's JSON.
    ///
    /// # Errors
    /// Where the table is missing or refuses it.
    pub fn put(&self, table: &str, item: Value) -> Result<(), DatabaseError> {
        self.database.put_item(request(json!({"TableName": table, "Item": item}))?)?;
        Ok(())
    }

    /// Deletes the item with that key, given in DynamoDB's JSON, if it is there.
    ///
    /// # Errors
    /// Where the table is missing or has another key.
    pub fn delete(&self, table: &str, key: Value) -> Result<(), DatabaseError> {
        self.database.delete_item(request(json!({"TableName": table, "Key": key}))?)?;
        Ok(())
    }
}

/// Deletes expired items every minute, as DynamoDB does by their time to live. `say` reports failures.
pub async fn delete_expired(database: Database, say: impl Fn(&str)) -> Infallible {
    loop {
        sleep(EXPIRY_INTERVAL).await;
        if let Err(error) = database.sweep_ttl() {
            say(&format!("cannot delete expired items: {error}"));
        }
    }
}

/// A request as the emulator takes it, from the API's JSON.
fn request<R: DeserializeOwned>(json: Value) -> serde_json::Result<R> {
    serde_json::from_value(json)
}

/// What of a table can't be changed afterwards: keys, indexes, stream.
fn shape(table: &Value) -> (BTreeSet<String>, BTreeSet<String>, Value) {
    let texts = |values: &Value, of: fn(&Value) -> Value| -> BTreeSet<String> {
        values.as_array().into_iter().flatten().map(|value| of(value).to_string()).collect()
    };
    let attributes = texts(&table["AttributeDefinitions"], Value::clone);
    let indexes = texts(&table["GlobalSecondaryIndexes"], |index| {
        let projected = &index["Projection"]["NonKeyAttributes"];
        let projected: BTreeSet<_> =
            projected.as_array().into_iter().flatten().map(Value::to_string).collect();
        json!([index["IndexName"], index["KeySchema"], index["Projection"]["ProjectionType"], projected])
    });
    (attributes, indexes, json!([table["KeySchema"], table["StreamSpecification"]]))
}
