//! DynamoDB: the embedded database dynoxide, on SQLite, served over HTTP.

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

/// Speeds up the emulator's search for a stream's last record, which each write makes.
const INDEX_OF_STREAMS: &str = "CREATE INDEX IF NOT EXISTS stream_position
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// A DynamoDB that runs until it is dropped.
pub struct Dynamo {
    pub url: String,
    /// Direct access, without HTTP.
    pub database: Database,
    /// Stops the server when dropped.
    _stop: oneshot::Sender<()>,
}

/// The database cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("{0} cannot be opened as a database ({1}): start with --fresh, or choose another --data-dir")]
    Open(PathBuf, #[source] dynoxide::DynoxideError),
    #[error("the database cannot be prepared ({0}): start with --fresh, or choose another --data-dir")]
    Prepare(#[from] rusqlite::Error),
    #[error("DynamoDB finds no port to listen on: {0}")]
    Listen(#[from] io::Error),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("template.yaml: the table {0} cannot be created ({1}): correct it there")]
    Table(String, String),
    #[error("the table {0} was created from another template.yaml: start with --fresh to recreate it")]
    Changed(String),
    #[error("DynamoDB refused a request: {0}")]
    Refused(#[from] dynoxide::DynoxideError),
    #[error("DynamoDB cannot read a request: {0}")]
    Request(#[from] serde_json::Error),
}

impl Dynamo {
    /// Starts one in memory.
    ///
    /// # Errors
    /// [`DatabaseError::Listen`].
    pub async fn in_memory() -> Result<Self, DatabaseError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        // A second connection, which adds the index, opens it by this name.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self::on_file(Path::new(&format!("file:shop-{number}?mode=memory&cache=shared"))).await
    }

    /// Starts one on a file.
    ///
    /// # Errors
    /// [`DatabaseError`].
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

    /// Creates the missing tables of the template. Returns the names of all.
    ///
    /// # Errors
    /// [`DatabaseError::Changed`] if a table was created from another template.
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
        // The emulator's deserializer marks invalid values.
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

    /// Writes an item of DynamoDB's JSON.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn put(&self, table: &str, item: Value) -> Result<(), DatabaseError> {
        self.database.put_item(request(json!({"TableName": table, "Item": item}))?)?;
        Ok(())
    }

    /// Deletes the item with a key of DynamoDB's JSON.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn delete(&self, table: &str, key: Value) -> Result<(), DatabaseError> {
        self.database.delete_item(request(json!({"TableName": table, "Key": key}))?)?;
        Ok(())
    }
}

/// Reads an item from the file of a database, which may be in use. The key and the item are in DynamoDB's JSON.
///
/// # Errors
/// [`DatabaseError`].
pub fn read(file: &Path, table: &str, key: &Value) -> Result<Option<Value>, DatabaseError> {
    let database = Database::new(&file.to_string_lossy());
    let database = database.map_err(|error| DatabaseError::Open(file.to_owned(), error))?;
    let found = database.get_item(request(json!({"TableName": table, "Key": key}))?)?;
    Ok(json!(found).get("Item").filter(|item| !item.is_null()).cloned())
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

/// Converts a request of DynamoDB's JSON to the emulator's type.
fn request<R: DeserializeOwned>(json: Value) -> serde_json::Result<R> {
    serde_json::from_value(json)
}

/// Returns what cannot be changed in an existing table: keys, indexes and stream.
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
