//! Invokes functions at fixed rates, like EventBridge's scheduled rules.

use std::{convert::Infallible, time::Duration};

use emulators::{lambda, server};
use serde_json::{Value, json};
use shared::telemetry;
use template::Schedule;
use tokio::time::{MissedTickBehavior, interval};

/// Exceeds the time that any function may run, or takes to be built.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A scheduled invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("the function cannot be reached: {0}")]
    Reach(#[from] reqwest::Error),
    #[error("the function has failed: {0}")]
    Failed(String),
}

/// Invokes the function of a schedule at once and then at its rate, forever. Invocations never overlap: a slow one delays
/// the next. `functions` is the URL of Lambda; `say` reports failures.
pub async fn run(schedule: Schedule, functions: String, say: impl Fn(&str)) -> Infallible {
    let mut moments = interval(schedule.every);
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        moments.tick().await;
        if let Err(error) = call(&schedule.function, &functions).await {
            say(&format!("{}: {error}", schedule.function));
        }
    }
}

/// Invokes a function once with a scheduled event.
///
/// # Errors
/// [`ScheduleError`].
pub async fn call(function: &str, functions: &str) -> Result<(), ScheduleError> {
    let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    lambda::invoke(&http, functions, function, &event(function)).await?.map_err(ScheduleError::Failed)
}

/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html>
pub fn event(function: &str) -> Value {
    json!({
        "version": "0",
        "id": server::uuid(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": telemetry::now(),
        "region": "us-east-1",
        "resources": [format!("arn:aws:events:us-east-1:000000000000:rule/{function}")],
        "detail": {},
    })
}

#[cfg(test)]
mod tests {
    use std::{
        future,
        sync::{
            Arc, Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use tokio::time::timeout;

    use super::*;
    use emulators::server::{Answer, Server};

    #[tokio::test]
    async fn a_function_is_called_at_once_and_again_and_its_failures_are_told() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let functions = Server::start(0, move |parts, body| {
            assert_eq!(parts.uri.path(), "/2015-03-31/functions/sweep/invocations");
            let event: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(event["detail-type"], "Scheduled Event");
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            future::ready(Ok(Answer::new(if first { r#"{"errorType": "Broken"}"# } else { "null" }.into())))
        });
        let functions = functions.await.unwrap();
        let told = Mutex::new(Vec::new());
        let schedule = Schedule { function: "sweep".to_owned(), every: Duration::from_millis(10) };
        let running = run(schedule, functions.url.clone(), |what| told.lock().unwrap().push(what.to_owned()));
        let called_again = async {
            while calls.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), async {
            tokio::select! {
                never = running => match never {},
                () = called_again => {}
            }
        })
        .await
        .unwrap();
        assert_eq!(*told.lock().unwrap(), [r#"sweep: the function has failed: {"errorType": "Broken"}"#]);
        call("sweep", "http://127.0.0.1:1").await.unwrap_err();
    }
}
