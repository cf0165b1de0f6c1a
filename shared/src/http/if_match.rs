//! Preconditions of changes.

use lambda_http::http::header::IF_MATCH;

use super::request::Request;
use crate::error::Error;

/// Versions that a client wants to change. An entity tag that is not ours never matches.
#[derive(Debug, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Parses `If-Match` (RFC 9110, section 13.1.1): `*`, or strong entity tags such as `"7"` and `"7-in_stock"`, of which
    /// only the version counts.
    pub fn parse(header: &str) -> Self {
        let version = |tag: &str| {
            let tag = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
            let digits = tag.split_once('-').map_or(tag, |(version, _)| version);
            digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
        };
        if header.trim() == "*" {
            Self::Any
        } else {
            Self::Versions(header.split(',').filter_map(version).collect())
        }
    }

    /// Checks that the current version is one of them.
    ///
    /// # Errors
    /// [`Error::StaleVersion`].
    pub fn check(&self, version: i64) -> Result<(), Error> {
        match self {
            Self::Any => Ok(()),
            Self::Versions(versions) if versions.contains(&version) => Ok(()),
            Self::Versions(_) => Err(Error::StaleVersion),
        }
    }
}

impl Request {
    /// Reads the versions that the client wants to change.
    ///
    /// # Errors
    /// [`Error::IfMatchRequired`].
    pub fn if_match(&self) -> Result<IfMatch, Error> {
        self.header(IF_MATCH).map(IfMatch::parse).ok_or(Error::IfMatchRequired)
    }
}
