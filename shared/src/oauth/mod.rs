//! OAuth 2.0 (RFC 6749, with RFC 7636 and RFC 9700).

mod parameters;

mod credentials;
mod metadata;
mod registration;
mod tokens;

mod registry;

mod authorization;
mod grant;
mod revocation;

mod page;

mod consent;

pub use authorization::{Authorization, AuthorizationError, Authorizer};
pub use consent::ConsentAnswer;
pub use credentials::ClientCredentials;
pub use grant::TokenEndpoint;
pub use metadata::{ServerMetadata, metadata};
pub use page::error as error_page;
pub use parameters::Parameters;
pub use registration::{ClientView, NewClient, SecretView};
pub use revocation::Revocation;
pub use tokens::{TokenResponse, Tokens};
