//! The environment variables that the functions read, each at one place, each named when it is missing.

use std::{env, time::Duration};

/// A setting that is missing or unusable: the function can't start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not set, or empty.
    #[error("the environment variable {0} is not set; template.yaml and local/env show what it holds")]
    Missing(&'static str),
    /// What it names can't be used.
    #[error("the environment variable {name} is unusable: {reason}")]
    Unusable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// The value of a variable that must be set.
///
/// # Errors
/// [`ConfigError::Missing`].
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    optional(name).ok_or(ConfigError::Missing(name))
}

/// The value of a variable, if it is set.
pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where an AWS service answers, if not at its own address. The names are those that every AWS SDK reads:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
pub fn endpoint(service: &str) -> Option<String> {
    optional(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| optional("AWS_ENDPOINT_URL"))
}

/// The issuer and audience of access tokens: version 1 of the API at its public address.
pub fn issuer(public_url: &str) -> String {
    format!("{}/v1", public_url.trim_end_matches('/'))
}

/// One attempt at a call below; after that the SDK tries again.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_500);
/// All attempts at a call below. Shorter than [`HANDLER_TIMEOUT`], so that its failure is still answered.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(4_000);
/// One call of the payment provider. What has come of it is in doubt after that.
pub const PROVIDER_TIMEOUT: Duration = Duration::from_millis(5_000);
/// A whole request. Shorter than the function's `Timeout` in template.yaml, which is shorter than API Gateway's 29 s.
pub const HANDLER_TIMEOUT: Duration = Duration::from_millis(14_000);
