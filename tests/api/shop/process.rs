//! Processes of the shop and their output.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use runtime::process::Group;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    sync::watch,
    time::timeout,
};

/// Marks secret and personal data in all requests. No log line may contain it.
pub const CANARY: &str = "CANARY";
/// Texts that reveal a secret: the canary, also in lower case, and the beginning of every JSON Web Token.
const PLANTED: [&str; 3] = [CANARY, "canary", "eyJ"];
/// Exempt from the check.
const CARGO_LAMBDA: &str = "cargo-lambda";

/// Builds the functions with the profile of the tests. Returns their folder.
pub fn build() -> PathBuf {
    build_targets(&["--bins"])
}

/// Builds an example of the tests. Returns its path.
pub fn build_example(name: &str) -> PathBuf {
    build_targets(&["--example", name]).join("examples").join(name)
}

fn build_targets(targets: &[&str]) -> PathBuf {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap();
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        profile => profile,
    };
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo
        .args(["build", "--quiet", "--profile", profile])
        .args(targets)
        .arg("--target-dir")
        .arg(folder.parent().unwrap());
    // What cargo has told the tests about their package would have build scripts run again.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    env::vars().filter(|(name, _)| told(name)).for_each(|(name, _)| {
        cargo.env_remove(name);
    });
    assert!(
        cargo.current_dir(template::repository()).status().unwrap().success(),
        "the functions could not be built"
    );
    folder.to_owned()
}

/// Returns the names of all functions.
pub fn functions() -> Vec<String> {
    let folders = template::repository().join("functions").read_dir().unwrap();
    let mut names: Vec<_> =
        folders.map(|folder| folder.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Starts a process of the group with these variables only, and reads its output.
pub fn spawn(
    group: &Group,
    program: &Path,
    arguments: &[&str],
    variables: &BTreeMap<String, String>,
    log: &Arc<Log>,
) -> Child {
    let mut command = group.command(program).unwrap();
    command.args(arguments).env_clear().envs(variables).current_dir(template::repository());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let name = program.file_name().unwrap().to_string_lossy();
    log.listen(&name, child.stdout.take().unwrap());
    log.listen(&name, child.stderr.take().unwrap());
    child
}

/// Output of all processes.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<Line>>,
    leaks: Mutex<Vec<Line>>,
    count: watch::Sender<usize>,
}

/// A line of output.
#[derive(Clone, Debug)]
pub struct Line {
    pub program: String,
    pub text: String,
}

impl Line {
    /// Parses the line as JSON, or returns null.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl Log {
    fn listen(self: &Arc<Self>, program: &str, output: impl AsyncRead + Unpin + Send + 'static) {
        let (log, program) = (Arc::clone(self), program.to_owned());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).split(b'\n');
            while let Ok(Some(line)) = lines.next_segment().await {
                let line =
                    Line { program: program.clone(), text: String::from_utf8_lossy(&line).into_owned() };
                if program != CARGO_LAMBDA && PLANTED.iter().any(|planted| line.text.contains(planted)) {
                    log.leaks.lock().unwrap().push(line.clone());
                }
                log.lines.lock().unwrap().push(line);
                log.count.send_modify(|count| *count += 1);
            }
        });
    }

    /// Adds a line of the tests.
    pub fn say(&self, program: &str, text: &str) {
        self.lines.lock().unwrap().push(Line { program: program.to_owned(), text: text.to_owned() });
        self.count.send_modify(|count| *count += 1);
    }

    /// Returns all matching lines.
    pub fn lines(&self, fits: impl Fn(&Line) -> bool) -> Vec<Line> {
        self.lines.lock().unwrap().iter().filter(|line| fits(line)).cloned().collect()
    }

    /// Waits for a matching line.
    pub async fn wait_for(&self, fits: impl Fn(&Line) -> bool) -> Line {
        let mut count = self.count.subscribe();
        let mut judged = 0;
        let found = timeout(Duration::from_secs(20), async {
            loop {
                let next = self.lines.lock().unwrap()[judged..].to_vec();
                judged += next.len();
                if let Some(line) = next.into_iter().find(&fits) {
                    return line;
                }
                count.changed().await.unwrap();
            }
        });
        found.await.expect("no such line was printed")
    }

    /// Fails if a function has logged secret or personal data.
    pub fn assert_clean(&self) {
        let leaks = self.leaks.lock().unwrap();
        assert!(leaks.is_empty(), "secrets in the log: {leaks:#?}");
    }
}
