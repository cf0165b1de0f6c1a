//! Metadata of this authorization server (RFC 8414).

use serde::Serialize;
use strum::VariantNames;

use crate::{
    auth::Scope,
    config::{self, ConfigError},
};

#[derive(Serialize)]
pub struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    scopes_supported: &'static [&'static str],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 3],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
}

/// # Errors
/// `PUBLIC_URL` is missing.
pub fn metadata() -> Result<ServerMetadata, ConfigError> {
    let issuer = config::issuer(&config::required("PUBLIC_URL")?);
    let at = |path: &str| format!("{issuer}/{path}");
    Ok(ServerMetadata {
        authorization_endpoint: at("oauth/authorize"),
        token_endpoint: at("oauth/token"),
        revocation_endpoint: at("oauth/revoke"),
        jwks_uri: at(".well-known/jwks.json"),
        scopes_supported: Scope::VARIANTS,
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "client_credentials", "refresh_token"],
        token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
        revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        issuer,
    })
}
