//! Lambda's Invoke API, which `cargo lambda watch` serves:
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.

use serde_json::Value;

/// Invokes a function and waits for its end. `lambda` is the URL of the API. Returns the response of a failed function as
/// the inner error.
///
/// # Errors
/// The function cannot be reached.
pub async fn invoke(
    http: &reqwest::Client,
    lambda: &str,
    function: &str,
    event: &Value,
) -> reqwest::Result<Result<(), String>> {
    let url = format!("{lambda}/2015-03-31/functions/{function}/invocations");
    let answer = http.post(url).json(event).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_done = status.is_success() && answer["errorType"].is_null();
    Ok(if is_done { Ok(()) } else { Err(text) })
}
