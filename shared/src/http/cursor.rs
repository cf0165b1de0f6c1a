//! Cursors: a position in a list, checksummed and bound to the query that gave it.
//!
//! The checksum detects damage and mix-ups, not forgery: a cursor contains only a position, so a forged one reaches nothing
//! that the query itself could not.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{Context, SHA256};
use serde::{Serialize, de::DeserializeOwned};

use crate::error::Error;

const CHECKSUM_BYTES: usize = 8;

/// Encodes a position in the list of `query`.
///
/// # Errors
/// [`Error::Internal`] if either can't be serialized.
pub fn encode(position: &impl Serialize, query: &impl Serialize) -> Result<String, Error> {
    let position = serde_json::to_vec(position).map_err(Error::internal)?;
    let checksum = checksum(&position, query)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode([&checksum[..], &position].concat()))
}

/// Decodes a position in the list of `query`.
///
/// # Errors
/// [`Error::InvalidCursor`] if the cursor is damaged or from another query.
pub fn decode<P: DeserializeOwned>(cursor: &str, query: &impl Serialize) -> Result<P, Error> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Error::InvalidCursor)?;
    let (claimed, position) = bytes.split_at_checked(CHECKSUM_BYTES).ok_or(Error::InvalidCursor)?;
    if claimed != checksum(position, query)? {
        return Err(Error::InvalidCursor);
    }
    serde_json::from_slice(position).map_err(|_| Error::InvalidCursor)
}

fn checksum(position: &[u8], query: &impl Serialize) -> Result<[u8; CHECKSUM_BYTES], Error> {
    let query = serde_json::to_vec(query).map_err(Error::internal)?;
    let mut hash = Context::new(&SHA256);
    hash.update(&query);
    // JSON contains no NUL, so it separates the two.
    hash.update(&[0]);
    hash.update(position);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&hash.finish().as_ref()[..CHECKSUM_BYTES]);
    Ok(checksum)
}
