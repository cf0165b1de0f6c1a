//! The rights that the functions' calls have needed in the last whole run of the API's tests: the target `api` writes
//! them down, and `rights`, which cargo runs after it, holds them against template.yaml.

use std::path::PathBuf;

/// Where they are written down: first when the run began, in milliseconds since 1970, then a right a line: function,
/// action, resource.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("used-rights")
}

/// Whether a right to `granted`, perhaps with a star at its end, is one to `resource`.
pub fn covers(granted: &str, resource: &str) -> bool {
    granted.strip_suffix('*').map_or(granted == resource, |beginning| resource.starts_with(beginning))
}
