//! Configuration and errors of AWS clients. Built by hand for a fast cold start: no credential chain, no profile files,
//! `ring` for TLS, and only Amazon's own root certificates to parse.

use std::{error::Error as StdError, fs, sync::OnceLock, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion, http::SharedHttpClient, orchestrator::HttpResponse, result::SdkError,
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_smithy_types::{error::metadata::ProvideErrorMetadata, retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use crate::{
    config::{self, ATTEMPT_TIMEOUT, CALL_TIMEOUT, ConfigError},
    error::Error,
};

/// The roots of <https://www.amazontrust.com/repository/>. Parsing the system's 145 would triple the cold start.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// Configures a client. `service` is its name in `AWS_ENDPOINT_URL_<SERVICE>`.
///
/// # Errors
/// A variable is missing or unusable.
pub(crate) fn configuration(service: &str) -> Result<SdkConfig, ConfigError> {
    let endpoint = config::endpoint(service);
    let plain = endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    let credentials = Credentials::new(
        config::required("AWS_ACCESS_KEY_ID")?,
        config::required("AWS_SECRET_ACCESS_KEY")?,
        config::optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config::required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(if plain { Builder::new().build_http() } else { https()? })
        .timeout_config(timeouts)
        .retry_config(
            RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)),
        )
        // Responses are small, and the timeouts above bound them.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Ok(match endpoint {
        Some(url) => configuration.endpoint_url(url).build(),
        None => configuration.build(),
    })
}

/// Returns the HTTP client of all services, so that the roots are parsed once. `AWS_CA_BUNDLE`, which all AWS SDKs read,
/// names other roots to trust, such as those of a proxy.
fn https() -> Result<SharedHttpClient, ConfigError> {
    static CLIENT: OnceLock<SharedHttpClient> = OnceLock::new();
    const BUNDLE: &str = "AWS_CA_BUNDLE";
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let unusable = |reason: String| ConfigError::Unusable { name: BUNDLE, reason };
    let roots = match config::optional(BUNDLE) {
        Some(path) => fs::read(&path).map_err(|error| unusable(format!("{path}: {error}")))?,
        None => AMAZON_ROOTS.to_vec(),
    };
    let trust = TrustStore::empty().with_pem_certificate(roots);
    let tls =
        TlsContext::builder().with_trust_store(trust).build().map_err(|error| unusable(error.to_string()))?;
    let client =
        Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https();
    Ok(CLIENT.get_or_init(|| client).clone())
}

/// Error codes of temporary failures: throttling, contention, failures of the service.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>
const RETRYABLE: [&str; 10] = [
    "InternalServerError",
    "InternalServiceError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

/// Classifies a failed call: [`Error::Unavailable`] if a retry may help, otherwise [`Error::Internal`]. It never becomes an
/// error that blames the client.
pub(crate) fn classify<E>(failure: SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let passing = match &failure {
        SdkError::ConstructionFailure(_) => false,
        SdkError::ServiceError(refusal) => {
            let code = refusal.err().code();
            // Other statuses than 4xx come from the service or from something in between: retry.
            !refusal.raw().status().is_client_error() || code.is_some_and(|code| RETRYABLE.contains(&code))
        }
        // A timeout, no connection, or an unreadable response.
        _ => true,
    };
    if passing { Error::Unavailable(failure.into()) } else { Error::Internal(failure.into()) }
}
