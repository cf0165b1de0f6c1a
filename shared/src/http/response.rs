//! The response.

use lambda_http::{
    Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AUTHORIZATION, CACHE_CONTROL,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LINK, LOCATION, ORIGIN, REFERRER_POLICY,
            RETRY_AFTER, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use serde::Serialize;

use super::{
    cursor,
    request::Request,
    version::{Retirements, Version},
};
use crate::{
    config::{self, ConfigError},
    docs::Document,
    error::Error,
    html::Html,
    store::Page,
    telemetry::{self, Metric},
};

/// Headers that scripts of other origins may read.
const EXPOSED: &str =
    "ETag, Location, Link, Retry-After, X-Request-Id, Idempotent-Replayed, Deprecation, Sunset";

/// Marks the result of an earlier request with the same idempotency key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Headers that all responses of a function have.
pub(super) struct CommonHeaders {
    /// Web origin whose scripts may read the responses.
    origin: String,
    retirements: Retirements,
}

impl CommonHeaders {
    pub fn from_env() -> Result<Self, ConfigError> {
        let origin = config::required("ALLOWED_ORIGIN")?;
        Ok(Self { origin, retirements: Retirements::from_env()? })
    }
}

/// A response. Caches must not store it unless it says so.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Response {
    /// 200 with a JSON body.
    ///
    /// # Errors
    /// [`Error::Internal`] if the body can't be serialized.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::OK, "application/json", body)
    }

    /// 201 with the created resource.
    ///
    /// # Errors
    /// As for [`Self::ok`].
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::CREATED, "application/json", body)
    }

    /// 202 with the state of a process that is not complete.
    ///
    /// # Errors
    /// As for [`Self::ok`].
    pub fn in_progress(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::ACCEPTED, "application/json", body)
    }

    /// 202 without a body.
    pub fn accepted() -> Self {
        Self::bare(StatusCode::ACCEPTED)
    }

    /// 200 without a body.
    pub fn done() -> Self {
        Self::bare(StatusCode::OK)
    }

    /// 303: the browser continues there with GET.
    ///
    /// # Errors
    /// [`Error::Internal`] if the location is no valid header.
    pub fn see_other(location: &str) -> Result<Self, Error> {
        Self::bare(StatusCode::SEE_OTHER).at(location)
    }

    /// 200 with a document.
    ///
    /// # Errors
    /// As for [`Self::see_other`].
    pub fn document(document: &Document) -> Result<Self, Error> {
        let mut response = Self::bare(StatusCode::OK).version(&document.version)?;
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(document.media_type));
        response.body.clone_from(&document.text);
        match &document.policy {
            Some(policy) => response.header(CONTENT_SECURITY_POLICY, policy),
            None => Ok(response),
        }
    }

    /// 200 with an HTML page.
    ///
    /// # Errors
    /// As for [`Self::see_other`].
    pub fn html(page: Html) -> Result<Self, Error> {
        Self::html_with(StatusCode::OK, page)
    }

    pub(super) fn html_with(status: StatusCode, page: Html) -> Result<Self, Error> {
        let mut response = Self::bare(status).header(CONTENT_SECURITY_POLICY, &page.policy)?;
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        Ok(Self { body: page.document, ..response })
    }

    /// Turns the response into a 429 with `Retry-After`.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn too_many_requests(self, retry_after_seconds: i64) -> Result<Self, Error> {
        let response = Self { status: StatusCode::TOO_MANY_REQUESTS, ..self };
        response.header(RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::bare(StatusCode::NO_CONTENT)
    }

    pub(super) fn bare(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// 200 with a page of a list and the cursor of the next one, which is bound to `query`.
    ///
    /// # Errors
    /// As for [`Self::ok`].
    pub fn page<T: Serialize, P: Serialize>(
        request: &Request,
        page: &Page<T, P>,
        query: &impl Serialize,
    ) -> Result<Self, Error> {
        #[derive(Serialize)]
        struct Body<'a, T> {
            items: &'a [T],
            next_cursor: Option<&'a str>,
        }
        let next = page.next.as_ref().map(|position| cursor::encode(position, query)).transpose()?;
        let response = Self::ok(&Body { items: &page.items, next_cursor: next.as_deref() })?;
        match next {
            Some(next) => response.header(LINK, &format!("<{}>; rel=\"next\"", request.with_cursor(&next))),
            None => Ok(response),
        }
    }

    pub(super) fn json(
        status: StatusCode,
        media_type: &'static str,
        body: &impl Serialize,
    ) -> Result<Self, Error> {
        let body = serde_json::to_string(body).map_err(Error::internal)?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        Ok(Self { status, headers, body })
    }

    /// Adds the location of the created resource.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is no valid header.
    pub fn at(self, location: &str) -> Result<Self, Error> {
        self.header(LOCATION, location)
    }

    /// Adds a strong ETag (RFC 9110, section 8.8.3).
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn version(self, version: impl std::fmt::Display) -> Result<Self, Error> {
        self.header(ETAG, &format!("\"{version}\""))
    }

    /// Lets shared caches store the response, unless the request had a token.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn cached(self, request: &Request, seconds: u32) -> Result<Self, Error> {
        let response = self.header(VARY, AUTHORIZATION.as_str())?;
        if request.has_token() {
            Ok(response)
        } else {
            response.header(CACHE_CONTROL, &format!("public, max-age={seconds}"))
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        self.headers.append(name, HeaderValue::from_str(value).map_err(Error::internal)?);
        Ok(self)
    }

    /// Marks the result of an earlier request with the same idempotency key.
    pub fn replayed_if(mut self, replayed: bool) -> Self {
        if replayed {
            telemetry::count(Metric::Replays);
            self.headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        self
    }

    /// Returns whether the client has this version, by its `If-None-Match` (RFC 9110, section 13.1.2).
    pub(super) fn is_known_as(&self, if_none_match: &str) -> bool {
        let etag = self.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        let known = |tag: &str| tag == "*" || Some(tag.strip_prefix("W/").unwrap_or(tag)) == etag;
        self.status == StatusCode::OK && etag.is_some() && if_none_match.split(',').map(str::trim).any(known)
    }

    /// Turns the response into a 304.
    pub(super) fn not_modified(mut self) -> Self {
        self.headers.remove(CONTENT_TYPE);
        Self { status: StatusCode::NOT_MODIFIED, body: String::new(), ..self }
    }

    /// Adds the headers that every response has.
    pub(super) fn finish(
        self,
        request_id: &str,
        version: Version,
        common: &CommonHeaders,
    ) -> lambda_http::Response<Body> {
        let mut headers = self.headers;
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
        let same = [
            (STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // Keeps pages apart from windows and documents of other sites. Scripts read responses by CORS, which these
            // headers do not concern.
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        ];
        headers.extend(same.map(|(name, value)| (name, HeaderValue::from_static(value))));
        headers.extend(common.retirements.headers(version));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if let Ok(allowed) = HeaderValue::from_str(&common.origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
        if common.origin != "*" {
            headers.append(VARY, HeaderValue::from(ORIGIN));
        }
        let body = if self.body.is_empty() { Body::Empty } else { Body::Text(self.body) };
        let mut response = lambda_http::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
