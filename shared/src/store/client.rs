//! The one DynamoDB client of a function, built by hand for a fast cold start: no credential chain, no profile files,
//! `ring` for TLS, and only Amazon's own root certificates to parse.

use std::{fs, time::Duration};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{
        BehaviorVersion, Region, SharedHttpClient, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use crate::config::{self, ATTEMPT_TIMEOUT, CALL_TIMEOUT, ConfigError};

/// The roots of <https://www.amazontrust.com/repository/>: to parse the system's 145 would triple the cold start.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

pub(super) fn new() -> Result<Client, ConfigError> {
    let endpoint = config::endpoint("DYNAMODB");
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
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(config::required("AWS_REGION")?))
        .credentials_provider(credentials)
        .http_client(if plain { Builder::new().build_http() } else { https()? })
        .timeout_config(timeouts)
        .retry_config(
            RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(50)),
        )
        // Answers are small, and the timeouts above bound them.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Ok(Client::from_conf(match endpoint {
        Some(url) => config.endpoint_url(url).build(),
        None => config.build(),
    }))
}

/// `AWS_CA_BUNDLE`, which every AWS SDK reads, names other roots to trust: those of a proxy, or the system's.
fn https() -> Result<SharedHttpClient, ConfigError> {
    const BUNDLE: &str = "AWS_CA_BUNDLE";
    let unusable = |reason: String| ConfigError::Unusable { name: BUNDLE, reason };
    let roots = match config::optional(BUNDLE) {
        Some(path) => fs::read(&path).map_err(|error| unusable(format!("{path}: {error}")))?,
        None => AMAZON_ROOTS.to_vec(),
    };
    let trust = TrustStore::empty().with_pem_certificate(roots);
    let tls =
        TlsContext::builder().with_trust_store(trust).build().map_err(|error| unusable(error.to_string()))?;
    Ok(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https())
}
