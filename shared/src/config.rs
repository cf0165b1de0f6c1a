//! Environment variables.

use std::{env, time::Duration};

/// A missing or unusable variable. The function can't start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {0} is not set; template.yaml and local/env show what it holds")]
    Missing(&'static str),
    #[error("the environment variable {name} is unusable: {reason}")]
    Unusable { name: &'static str, reason: String },
}

/// # Errors
/// [`ConfigError::Missing`].
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    optional(name).ok_or(ConfigError::Missing(name))
}

pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the endpoint of an AWS service, if it is not AWS's own. All AWS SDKs read these variables:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
pub fn endpoint(service: &str) -> Option<String> {
    optional(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| optional("AWS_ENDPOINT_URL"))
}

/// Returns issuer and audience of access tokens: version 1 of the API at its public address.
pub fn issuer(public_url: &str) -> String {
    format!("{}/v1", public_url.trim_end_matches('/'))
}

/// One attempt of a call to AWS; then the SDK retries.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// All attempts of a call to AWS. Shorter than [`HANDLER_TIMEOUT`], so that the handler can still answer.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(4_000);
/// One call to the payment provider. After that, its outcome is in doubt.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_millis(5_000);
/// A whole request. Shorter than the function's `Timeout` in template.yaml, which is shorter than API Gateway's 29 s.
pub const HANDLER_TIMEOUT: Duration = Duration::from_millis(14_000);
