//! An instance of a function, and its runtime API:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use emulators::server::{self, HangUp, Server};
use http_body_util::Full;
use hyper::{Method, Response, StatusCode, body::Bytes};
use runtime::process::Group;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{BenchError, refused};

/// Silence after which an instance counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);
/// Deadline of a request, as Lambda sets it.
const DEADLINE: Duration = Duration::from_secs(15);

/// Time since the start of an instance, and its CPU time if the system reports it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub wall: Duration,
    pub cpu: Option<Duration>,
}

/// A running instance. It ends when this is dropped.
pub(super) struct Instance {
    name: String,
    process: Child,
    started: Instant,
    calls: mpsc::UnboundedReceiver<Call>,
    /// The pending poll for an event.
    poll: Option<oneshot::Sender<server::Answer>>,
    invocations: u32,
    last_line: Arc<Mutex<String>>,
    _server: Server,
}

/// A request to the runtime API.
struct Call {
    at: Instant,
    method: Method,
    path: String,
    body: Bytes,
    answer: oneshot::Sender<server::Answer>,
}

/// A response. The instance waits until it is passed to [`Instance::settle`].
pub(super) struct Answer {
    /// Time from event to response.
    pub duration: Duration,
    pub body: Bytes,
    at: Instant,
    accept: oneshot::Sender<server::Answer>,
}

impl Instance {
    /// Starts a binary with these variables only.
    pub async fn start(
        name: &str,
        program: &Path,
        group: &Group,
        variables: BTreeMap<String, String>,
    ) -> Result<Self, BenchError> {
        let (sender, calls) = mpsc::unbounded_channel();
        let server = Server::start(0, move |parts, body| {
            let sender = sender.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                let (method, path) = (parts.method, parts.uri.path().to_owned());
                let call = Call { at: Instant::now(), method, path, body, answer };
                sender.send(call).map_err(|_| HangUp)?;
                answered.await.map_err(|_| HangUp)
            }
        });
        let server = server.await.map_err(refused("the runtime API has no port to listen on"))?;

        let not_started = || refused(format!("{name} can't be started"));
        let mut command = group.command(program).map_err(not_started())?;
        command
            .env_clear()
            .envs(variables)
            .env("AWS_LAMBDA_RUNTIME_API", server.url.trim_start_matches("http://"));
        let started = Instant::now();
        let mut process = command.stdout(Stdio::piped()).spawn().map_err(not_started())?;
        let last_line = Arc::default();
        if let Some(output) = process.stdout.take() {
            tokio::spawn(drain(output, Arc::clone(&last_line)));
        }
        let name = name.to_owned();
        Ok(Self { name, process, started, calls, poll: None, invocations: 0, last_line, _server: server })
    }

    /// Waits for its first poll, the end of its initialization.
    pub async fn ready(&mut self) -> Result<Moment, BenchError> {
        let at = self.polled().await?;
        Ok(self.moment(at).await)
    }

    /// Sends an event and waits for the response.
    pub async fn invoke(&mut self, event: Vec<u8>) -> Result<Answer, BenchError> {
        let poll = self.poll.take().ok_or_else(|| self.failed("it asked for no event"))?;
        self.invocations += 1;
        let deadline = SystemTime::now() + DEADLINE;
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let response = Response::builder()
            .header("content-type", "application/json")
            .header(
                "lambda-runtime-aws-request-id",
                format!("8476a536-e9f4-11e8-9739-{:012}", self.invocations),
            )
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header(
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:eu-central-1:123456789012:function:{}:live", self.name),
            )
            .header(
                "lambda-runtime-trace-id",
                "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
            )
            .body(Full::new(Bytes::from(event)))
            .map_err(|error| self.failed(&error.to_string()))?;
        let sent = Instant::now();
        poll.send(response).map_err(|_| self.failed("it has hung up"))?;
        let call = self.call().await?;
        if call.method == Method::POST && call.path.ends_with("/response") {
            return Ok(Answer {
                duration: call.at - sent,
                body: call.body,
                at: call.at,
                accept: call.answer,
            });
        }
        Err(self.failed(&format!("{} {}: {}", call.method, call.path, String::from_utf8_lossy(&call.body))))
    }

    /// Returns the time of a response, if it was the instance's last call.
    pub async fn answered(&self, answer: &Answer) -> Moment {
        self.moment(answer.at).await
    }

    /// Accepts a response and waits for the next poll.
    pub async fn settle(&mut self, answer: Answer) -> Result<(), BenchError> {
        let mut accepted = Response::new(Full::new(Bytes::from_static(br#"{"status":"OK"}"#)));
        *accepted.status_mut() = StatusCode::ACCEPTED;
        answer.accept.send(accepted).map_err(|_| self.failed("it has hung up"))?;
        self.polled().await.map(drop)
    }

    /// Returns the CPU time of all threads once they sleep: the kernel updates a thread's count only when the thread stops
    /// running.
    pub async fn cpu(&self) -> Option<Duration> {
        let tasks = format!("/proc/{}/task", self.process.id()?);
        loop {
            match cpu_of_sleeping(&tasks)? {
                Some(cpu) => return Some(cpu),
                None => sleep(Duration::from_micros(50)).await,
            }
        }
    }

    /// Returns the peak memory in bytes.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = peak.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Kills the instance and waits for its end, so that it does not disturb the next.
    pub async fn end(mut self) -> Result<(), BenchError> {
        self.process.kill().await.map_err(refused(format!("{} can't be ended", self.name)))
    }

    async fn moment(&self, at: Instant) -> Moment {
        Moment { wall: at - self.started, cpu: self.cpu().await }
    }

    /// Waits for a poll, and returns its time.
    async fn polled(&mut self) -> Result<Instant, BenchError> {
        let call = self.call().await?;
        if call.method == Method::GET && call.path.ends_with("/runtime/invocation/next") {
            self.poll = Some(call.answer);
            return Ok(call.at);
        }
        Err(self.failed(&format!("{} {}: {}", call.method, call.path, String::from_utf8_lossy(&call.body))))
    }

    async fn call(&mut self) -> Result<Call, BenchError> {
        tokio::select! {
            call = timeout(PATIENCE, self.calls.recv()) => match call {
                Ok(Some(call)) => Ok(call),
                Ok(None) => Err(self.failed("its runtime API is gone")),
                Err(_) => Err(BenchError::Silent(self.name.clone(), PATIENCE.as_secs(), self.last_line())),
            },
            ended = self.process.wait() => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                Err(self.failed(&format!("it ended ({how}); its last line was: {}", self.last_line())))
            }
        }
    }

    fn last_line(&self) -> String {
        self.last_line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, how: &str) -> BenchError {
        BenchError::Failed(self.name.clone(), how.to_owned())
    }
}

/// Sums the CPU time of all threads. The inner `None` stands for a running thread, the outer one for a system without
/// counts.
fn cpu_of_sleeping(tasks: &str) -> Option<Option<Duration>> {
    let mut nanos = 0;
    for task in fs::read_dir(tasks).ok()? {
        let task = task.ok()?.path();
        // The state stands behind the program's name, which is in parentheses.
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        if !stat.rsplit(')').next()?.trim_start().starts_with('S') {
            return Some(None);
        }
        let schedstat = fs::read_to_string(task.join("schedstat")).ok()?;
        nanos += schedstat.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Some(Duration::from_nanos(nanos)))
}

/// Reads the output of the instance, as Lambda would, and keeps the last line.
async fn drain(output: impl AsyncRead + Unpin, last_line: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        *last_line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }
}
