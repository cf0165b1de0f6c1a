//! Tables that writes of all services share.

use crate::error::Error;

/// Names of the shared tables, in functions that need them.
#[derive(Clone)]
pub(super) struct CommonTables {
    /// Public keys and withdrawn authority.
    pub keys: Option<String>,
    pub audit: Option<String>,
}

impl CommonTables {
    pub fn keys(&self) -> Result<&str, Error> {
        self.keys.as_deref().ok_or_else(|| Error::internal("this function has no table of withdrawals"))
    }

    pub fn audit(&self) -> Result<&str, Error> {
        self.audit.as_deref().ok_or_else(|| Error::internal("this function has no audit trail"))
    }
}
