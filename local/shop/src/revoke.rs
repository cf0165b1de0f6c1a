//! Revokes a key: has keys-rotate replace it at once.

use std::{
    io,
    process::{Command, ExitStatus},
};

use emulators::lambda;
use serde_json::json;

/// A shop: on this machine, or deployed.
pub enum Place<'p> {
    /// `cargo shop up` on this port.
    Local(u16),
    /// A stack of the account that the AWS CLI uses.
    Stack(&'p str),
}

/// The key is not revoked, or it is unknown whether it is.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    #[error("the shop does not answer on port {0} ({1}): start it with `cargo shop up`")]
    NotRunning(u16, #[source] reqwest::Error),
    #[error("keys-rotate has refused ({0}): see its log; no key may have this id")]
    Refused(String),
    #[error("the AWS CLI cannot be run ({0}): install it, or choose a shop on this machine")]
    Cli(#[source] io::Error),
    #[error("the AWS CLI has failed ({0}): see above")]
    Failed(ExitStatus),
    #[error("the functions cannot be called: {0}")]
    Call(#[from] reqwest::Error),
}

/// Revokes the key with this id.
///
/// # Errors
/// [`RevokeError`].
pub async fn run(key: &str, place: &Place<'_>) -> Result<(), RevokeError> {
    let event = json!({"Revoke": key});
    match place {
        Place::Local(port) => {
            let http = reqwest::Client::builder().no_proxy().build()?;
            let lambda = format!("http://127.0.0.1:{port}");
            let answer = lambda::invoke(&http, &lambda, "keys-rotate", &event).await;
            answer.map_err(|error| RevokeError::NotRunning(*port, error))?.map_err(RevokeError::Refused)
        }
        Place::Stack(stack) => {
            let function = format!("{stack}-keys-rotate");
            let invoke = ["lambda", "invoke", "--function-name", &function, "--payload", &event.to_string()]
                .map(str::to_owned);
            let form =
                ["--cli-binary-format", "raw-in-base64-out", "--query", "FunctionError", "/dev/stderr"];
            let output = Command::new("aws").args(invoke).args(form).output().map_err(RevokeError::Cli)?;
            if !output.status.success() {
                eprint!("{}", String::from_utf8_lossy(&output.stderr));
                return Err(RevokeError::Failed(output.status));
            }
            match String::from_utf8_lossy(&output.stdout).trim() {
                "null" => Ok(()),
                _ => Err(RevokeError::Refused(String::from_utf8_lossy(&output.stderr).into_owned())),
            }
        }
    }
}
