//! Idempotency keys.

use serde::Serialize;

use super::request::Request;
use crate::{auth::Authority, error::Error, store::idempotency::IdempotentRequest};

/// A key of the client's choice, under which an operation takes effect once.
pub struct IdempotencyKey<'r> {
    request: &'r Request,
    key: String,
}

impl IdempotencyKey<'_> {
    /// Binds the key to its caller and to `payload`, which is everything that decides what the operation does.
    ///
    /// # Errors
    /// [`Error::Internal`] if the payload can't be serialized.
    pub fn bind(&self, by: &Authority, payload: &impl Serialize) -> Result<IdempotentRequest, Error> {
        IdempotentRequest::new(by.subject, &self.key, payload, self.request.context_of(by))
    }
}

impl Request {
    /// Reads the `Idempotency-Key`.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyRequired`], [`Error::InvalidIdempotencyKey`].
    pub fn idempotency_key(&self) -> Result<IdempotencyKey<'_>, Error> {
        let mut values = self.headers().get_all("idempotency-key").iter();
        let value = values.next().ok_or(Error::IdempotencyKeyRequired)?;
        let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if values.next().is_none() && visible && (1..=255).contains(&key.len()) => {
                Ok(IdempotencyKey { request: self, key: key.to_owned() })
            }
            _ => Err(Error::InvalidIdempotencyKey),
        }
    }
}
