//! Secrets Manager: holds the secrets of template.yaml, and has a function rotate them in four steps:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html>.
//!
//! The ARN of a secret is its name, which is its logical id in the template.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use hyper::{HeaderMap, body::Bytes, http::request::Parts};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shared::{domain::time::Timestamp, telemetry};

use crate::{
    aws::{self, AwsError, TARGET_HEADER},
    error::EmulatorError,
    files, lambda,
    mutex::lock,
    server::{self, Answer, Server},
};

/// Label of the version in force.
pub const CURRENT: &str = "AWSCURRENT";
/// Label of the version that a rotation is making.
pub const PENDING: &str = "AWSPENDING";
/// Label of the version that was in force before.
pub const PREVIOUS: &str = "AWSPREVIOUS";

/// Prefix of the operations in the header that names them.
const TARGET: &str = "secretsmanager.";
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];
/// Exceeds the time that any function may run, or takes to be built.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
const MILLIS_A_DAY: i64 = 24 * 60 * 60 * 1000;

/// A Secrets Manager that runs until it is dropped.
pub struct Secrets {
    pub url: String,
    state: Arc<State>,
    _server: Server,
}

/// A rotation failed. The next one continues with the version that it has begun.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error("{0}")]
    Refused(String),
    #[error("{0} cannot be reached: {1}")]
    Reach(String, #[source] reqwest::Error),
    #[error("{function} failed at {step}: {answer}")]
    Step { function: String, step: &'static str, answer: String },
    #[error("{0} has succeeded, but its version is not the current one")]
    Unfinished(String),
}

impl Secrets {
    /// Starts one that keeps secrets in memory. Functions are invoked at the address `functions`.
    ///
    /// # Errors
    /// [`EmulatorError::Listen`].
    pub async fn in_memory(secrets: Vec<template::Secret>, functions: &str) -> Result<Self, EmulatorError> {
        Self::start(None, BTreeMap::new(), secrets, functions, None).await
    }

    /// Starts one on a file, for callers with this session token. A secret that is in the file already keeps its value.
    ///
    /// # Errors
    /// [`EmulatorError`].
    pub async fn on_file(
        path: &Path,
        secrets: Vec<template::Secret>,
        functions: &str,
        session_token: &str,
    ) -> Result<Self, EmulatorError> {
        Self::start(Some(path.to_owned()), load(path)?, secrets, functions, Some(session_token.to_owned()))
            .await
    }

    async fn start(
        file: Option<PathBuf>,
        mut stored: BTreeMap<String, Secret>,
        secrets: Vec<template::Secret>,
        functions: &str,
        session_token: Option<String>,
    ) -> Result<Self, EmulatorError> {
        let mut rotations = BTreeMap::new();
        for secret in secrets {
            let first = || Secret::new(secret.value, telemetry::now());
            stored.entry(secret.name.clone()).or_insert_with(first);
            rotations.extend(secret.rotation.map(|rotation| (secret.name, rotation)));
        }
        let http = reqwest::Client::builder().no_proxy().timeout(STEP_TIMEOUT).build()?;
        let functions = functions.to_owned();
        let state =
            Arc::new(State { file, secrets: Mutex::new(stored), rotations, functions, http, session_token });
        let answering = Arc::clone(&state);
        let server = Server::start(0, move |parts, body| {
            let state = Arc::clone(&answering);
            async move { Ok(state.answer(&parts, &body)) }
        });
        let server = server.await.map_err(|error| EmulatorError::Listen("Secrets Manager", error))?;
        Ok(Self { url: server.url.clone(), state, _server: server })
    }

    /// Returns the value of the version with a label.
    pub fn value(&self, name: &str, stage: &str) -> Option<String> {
        self.state.secrets().get(name)?.at(stage)?.value.clone()
    }

    /// Puts a new current version.
    ///
    /// # Errors
    /// [`EmulatorError::Refused`] for an unknown secret, or if the file cannot be written.
    pub fn put(&self, name: &str, value: &str) -> Result<(), EmulatorError> {
        let put = self.state.change(name, |secret, now| {
            secret.put(server::uuid(), value.to_owned(), &[CURRENT.to_owned()], now)
        });
        put.map_err(|error| EmulatorError::Refused("Secrets Manager", error.message))
    }

    /// Returns the secrets to rotate now: those never rotated, those last rotated too long ago, and those whose last rotation
    /// has failed.
    pub fn due(&self, now: Timestamp) -> Vec<String> {
        let secrets = self.state.secrets();
        let is_due = |name: &String, days: u32| {
            secrets.get(name).is_some_and(|secret| {
                let age = secret.rotated_at.map(|then| now.as_millis() - then.as_millis());
                secret.in_rotation().is_some() || age.is_none_or(|age| age >= i64::from(days) * MILLIS_A_DAY)
            })
        };
        let rotations = self.state.rotations.iter();
        rotations
            .filter(|(name, rotation)| is_due(name, rotation.days))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Rotates a secret, or continues a rotation that has failed.
    ///
    /// # Errors
    /// [`RotationError`].
    pub async fn rotate(&self, name: &str) -> Result<(), RotationError> {
        let interrupted = self.state.secrets().get(name).and_then(Secret::in_rotation);
        let token = match interrupted {
            Some(token) => token,
            None => {
                let token = server::uuid();
                let begun = self.state.begin(name, &token);
                begun.map_err(|error| RotationError::Refused(error.message))?;
                token
            }
        };
        self.state.rotate(name, &token).await
    }
}

/// Reads the current value of a secret from a file of secrets.
///
/// # Errors
/// [`EmulatorError::File`].
pub fn current(path: &Path, name: &str) -> Result<Option<String>, EmulatorError> {
    Ok(load(path)?.get(name).and_then(|secret| secret.at(CURRENT)?.value.clone()))
}

fn load(path: &Path) -> Result<BTreeMap<String, Secret>, EmulatorError> {
    Ok(files::load(path)?.unwrap_or_default())
}

/// A secret and its versions, by id.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Secret {
    created_at: Timestamp,
    changed_at: Timestamp,
    rotated_at: Option<Timestamp>,
    versions: BTreeMap<String, Version>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version {
    created_at: Timestamp,
    /// `None` after the start of a rotation.
    value: Option<String>,
    stages: BTreeSet<String>,
}

fn not_found(what: impl AsRef<str>) -> AwsError {
    let message = format!("Secrets Manager can't find the specified secret{}.", what.as_ref());
    AwsError::bad_request("ResourceNotFoundException", message)
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidRequestException", message)
}

fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidParameterException", message)
}

impl Secret {
    fn new(value: String, now: Timestamp) -> Self {
        let stages = BTreeSet::from([CURRENT.to_owned()]);
        let version = Version { created_at: now, value: Some(value), stages };
        let versions = BTreeMap::from([(server::uuid(), version)]);
        Self { created_at: now, changed_at: now, rotated_at: None, versions }
    }

    /// Returns the id of the version with a label.
    fn id_at(&self, stage: &str) -> Option<String> {
        let mut versions = self.versions.iter();
        versions.find(|(_, version)| version.stages.contains(stage)).map(|(id, _)| id.clone())
    }

    fn at(&self, stage: &str) -> Option<&Version> {
        self.versions.values().find(|version| version.stages.contains(stage))
    }

    /// Returns the id of the version of an unfinished rotation.
    fn in_rotation(&self) -> Option<String> {
        self.id_at(PENDING).filter(|pending| Some(pending) != self.id_at(CURRENT).as_ref())
    }

    /// Adds a version with these labels, or sets the value of an empty one. Idempotent.
    fn put(&mut self, id: String, value: String, stages: &[String], now: Timestamp) -> Result<(), AwsError> {
        let new = Version { created_at: now, value: None, stages: BTreeSet::new() };
        let version = self.versions.entry(id.clone()).or_insert(new);
        match &version.value {
            Some(there) if *there != value => {
                let message = format!(
                    "You can't use ClientRequestToken {id} because that value is already in use for a version of this secret."
                );
                return Err(AwsError::bad_request("ResourceExistsException", message));
            }
            Some(_) => return Ok(()),
            None => version.value = Some(value),
        }
        stages.iter().for_each(|stage| self.label(stage, Some(&id)));
        Ok(())
    }

    /// Moves a label to another version, or removes it. The version that was current becomes the previous one.
    fn label(&mut self, stage: &str, to: Option<&str>) {
        let from = self.id_at(stage);
        if from.as_deref() == to {
            return;
        }
        for version in self.versions.values_mut() {
            version.stages.remove(stage);
        }
        if let Some(version) = to.and_then(|to| self.versions.get_mut(to)) {
            version.stages.insert(stage.to_owned());
        }
        if stage == CURRENT {
            self.label(PREVIOUS, from.as_deref());
        }
        // Secrets Manager deletes versions without labels at some time.
        self.versions.retain(|id, version| !version.stages.is_empty() || Some(id.as_str()) == to);
    }

    /// Moves a label like `UpdateSecretVersionStage`.
    fn relabel(&mut self, stage: &str, from: Option<&str>, to: Option<&str>) -> Result<(), AwsError> {
        if let Some(unknown) = [from, to].into_iter().flatten().find(|id| !self.versions.contains_key(*id)) {
            return Err(not_found(format!(" version {unknown}")));
        }
        let attached = self.id_at(stage);
        match (&attached, from) {
            (attached, Some(from)) if attached.as_deref() != Some(from) => {
                Err(invalid_parameter(format!("Staging label {stage} is not attached to version {from}.")))
            }
            (Some(attached), None) if to != Some(attached) => Err(invalid_parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to \
                 version {attached}, so you must explicitly reference that version in RemoveFromVersionId."
            ))),
            _ if stage == CURRENT && to.is_none() => Err(invalid_parameter(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely \
                 removed.",
            )),
            _ => {
                self.label(stage, to);
                Ok(())
            }
        }
    }
}

