//! What goes back to the client.

use lambda_http::{
    Body, Response,
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
    Request, Style, cursor, problem,
    version::{Retirements, Version},
};
use crate::{
    config::{self, ConfigError},
    docs::Document,
    error::Error,
    html::Html,
    store::{
        Page,
        idempotency::{Answered, Outcome, Recorded},
    },
    telemetry::{self, Metric},
};

/// What scripts of other origins may read besides the body.
const EXPOSED: &str =
    "ETag, Location, Link, Retry-After, X-Request-Id, Idempotent-Replayed, Deprecation, Sunset";

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What all answers of a function have in common.
pub(super) struct Common {
    /// The web origin whose scripts may read them.
    origin: String,
    retirements: Retirements,
}

impl Common {
    pub fn read() -> Result<Self, ConfigError> {
        let origin = config::required("ALLOWED_ORIGIN")?;
        Ok(Self { origin, retirements: Retirements::read()? })
    }
}

/// An answer to a client. What nobody has said otherwise about is private and not to be stored.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    /// 200 with a body.
    ///
    /// # Errors
    /// [`Error::Internal`] where the body can't be written as JSON.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::OK, "application/json", body)
    }

    /// 201 with what was created.
    ///
    /// # Errors
    /// As for [`Self::ok`].
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::CREATED, "application/json", body)
    }

    /// 202 with how far it is.
    ///
    /// # Errors
    /// As for [`Self::ok`].
    pub fn under_way(body: &impl Serialize) -> Result<Self, Error> {
        Self::json(StatusCode::ACCEPTED, "application/json", body)
    }

    /// The answer that an error becomes, for an operation that has to keep it.
    pub fn problem(error: &Error, request: &Request) -> Self {
        problem::answer(error, Style::Problem, request.id())
    }

    /// 202, and no word about what comes of it.
    pub fn accepted() -> Self {
        Self::bare(StatusCode::ACCEPTED)
    }

    /// 200 without a body.
    pub fn done() -> Self {
        Self::bare(StatusCode::OK)
    }

    /// 303: the browser goes on there, by GET.
    ///
    /// # Errors
    /// [`Error::Internal`] where it can't stand in a header.
    pub fn see_other(location: &str) -> Result<Self, Error> {
        Self::bare(StatusCode::SEE_OTHER).at(location)
    }

    /// 200 with a document.
    ///
    /// # Errors
    /// [`Error::Internal`] where its policy can't stand in a header.
    pub fn document(document: &Document) -> Result<Self, Error> {
        let mut answer = Self::bare(StatusCode::OK).version(&document.version)?;
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static(document.media_type));
        answer.body.clone_from(&document.text);
        match &document.policy {
            Some(policy) => answer.header(CONTENT_SECURITY_POLICY, policy),
            None => Ok(answer),
        }
    }

    /// A page, for a person.
    ///
    /// # Errors
    /// [`Error::Internal`] where its policy can't stand in a header.
    pub fn html(page: Html) -> Result<Self, Error> {
        Self::html_with(StatusCode::OK, page)
    }

    pub(super) fn html_with(status: StatusCode, page: Html) -> Result<Self, Error> {
        let mut answer = Self::bare(status).header(CONTENT_SECURITY_POLICY, &page.policy)?;
        answer.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        Ok(Self { body: page.document, ..answer })
    }

    /// The same, as the answer to a person who has tried too often.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn too_many_requests(self, retry_after_seconds: i64) -> Result<Self, Error> {
        let answer = Self { status: StatusCode::TOO_MANY_REQUESTS, ..self };
        answer.header(RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::bare(StatusCode::NO_CONTENT)
    }

    pub(super) fn bare(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: String::new() }
    }

    /// 200 with one page of a list, and where the next one is. `query` is what the list was asked for: its cursors are
    /// good for that alone.
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
        let answer = Self::ok(&Body { items: &page.items, next_cursor: next.as_deref() })?;
        match next {
            Some(next) => answer.header(LINK, &format!("<{}>; rel=\"next\"", request.with_cursor(&next))),
            None => Ok(answer),
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

    /// Says where the thing is that was created.
    ///
    /// # Errors
    /// [`Error::Internal`] where it can't stand in a header.
    pub fn at(self, location: &str) -> Result<Self, Error> {
        self.header(LOCATION, location)
    }

    /// Names the version that is shown: a strong ETag (RFC 9110, section 8.8.3).
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn version(self, version: impl std::fmt::Display) -> Result<Self, Error> {
        self.header(ETAG, &format!("\"{version}\""))
    }

    /// Lets caches keep it for so many seconds, unless the request had a token.
    ///
    /// # Errors
    /// As for [`Self::at`].
    pub fn cached(self, request: &Request, seconds: u32) -> Result<Self, Error> {
        let answer = self.header(VARY, AUTHORIZATION.as_str())?;
        if request.has_token() {
            Ok(answer)
        } else {
            answer.header(CACHE_CONTROL, &format!("public, max-age={seconds}"))
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        self.headers.append(name, HeaderValue::from_str(value).map_err(Error::internal)?);
        Ok(self)
    }

    /// Rewrites the body.
    ///
    /// # Errors
    /// Those of `rewrite`.
    pub fn rewrite_body(self, rewrite: impl FnOnce(&str) -> Result<String, Error>) -> Result<Self, Error> {
        Ok(Self { body: rewrite(&self.body)?, ..self })
    }

    /// This answer as an idempotency record keeps it.
    pub fn recorded(&self) -> Recorded {
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, location, etag) = (self.status.as_u16(), header(LOCATION), header(ETAG));
        Recorded { status, location, etag, body: self.body.clone() }
    }

    /// This answer if the effect came about just now; the first one again if it had before.
    ///
    /// # Errors
    /// [`Error::Internal`] where the record is damaged.
    pub fn unless_replayed(self, outcome: Outcome) -> Result<Self, Error> {
        match outcome {
            Outcome::Done => Ok(self),
            Outcome::Replayed(first) => Self::again(first),
        }
    }

    /// The answer that was recorded.
    ///
    /// # Errors
    /// [`Error::Internal`] where the record is damaged.
    pub fn of_attempt(answered: Answered) -> Result<Self, Error> {
        if answered.replayed { Self::again(answered.answer) } else { Self::of(answered.answer) }
    }

    /// The answer that was recorded, marked as such.
    fn again(recorded: Recorded) -> Result<Self, Error> {
        telemetry::count(Metric::Replays);
        Self::of(recorded)?.header(REPLAYED, "true")
    }

    fn of(recorded: Recorded) -> Result<Self, Error> {
        let status = StatusCode::from_u16(recorded.status).map_err(Error::internal)?;
        let problem = status.is_client_error();
        let media_type = if problem { "application/problem+json" } else { "application/json" };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let mut answer = Self { status, headers, body: recorded.body };
        for (name, value) in [(LOCATION, recorded.location), (ETAG, recorded.etag)] {
            if let Some(value) = value {
                answer = answer.header(name, &value)?;
            }
        }
        Ok(answer)
    }

    /// Whether the client has this already, going by its `If-None-Match` (RFC 9110, section 13.1.2).
    pub(super) fn is_known_as(&self, if_none_match: &str) -> bool {
        let etag = self.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
        let known = |tag: &str| tag == "*" || Some(tag.strip_prefix("W/").unwrap_or(tag)) == etag;
        self.status == StatusCode::OK && etag.is_some() && if_none_match.split(',').map(str::trim).any(known)
    }

    /// 304 in its place.
    pub(super) fn not_modified(mut self) -> Self {
        self.headers.remove(CONTENT_TYPE);
        Self { status: StatusCode::NOT_MODIFIED, body: String::new(), ..self }
    }

    /// Adds what every answer has.
    pub(super) fn into_response(self, request_id: &str, version: Version, common: &Common) -> Response<Body> {
        let mut headers = self.headers;
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
        let same = [
            (STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
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
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
