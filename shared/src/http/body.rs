//! Reads bodies, forms and queries.

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, RequestExt,
    http::header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Map, Value};

use super::{json::UniqueNames, merge_patch::MergePatch, request::Request};
use crate::{
    domain::validation::{self, Object},
    error::{Error, OAuthError},
    oauth::Parameters,
};

/// Maximum size of a body, unless an operation sets its own.
const MAX_BODY_BYTES: usize = 64 * 1024;

impl Request {
    /// Reads the body, a JSON object.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`], [`Error::BodyTooLarge`], [`Error::MalformedJson`]; [`Error::Validation`].
    pub fn json<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        let body = self.body(&["application/json"], "application/json")?;
        validation::read(body, read).map_err(Error::Validation)
    }

    /// Reads the body, a JSON object. A missing body counts as an empty object.
    ///
    /// # Errors
    /// As for [`Self::json`].
    pub fn json_if_any<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        if self.bytes().is_empty() {
            return validation::read(Value::Object(Map::new()), read).map_err(Error::Validation);
        }
        self.json(read)
    }

    /// Returns the body of at most `max` bytes, unparsed, and the header that signs it.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`], [`Error::InvalidSignature`] if there is no such header.
    pub fn signed(&self, header: &str, max: usize) -> Result<(&[u8], &str), Error> {
        let body = self.bytes();
        if body.len() > max {
            return Err(Error::BodyTooLarge(max / 1024));
        }
        Ok((body, self.header(header).ok_or(Error::InvalidSignature)?))
    }

    /// Reads the body, a JSON merge patch (RFC 7396).
    ///
    /// # Errors
    /// As for [`Self::json`], except [`Error::Validation`].
    pub fn merge_patch(&self) -> Result<MergePatch, Error> {
        let known = ["application/merge-patch+json", "application/json"];
        self.body(&known, "application/merge-patch+json").map(MergePatch)
    }

    fn body(&self, known: &[&str], expected: &'static str) -> Result<Value, Error> {
        let body = self.bytes();
        if !body.is_empty() && !known.iter().any(|known| self.is_of(known)) {
            return Err(Error::UnsupportedMediaType(expected));
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(Error::BodyTooLarge(MAX_BODY_BYTES / 1024));
        }
        let body: Result<UniqueNames, _> = serde_json::from_slice(body);
        body.map(|UniqueNames(value)| value).map_err(|error| Error::MalformedJson(error.to_string()))
    }

    fn bytes(&self) -> &[u8] {
        match self.event().body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => &[],
        }
    }

    fn is_of(&self, media_type: &str) -> bool {
        let sent = self.header(CONTENT_TYPE).and_then(|value| value.split(';').next());
        sent.is_some_and(|sent| sent.trim().eq_ignore_ascii_case(media_type))
    }

    /// Reads the body, a form of OAuth 2.0.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn form(&self) -> Result<Parameters, Error> {
        let body = self.bytes();
        if !body.is_empty() && !self.is_of("application/x-www-form-urlencoded") {
            let expected = "Send the parameters as application/x-www-form-urlencoded.";
            return Err(OAuthError::InvalidRequest(expected).into());
        }
        if body.len() > MAX_BODY_BYTES {
            return Err(OAuthError::InvalidRequest("The body must be no larger than 64 KiB.").into());
        }
        Ok(Parameters::read(form_urlencoded::parse(body).into_owned())?)
    }

    /// Reads a form like [`Self::form`], but only from a page of the shop. Browsers tell where a form comes from:
    /// <https://www.w3.org/TR/fetch-metadata/>.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`], also for a form of another site.
    pub fn own_form(&self) -> Result<Parameters, Error> {
        let foreign =
            self.header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
        if foreign {
            return Err(OAuthError::InvalidRequest("This form was sent from another site.").into());
        }
        self.form()
    }

    /// Reads the query as parameters of OAuth 2.0.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn parameters(&self) -> Result<Parameters, Error> {
        let query = self.event().query_string_parameters_ref();
        let pairs = query.into_iter().flat_map(|query| query.iter());
        Ok(Parameters::read(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))?)
    }

    /// Reads name and password of Basic authentication, in OAuth 2.0's encoding (RFC 6749, section 2.3.1). Returns `None`
    /// if there are none.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] if the header is malformed.
    pub fn basic_credentials(&self) -> Result<Option<(String, String)>, Error> {
        let Some((scheme, encoded)) = self.header(AUTHORIZATION).and_then(|value| value.split_once(' '))
        else {
            return Ok(None);
        };
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Ok(None);
        }
        let decoded =
            BASE64_STANDARD.decode(encoded.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or(OAuthError::InvalidClient)?;
        let (name, password) = decoded.split_once(':').ok_or(OAuthError::InvalidClient)?;
        let decode = |text: &str| {
            let mut pairs = form_urlencoded::parse(text.as_bytes());
            pairs.next().map_or_else(String::new, |(name, _)| name.into_owned())
        };
        Ok(Some((decode(name), decode(password))))
    }

    /// Reads the query. A repeated parameter is invalid.
    ///
    /// # Errors
    /// [`Error::Validation`].
    pub fn query<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        let mut parameters = Map::new();
        for (name, value) in
            self.event().query_string_parameters_ref().into_iter().flat_map(|query| query.iter())
        {
            let once = !parameters.contains_key(name);
            let value = if once { Value::from(value) } else { Value::Array(Vec::new()) };
            parameters.insert(name.to_owned(), value);
        }
        validation::read_query(parameters, read).map_err(Error::Validation)
    }
}