struct State {
    file: Option<PathBuf>,
    secrets: Mutex<BTreeMap<String, Secret>>,
    rotations: BTreeMap<String, template::Rotation>,
    functions: String,
    http: reqwest::Client,
    /// Session token that callers must have.
    session_token: Option<String>,
}

impl State {
    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        lock(&self.secrets)
    }

    /// Changes a secret, on disk first.
    fn change<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Secret, Timestamp) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut secrets = self.secrets();
        let (mut changed, now) = (secrets.clone(), telemetry::now());
        let secret = changed.get_mut(name).ok_or_else(|| not_found(""))?;
        let done = change(secret, now)?;
        secret.changed_at = now;
        if let Some(file) = &self.file {
            let text = serde_json::to_string_pretty(&changed).map_err(io::Error::from);
            let written = text.and_then(|text| files::write_private(file, &text));
            let failed = |error| format!("{} cannot be written: {error}", file.display());
            written.map_err(|error| AwsError::internal("InternalServiceError", failed(error)))?;
        }
        *secrets = changed;
        Ok(done)
    }

    /// Begins a rotation with an empty version, whose id is the token of the steps.
    fn begin(&self, name: &str, token: &str) -> Result<(), AwsError> {
        self.change(name, |secret, now| {
            if !self.rotations.contains_key(name) {
                let message = "You tried to rotate a secret that has no Lambda function ARN configured.";
                return Err(invalid_request(message));
            }
            if secret.in_rotation().is_some() {
                let message = "A previous rotation isn't complete. That rotation will be reattempted.";
                return Err(invalid_request(message));
            }
            let empty = Version { created_at: now, value: None, stages: BTreeSet::new() };
            secret.versions.insert(token.to_owned(), empty);
            secret.label(PENDING, Some(token));
            Ok(())
        })
    }

    /// Invokes the function for each step of a rotation.
    async fn rotate(&self, name: &str, token: &str) -> Result<(), RotationError> {
        let refused = |refusal: AwsError| RotationError::Refused(refusal.message);
        let Some(template::Rotation { function, .. }) = self.rotations.get(name) else {
            return Err(RotationError::Refused(format!("no function rotates {name}")));
        };
        let lost = |error| RotationError::Reach(function.clone(), error);
        for step in STEPS {
            let event = json!({"Step": step, "SecretId": name, "ClientRequestToken": token});
            let invoked = lambda::invoke(&self.http, &self.functions, function, &event).await;
            invoked.map_err(lost)?.map_err(|answer| RotationError::Step {
                function: function.clone(),
                step,
                answer,
            })?;
        }
        let current = self.secrets().get(name).and_then(|secret| secret.id_at(CURRENT));
        if current.as_deref() != Some(token) {
            return Err(RotationError::Unfinished(function.clone()));
        }
        let rotated = self.change(name, |secret, now| {
            secret.rotated_at = Some(now);
            Ok(())
        });
        rotated.map_err(refused)
    }

    fn answer(self: &Arc<Self>, parts: &Parts, body: &Bytes) -> Answer {
        if !self.admits(&parts.headers) {
            let message = "the Secrets Manager emulator answers only the functions that it was started for";
            return aws::json_1_1(Err(AwsError::bad_request("AccessDeniedException", message)));
        }
        let target = parts.headers.get(TARGET_HEADER).and_then(|target| target.to_str().ok());
        let operation = target.and_then(|target| target.strip_prefix(TARGET)).unwrap_or_default();
        aws::json_1_1(self.operate(operation, body))
    }

    /// Returns whether the caller has the session token. Signatures are not verified.
    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(session_token) = &self.session_token else { return true };
        let sent = headers.get("x-amz-security-token").is_some_and(|sent| sent == session_token);
        sent && server::is_from_program(headers)
    }

    fn operate(self: &Arc<Self>, operation: &str, body: &Bytes) -> Result<Value, AwsError> {
        match operation {
            "DescribeSecret" => self.describe(request(body)?),
            "GetSecretValue" => self.get(request(body)?),
            "PutSecretValue" => self.put(request(body)?),
            "RotateSecret" => self.start_rotation(request(body)?),
            "UpdateSecretVersionStage" => self.update_stage(request(body)?),
            unknown => {
                let message = format!("the Secrets Manager emulator does not know {unknown:?}");
                Err(AwsError::bad_request("UnknownOperationException", message))
            }
        }
    }

    fn describe(&self, DescribeSecret { secret_id: name }: DescribeSecret) -> Result<Value, AwsError> {
        let secrets = self.secrets();
        let secret = secrets.get(&name).ok_or_else(|| not_found(""))?;
        let stages: BTreeMap<_, _> =
            secret.versions.iter().map(|(id, version)| (id, &version.stages)).collect();
        let rotation = self.rotations.get(&name);
        Ok(json!({
            "ARN": name,
            "Name": name,
            "CreatedDate": seconds(secret.created_at),
            "LastChangedDate": seconds(secret.changed_at),
            "LastRotatedDate": secret.rotated_at.map(seconds),
            "RotationEnabled": rotation.is_some(),
            "RotationLambdaARN": rotation.map(|rotation| &rotation.function),
            "RotationRules": rotation.map(|rotation| json!({"AutomaticallyAfterDays": rotation.days})),
            "VersionIdsToStages": stages,
        }))
    }

    fn get(&self, request: GetSecretValue) -> Result<Value, AwsError> {
        let GetSecretValue { secret_id: name, version_id, version_stage } = request;
        let secrets = self.secrets();
        let secret = secrets.get(&name).ok_or_else(|| not_found(""))?;
        let wanted = match (&version_id, &version_stage) {
            (Some(id), _) => format!("VersionId: {id}"),
            (None, stage) => format!("staging label: {}", stage.as_deref().unwrap_or(CURRENT)),
        };
        let stage = version_stage.as_deref().unwrap_or(CURRENT);
        let id = version_id.clone().or_else(|| secret.id_at(stage));
        let version = id.as_ref().and_then(|id| secret.versions.get(id));
        if let (Some(version), Some(stage)) = (version, &version_stage)
            && !version.stages.contains(stage)
        {
            let message = "You provided a VersionStage that is not associated to the provided VersionId.";
            return Err(invalid_request(message));
        }
        let found = version.and_then(|version| Some((version, version.value.as_ref()?)));
        let (version, value) = found.ok_or_else(|| not_found(format!(" value for {wanted}")))?;
        Ok(json!({
            "ARN": name,
            "Name": name,
            "CreatedDate": seconds(version.created_at),
            "SecretString": value,
            "VersionId": id,
            "VersionStages": version.stages,
        }))
    }

    fn put(&self, request: PutSecretValue) -> Result<Value, AwsError> {
        let PutSecretValue { secret_id: name, client_request_token, secret_string, version_stages } = request;
        let (id, stages) = (token(client_request_token)?, version_stages);
        let stages = stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
        self.change(&name, |secret, now| secret.put(id.clone(), secret_string, &stages, now))?;
        Ok(json!({"ARN": name, "Name": name, "VersionId": id, "VersionStages": stages}))
    }

    fn update_stage(&self, request: UpdateSecretVersionStage) -> Result<Value, AwsError> {
        let UpdateSecretVersionStage { secret_id: name, version_stage, remove_from_version_id, .. } =
            &request;
        let to = request.move_to_version_id.as_deref();
        self.change(name, |secret, _| secret.relabel(version_stage, remove_from_version_id.as_deref(), to))?;
        Ok(json!({"ARN": name, "Name": name}))
    }

    /// Answers before the rotation is done, like Secrets Manager.
    fn start_rotation(self: &Arc<Self>, request: RotateSecret) -> Result<Value, AwsError> {
        let RotateSecret { secret_id: name, client_request_token } = request;
        let id = token(client_request_token)?;
        self.begin(&name, &id)?;
        let answer = json!({"ARN": name, "Name": name, "VersionId": id});
        let state = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = state.rotate(&name, &id).await {
                eprintln!("{name} cannot be rotated: {error}");
            }
        });
        Ok(answer)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeSecret {
    secret_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetSecretValue {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutSecretValue {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: String,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct UpdateSecretVersionStage {
    secret_id: String,
    version_stage: String,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RotateSecret {
    secret_id: String,
    client_request_token: Option<String>,
}

/// Reads a request. Unknown fields are refused, not ignored.
fn request<R: DeserializeOwned>(body: &Bytes) -> Result<R, AwsError> {
    let unreadable = |error: serde_json::Error| invalid_parameter(error.to_string());
    serde_json::from_slice(body).map_err(unreadable)
}

/// Returns the id of a new version: the client's token or a new one.
fn token(token: Option<String>) -> Result<String, AwsError> {
    let token = token.unwrap_or_else(server::uuid);
    let fits = (32..=64).contains(&token.len());
    fits.then_some(token)
        .ok_or_else(|| invalid_parameter("ClientRequestToken must be 32-64 characters long."))
}

/// Converts a time to AWS's JSON.
fn seconds(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::{fs, future, sync::OnceLock};

    use hyper::{StatusCode, header::CONTENT_TYPE};

    use super::*;
    use crate::files::FileError;

    #[test]
    fn the_template_names_the_secrets_and_their_rotation() {
        let secrets = template::Template::read(&template::repository()).unwrap().secrets().unwrap();
        let names: Vec<_> = secrets.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!(names, ["SigningSecret", "HmacSecret", "PaymentsSecret"]);
        for template::Secret { name, value, rotation } in secrets {
            if name == "PaymentsSecret" {
                assert_eq!((&*value, rotation.is_some()), (r#"{"api_key":"","webhook_secrets":[]}"#, false));
                continue;
            }
            assert_eq!(value, r#"{"keys":[]}"#);
            let template::Rotation { function, days } = rotation.unwrap();
            assert_eq!((function.as_str(), days), ("keys-rotate", 30));
        }
    }

    fn secret(rotation: Option<template::Rotation>) -> template::Secret {
        template::Secret { name: "S".to_owned(), value: "first".to_owned(), rotation }
    }

    async fn secrets() -> Secrets {
        Secrets::in_memory(vec![secret(None)], "http://127.0.0.1:1").await.unwrap()
    }

    async fn call(secrets: &Secrets, operation: &str, request: Value) -> (u16, Value) {
        let call = reqwest::Client::builder().no_proxy().build().unwrap().post(&secrets.url);
        let call = call.header(TARGET_HEADER, format!("{TARGET}{operation}")).body(request.to_string());
        let answer = call.send().await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/x-amz-json-1.1");
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn id(digit: char) -> String {
        digit.to_string().repeat(32)
    }

    #[tokio::test]
    async fn labels_move_as_versions_come() {
        let secrets = secrets().await;
        let get = async |request| call(&secrets, "GetSecretValue", request).await;
        let put = async |request| call(&secrets, "PutSecretValue", request).await;

        let (status, first) = get(json!({"SecretId": "S"})).await;
        assert_eq!((status, &first["SecretString"]), (200, &json!("first")));
        assert_eq!(first["VersionStages"], json!([CURRENT]));

        let second = json!({"SecretId": "S", "SecretString": "second", "ClientRequestToken": id('2')});
        assert_eq!(put(second.clone()).await.0, 200);
        assert_eq!(put(second).await.0, 200);
        let previous = get(json!({"SecretId": "S", "VersionStage": PREVIOUS})).await.1;
        assert_eq!(previous["VersionId"], first["VersionId"]);
        assert_eq!(get(json!({"SecretId": "S"})).await.1["SecretString"], "second");

        let third = json!({"SecretId": "S", "SecretString": "third", "ClientRequestToken": id('3'),
            "VersionStages": [PENDING]});
        assert_eq!(put(third).await.1["VersionStages"], json!([PENDING]));
        assert_eq!(secrets.value("S", CURRENT).as_deref(), Some("second"));
        let stages = call(&secrets, "DescribeSecret", json!({"SecretId": "S"})).await.1;
        let expected =
            json!({first["VersionId"].as_str().unwrap(): [PREVIOUS], id('2'): [CURRENT], id('3'): [PENDING]});
        assert_eq!(stages["VersionIdsToStages"], expected);

        let update = json!({"SecretId": "S", "VersionStage": CURRENT, "MoveToVersionId": id('3'),
            "RemoveFromVersionId": id('2')});
        assert_eq!(call(&secrets, "UpdateSecretVersionStage", update).await.0, 200);
        let stages = call(&secrets, "DescribeSecret", json!({"SecretId": "S"})).await.1;
        let expected = json!({id('2'): [PREVIOUS], id('3'): [CURRENT, PENDING]});
        assert_eq!(stages["VersionIdsToStages"], expected);
    }

    #[tokio::test]
    async fn refusals_have_the_names_of_secrets_manager() {
        let secrets = secrets().await;
        let put = json!({"SecretId": "S", "SecretString": "second", "ClientRequestToken": id('2')});
        call(&secrets, "PutSecretValue", put.clone()).await;
        let other = json!({"SecretId": "S", "SecretString": "other", "ClientRequestToken": id('2')});
        let stage = |from: Option<String>, to: Option<String>| json!({"SecretId": "S", "VersionStage": CURRENT, "RemoveFromVersionId": from, "MoveToVersionId": to});
        for (operation, request, name) in [
            ("GetSecretValue", json!({"SecretId": "T"}), "ResourceNotFoundException"),
            (
                "GetSecretValue",
                json!({"SecretId": "S", "VersionStage": PENDING}),
                "ResourceNotFoundException",
            ),
            ("GetSecretValue", json!({"SecretId": "S", "VersionId": id('9')}), "ResourceNotFoundException"),
            (
                "GetSecretValue",
                json!({"SecretId": "S", "VersionId": id('2'), "VersionStage": PREVIOUS}),
                "InvalidRequestException",
            ),
            ("DescribeSecret", json!({"SecretId": "T"}), "ResourceNotFoundException"),
            ("PutSecretValue", other, "ResourceExistsException"),
            (
                "PutSecretValue",
                json!({"SecretId": "S", "SecretString": "x", "ClientRequestToken": "short"}),
                "InvalidParameterException",
            ),
            ("PutSecretValue", json!({"SecretId": "S", "SecretBinary": ""}), "InvalidParameterException"),
            ("UpdateSecretVersionStage", stage(None, Some(id('9'))), "ResourceNotFoundException"),
            ("UpdateSecretVersionStage", stage(Some(id('2')), None), "InvalidParameterException"),
            ("RotateSecret", json!({"SecretId": "S"}), "InvalidRequestException"),
            ("DeleteSecret", json!({"SecretId": "S"}), "UnknownOperationException"),
        ] {
            let (status, answer) = call(&secrets, operation, request.clone()).await;
            assert_eq!((status, &answer["__type"]), (400, &json!(name)), "{operation} {request}");
            assert!(answer["Message"].is_string());
        }
        assert_eq!(secrets.value("S", CURRENT).as_deref(), Some("second"));
        assert_eq!(secrets.value("S", PREVIOUS).as_deref(), Some("first"));
    }

    /// Starts secrets whose function fails once at a step, and records the steps it was invoked for.
    async fn rotating(failing: &'static str) -> (Secrets, Arc<Mutex<Vec<String>>>, Server) {
        let (state, steps) = (Arc::new(OnceLock::<Arc<State>>::new()), Arc::new(Mutex::new(Vec::new())));
        let (known, taken) = (Arc::clone(&state), Arc::clone(&steps));
        let functions = Server::start(0, move |parts, body| {
            assert_eq!(parts.uri.path(), "/2015-03-31/functions/rotator/invocations");
            let event: Value = serde_json::from_slice(&body).unwrap();
            let (step, token) =
                (event["Step"].as_str().unwrap(), event["ClientRequestToken"].as_str().unwrap());
            let mut taken = taken.lock().unwrap();
            let fails = step == failing && !taken.iter().any(|taken| taken == failing);
            taken.push(step.to_owned());
            let state = known.get().unwrap();
            let operate = |operation, request: Value| {
                state.operate(operation, &Bytes::from(request.to_string())).unwrap()
            };
            let found = operate("DescribeSecret", json!({"SecretId": event["SecretId"]}));
            assert_eq!(found["VersionIdsToStages"][token], json!([PENDING]));
            match step {
                _ if fails => {}
                "createSecret" => {
                    operate(
                        "PutSecretValue",
                        json!({"SecretId": event["SecretId"], "SecretString": "new", "ClientRequestToken": token,
                            "VersionStages": [PENDING]}),
                    );
                }
                "finishSecret" => {
                    let current = operate("GetSecretValue", json!({"SecretId": event["SecretId"]}));
                    operate(
                        "UpdateSecretVersionStage",
                        json!({"SecretId": event["SecretId"], "VersionStage": CURRENT, "MoveToVersionId": token,
                            "RemoveFromVersionId": current["VersionId"]}),
                    );
                }
                _ => {}
            }
            let mut answer = Answer::new(if fails { r#"{"errorType": "E"}"# } else { "null" }.into());
            *answer.status_mut() = if fails { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
            future::ready(Ok(answer))
        });
        let functions = functions.await.unwrap();
        let rotation = template::Rotation { function: "rotator".to_owned(), days: 30 };
        let secrets = Secrets::in_memory(vec![secret(Some(rotation))], &functions.url).await.unwrap();
        state.set(Arc::clone(&secrets.state)).map_err(drop).unwrap();
        (secrets, steps, functions)
    }

    #[tokio::test]
    async fn a_rotation_is_four_steps_and_due_again_after_its_days() {
        let (secrets, steps, _functions) = rotating("").await;
        let now = telemetry::now();
        assert_eq!(secrets.due(now), ["S"]);
        secrets.rotate("S").await.unwrap();
        assert_eq!(*steps.lock().unwrap(), STEPS);
        assert_eq!(secrets.value("S", CURRENT).as_deref(), Some("new"));
        assert_eq!(secrets.value("S", PREVIOUS).as_deref(), Some("first"));
        let days = |days: i64| Timestamp::from_millis(telemetry::now().as_millis() + days * MILLIS_A_DAY);
        assert!(secrets.due(days(29)).is_empty());
        assert_eq!(secrets.due(days(30)), ["S"]);
        secrets.state.begin("S", &id('9')).unwrap();
        assert_eq!(secrets.due(now), ["S"]);
    }

    #[tokio::test]
    async fn a_failed_rotation_is_reported_and_continued() {
        for failing in STEPS {
            let (secrets, steps, _functions) = rotating(failing).await;
            let failed = secrets.rotate("S").await.unwrap_err();
            assert!(matches!(failed, RotationError::Step { step, .. } if step == failing), "{failed}");
            assert_eq!(secrets.value("S", CURRENT).as_deref(), Some("first"));
            let (status, refusal) = call(&secrets, "RotateSecret", json!({"SecretId": "S"})).await;
            assert_eq!((status, &refusal["__type"]), (400, &json!("InvalidRequestException")));

            assert_eq!(secrets.due(telemetry::now()), ["S"]);
            secrets.rotate("S").await.unwrap();
            assert_eq!(secrets.value("S", CURRENT).as_deref(), Some("new"));
            // Repeats the failed step and those before it.
            let before = STEPS.iter().position(|step| *step == failing).unwrap();
            assert_eq!(steps.lock().unwrap().len(), before + 1 + STEPS.len());
        }
    }

    #[tokio::test]
    async fn a_rotation_that_changes_nothing_fails() {
        let idle = Server::start(0, async |_, _| Ok(Answer::new("null".into()))).await.unwrap();
        let rotation = template::Rotation { function: "idle".to_owned(), days: 30 };
        let secrets = Secrets::in_memory(vec![secret(Some(rotation))], &idle.url).await.unwrap();
        assert!(matches!(secrets.rotate("S").await, Err(RotationError::Unfinished(_))));
        assert_eq!(secrets.due(telemetry::now()), ["S"]);
        drop(idle);
        assert!(matches!(secrets.rotate("S").await, Err(RotationError::Reach(..))));
    }

    #[tokio::test]
    async fn a_file_keeps_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let open =
            async || Secrets::on_file(&path, vec![secret(None)], "http://127.0.0.1:1", "key").await.unwrap();
        assert_eq!(current(&path, "S").unwrap(), None);
        open().await.put("S", "second").unwrap();
        assert_eq!(current(&path, "S").unwrap().as_deref(), Some("second"));
        assert_eq!(open().await.value("S", CURRENT).as_deref(), Some("second"));
        fs::write(&path, "{").unwrap();
        assert!(matches!(current(&path, "S"), Err(EmulatorError::File(FileError::Damaged(..)))));
    }
}
