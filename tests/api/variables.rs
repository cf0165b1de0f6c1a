//! Environment variables: template.yaml gives each function exactly those that it reads. With all of them, its binary
//! starts; without any one, it names the missing one and ends.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use futures_util::{StreamExt, stream};
use runtime::process::Group;
use tidy::{self, Repository, Variable};

use crate::shop::{BINARIES, deployed::skip_where_deployed};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

/// Variables that Lambda sets, and lambda_runtime reads.
const OF_LAMBDA: [(&str, &str); 3] = [
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
];

/// Variables that Lambda sets, and every function reads.
const OF_AWS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_SECRET_ACCESS_KEY"];

/// Processes that start at the same time.
const AT_ONCE: usize = 8;

/// A variable with a valid value, and one that fails a function that reads it.
struct Setting {
    name: String,
    good: String,
    /// `None` for an unset variable.
    bad: Option<&'static str>,
    is_global: bool,
}

impl Setting {
    fn of_aws(name: &str) -> Self {
        Self { name: name.to_owned(), good: "x".to_owned(), bad: None, is_global: false }
    }

    fn of_template(variable: &Variable) -> Self {
        let good = match variable.name {
            _ if variable.is_optional() => "",
            name if name.ends_with("_URL") => "http://shop.test",
            _ => variable.value,
        };
        Self {
            name: variable.name.to_owned(),
            good: good.to_owned(),
            bad: variable.is_optional().then_some("unusable"),
            is_global: variable.is_global,
        }
    }
}

#[tokio::test]
async fn functions_read_the_variables_that_the_template_sets_and_no_others() {
    skip_where_deployed("the start of a binary");
    tokio::task::spawn_blocking(|| drop(BINARIES.clone())).await.unwrap();
    let repository = Repository::new(tidy::read(&template::repository()).unwrap()).unwrap();
    let settings = repository.environment().into_iter().map(|(function, variables)| {
        let of_template = variables.iter().map(Setting::of_template);
        (function, of_template.chain(OF_AWS.map(Setting::of_aws)).collect())
    });
    let settings: Vec<(String, Vec<Setting>)> = settings.collect();
    let group = Group::new().unwrap();

    let trials = settings.iter().flat_map(|(function, settings)| {
        let spoilt = settings.iter().map(Some);
        [None].into_iter().chain(spoilt).map(move |spoilt| (function, settings, spoilt))
    });
    let trials = stream::iter(trials).map(async |(function, settings, spoilt)| {
        (function, spoilt, start(&group, function, settings, spoilt).await)
    });
    let outcomes: Vec<_> = trials.buffer_unordered(AT_ONCE).collect().await;

    let fails = outcomes.iter().filter(|(_, spoilt, outcome)| spoilt.is_none() && outcome.is_err());
    let fails: BTreeSet<&String> = fails.map(|(function, ..)| *function).collect();
    let mut read: BTreeSet<&str> = BTreeSet::new();
    let mut findings = Vec::new();
    for (function, spoilt, outcome) in &outcomes {
        match (spoilt, outcome) {
            (None, Ok(())) => {}
            (None, Err(log)) => findings
                .push(format!("{function} does not start with the variables that template.yaml sets: {log}")),
            (Some(Setting { name, .. }), Err(log))
                if log.contains(&format!("environment variable {name} is")) =>
            {
                read.insert(name);
            }
            (Some(_), Err(_)) if fails.contains(function) => {}
            (Some(Setting { name, .. }), Err(log)) => {
                findings
                    .push(format!("{function} does not name {name}, without which it does not start: {log}"));
            }
            (Some(Setting { is_global: true, .. }), Ok(())) => {}
            (Some(Setting { name, .. }), Ok(())) => {
                findings.push(format!("{function} never reads {name}: remove it from template.yaml"));
            }
        }
    }
    let globals = settings.iter().flat_map(|(_, settings)| settings).filter(|setting| setting.is_global);
    let globals: BTreeSet<&str> = globals.map(|setting| &*setting.name).collect();
    for name in globals.difference(&read) {
        findings.push(format!("no function reads {name}: remove it from Globals in template.yaml"));
    }
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
    assert!(!globals.is_empty() && outcomes.len() > 4 * settings.len(), "this test looks at the wrong place");
}

/// Starts a function. Returns after its first poll, or with its output if it ends.
async fn start(
    group: &Group,
    function: &str,
    settings: &[Setting],
    spoilt: Option<&Setting>,
) -> Result<(), String> {
    let lambda = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = lambda.local_addr().unwrap().to_string();
    let mut command = group.command(BINARIES.join(function)).unwrap();
    command.env_clear().envs(OF_LAMBDA);
    command.env("AWS_LAMBDA_RUNTIME_API", &address).env("AWS_ENDPOINT_URL", format!("http://{address}"));
    command.envs(settings.iter().map(|setting| (&setting.name, &setting.good)));
    if let Some(Setting { name, bad, .. }) = spoilt {
        match bad {
            Some(bad) => command.env(name, bad),
            None => command.env_remove(name),
        };
    }
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let outcome = timeout(Duration::from_secs(30), async {
        tokio::select! {
            () = asks_for_an_event(&lambda) => Ok(()),
            output = child.wait_with_output() => {
                let output = output.unwrap();
                assert!(!output.status.success(), "{function} ended as if all were well");
                Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
            }
        }
    });
    outcome.await.unwrap_or_else(|_| panic!("{function} neither starts nor ends"))
}

/// Waits for the first poll. Refuses all other requests.
async fn asks_for_an_event(lambda: &TcpListener) {
    loop {
        let (mut connection, _) = lambda.accept().await.unwrap();
        let mut request = vec![0; 16 * 1024];
        let length = connection.read(&mut request).await.unwrap();
        if request[..length].starts_with(b"GET /2018-06-01/runtime/invocation/next ") {
            return;
        }
        let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        connection.write_all(refusal).await.unwrap();
    }
}
