//! What a client sent.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, RequestExt,
    http::{
        HeaderMap, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
    },
    request::RequestContext,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Answer, Version, cursor};
use crate::{
    auth::{Customer, OrderAccess, Scope, Staff, random},
    domain::{
        cause::{By, Cause},
        id::{Entity, Id},
        input::{self, Fault, Invalid, Object},
        listing,
        time::Timestamp,
        user::Actor,
    },
    error::{Error, OAuthError},
    oauth::Parameters,
    store::{
        idempotency::{Attempt, Record},
        keys::Keys,
    },
    telemetry,
};

/// The largest body that is read.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A request, and the moment it arrived.
pub struct Request {
    operation: &'static str,
    event: lambda_http::Request,
    id: String,
    now: Timestamp,
}

impl Request {
    pub(super) fn new(operation: &'static str, event: lambda_http::Request, now: Timestamp) -> Self {
        let gateway = match event.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => context.request_id.clone(),
            Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
            _ => None,
        };
        let id = gateway.or_else(|| event.lambda_context_ref().map(|context| context.request_id.clone()));
        Self { operation, event, id: id.unwrap_or_default(), now }
    }

    /// The id that correlates the answer, the log and the gateway's own log.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it arrived.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// An id for something that this request makes.
    ///
    /// # Errors
    /// [`Error::Internal`] where the system has no randomness to give.
    pub fn new_id<T: Entity>(&self) -> Result<Id<T>, Error> {
        Ok(Id::new(self.now, u128::from_ne_bytes(random()?)))
    }

    /// The id that stands in the path under that name.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it can't be one: there is nothing of such an id.
    pub fn path_id<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let parameters = self.event.path_parameters_ref();
        let id = parameters.and_then(|parameters| parameters.first(name)).and_then(|id| id.parse().ok());
        id.ok_or(Error::NotFound)
    }

    /// The path as the client sees it, with the version in front. API Gateway leaves the stage out at its own address,
    /// where lambda_http puts it back, but not the base path at a custom domain, which is the same.
    pub fn path(&self) -> &str {
        self.event.uri().path()
    }

    /// The version of the API that it is for.
    pub fn version(&self) -> Version {
        Version::of(self.path())
    }

    /// Who is calling: a member of the staff, by an access token with that scope.
    ///
    /// # Errors
    /// [`Error::TokenRequired`], [`Error::InvalidToken`], [`Error::InsufficientScope`].
    pub async fn staff(&self, keys: &Keys, scope: Scope) -> Result<Staff, Error> {
        keys.verify(self.token()?).await?.staff(scope)
    }

    /// Who is calling: a person in their own affairs, by an access token with that scope.
    ///
    /// # Errors
    /// As for [`Self::staff`].
    pub async fn customer(&self, keys: &Keys, scope: Scope) -> Result<Customer, Error> {
        keys.verify(self.token()?).await?.customer(scope)
    }

    /// Who is calling about orders: whoever has that scope, about any; a customer about their own.
    ///
    /// # Errors
    /// As for [`Self::staff`].
    pub async fn order_access(&self, keys: &Keys, scope: Scope) -> Result<OrderAccess, Error> {
        keys.verify(self.token()?).await?.orders(scope)
    }

    /// What this request is the cause of.
    pub fn cause(&self, by: impl Into<By>) -> Cause {
        Cause { by: by.into(), at: self.now, request_id: self.id.clone(), trace_id: self.trace_id() }
    }

    /// Where the request came from, as API Gateway has seen it; never what a header says. Of IPv6 it is the network
    /// that counts, since a customer of a provider has all of a /64.
    pub fn address(&self) -> String {
        let address = match self.event.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        let address = address.unwrap_or_default();
        match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => address.to_string(),
            Ok(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64 << 64;
                format!("{}/64", Ipv6Addr::from_bits(network))
            }
            Err(_) => address,
        }
    }

    /// Whether something was sent, and not just asked for.
    pub fn is_post(&self) -> bool {
        *self.event.method() == Method::POST
    }

    fn token(&self) -> Result<&str, Error> {
        let header = self.header(AUTHORIZATION).ok_or(Error::TokenRequired)?;
        match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(token.trim()),
            _ => Err(Error::TokenRequired),
        }
    }

    /// Whether there is a token, of whatever worth.
    pub fn has_token(&self) -> bool {
        self.headers().contains_key(AUTHORIZATION)
    }

    /// The body, a JSON object.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`], [`Error::BodyTooLarge`], [`Error::MalformedJson`]; [`Error::Invalid`] with all
    /// that is wrong.
    pub fn json<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        let body = self.body(&["application/json"], "application/json")?;
        input::read(body, read).map_err(Error::Invalid)
    }

    /// The body, a JSON object; none at all is an empty one.
    ///
    /// # Errors
    /// As for [`Self::json`].
    pub fn json_if_any<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        if self.bytes().is_empty() {
            return input::read(Value::Object(Map::new()), read).map_err(Error::Invalid);
        }
        self.json(read)
    }

    /// The body as it was sent, of so many bytes at most, and a header that vouches for it.
    ///
    /// # Errors
    /// [`Error::BodyTooLarge`].
    pub fn signed(&self, header: &str, max: usize) -> Result<(&[u8], &str), Error> {
        let body = self.bytes();
        if body.len() > max {
            return Err(Error::BodyTooLarge(max / 1024));
        }
        Ok((body, self.header(header).unwrap_or_default()))
    }

    /// The body, a merge patch (RFC 7396).
    ///
    /// # Errors
    /// As for [`Self::json`], but for [`Error::Invalid`].
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
        serde_json::from_slice(body).map_err(|error| Error::MalformedJson(error.to_string()))
    }

    fn bytes(&self) -> &[u8] {
        match self.event.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            _ => &[],
        }
    }

    fn is_of(&self, media_type: &str) -> bool {
        let sent = self.header(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
        sent.trim().eq_ignore_ascii_case(media_type)
    }

    /// The body, a form, as OAuth 2.0 has it.
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

    /// The query's parameters, as OAuth 2.0 has them.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`].
    pub fn parameters(&self) -> Result<Parameters, Error> {
        let query = self.event.query_string_parameters_ref();
        let pairs = query.into_iter().flat_map(|query| query.iter());
        Ok(Parameters::read(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))?)
    }

    /// Name and password of HTTP's Basic authentication, as OAuth 2.0 has them (RFC 6749, section 2.3.1); none where
    /// there is no such header.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] where the header can't be read.
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
            pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
        };
        Ok(Some((decode(name), decode(password))))
    }

    /// The query's parameters. One that is repeated is no string.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all that is wrong.
    pub fn query<T>(&self, read: impl FnOnce(&mut Object) -> Option<T>) -> Result<T, Error> {
        let mut parameters = Map::new();
        for (name, value) in
            self.event.query_string_parameters_ref().into_iter().flat_map(|query| query.iter())
        {
            let once = !parameters.contains_key(name);
            let value = if once { Value::from(value) } else { Value::Array(Vec::new()) };
            parameters.insert(name.to_owned(), value);
        }
        input::read_query(parameters, read).map_err(Error::Invalid)
    }

    /// Where the same list goes on: this request's path and query with another cursor.
    pub(super) fn with_cursor(&self, cursor: &str) -> String {
        let query = self.event.uri().query().unwrap_or_default().split('&');
        let kept = query.filter(|part| !part.is_empty() && !part.starts_with("cursor="));
        let parts: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
        format!("{}?{}", self.path(), parts.join("&"))
    }

    /// The version that the client means to change.
    ///
    /// # Errors
    /// [`Error::IfMatchRequired`].
    pub fn if_match(&self) -> Result<IfMatch, Error> {
        self.header(IF_MATCH).map(IfMatch::parse).ok_or(Error::IfMatchRequired)
    }

    pub(super) fn if_none_match(&self) -> Option<String> {
        let asks = matches!(*self.event.method(), Method::GET | Method::HEAD);
        self.header(IF_NONE_MATCH).filter(|_| asks).map(str::to_owned)
    }

    /// The attempt to do this once: by the client's key, for the caller and the operation.
    ///
    /// # Errors
    /// [`Error::IdempotencyKeyRequired`], [`Error::InvalidIdempotencyKey`].
    pub fn idempotency_key(&self) -> Result<IdempotencyKey, Error> {
        let mut values = self.headers().get_all("idempotency-key").iter();
        let value = values.next().ok_or(Error::IdempotencyKeyRequired)?;
        let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if values.next().is_none() && visible && (1..=255).contains(&key.len()) => {
                let (request_id, trace_id) = (self.id.clone(), self.trace_id());
                let (operation, key, at) = (self.operation, key.to_owned(), self.now);
                Ok(IdempotencyKey { operation, key, at, request_id, trace_id })
            }
            _ => Err(Error::InvalidIdempotencyKey),
        }
    }

    /// The trace that this request belongs to: the client's, or else X-Ray's.
    pub(super) fn trace_id(&self) -> Option<String> {
        let client = self.header("traceparent").and_then(telemetry::w3c_trace_id);
        client
            .or_else(|| self.header("x-amzn-trace-id").and_then(telemetry::xray_trace_id))
            .map(str::to_owned)
    }

    fn headers(&self) -> &HeaderMap {
        self.event.headers()
    }

    fn header(&self, name: impl lambda_http::http::header::AsHeaderName) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }
}

/// A key of the client's choice, under which an effect comes about once.
pub struct IdempotencyKey {
    operation: &'static str,
    key: String,
    at: Timestamp,
    request_id: String,
    trace_id: Option<String>,
}

impl IdempotencyKey {
    /// The record that `answer` is what this caller got for this payload: all that decides what the operation does.
    ///
    /// # Errors
    /// [`Error::Internal`] where the payload can't be written as JSON.
    pub fn record(&self, caller: &Staff, payload: &impl Serialize, answer: &Answer) -> Result<Record, Error> {
        Ok(self.attempt(caller.id(), payload)?.answered(answer.recorded()))
    }

    /// The attempt of a caller to do something once.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub fn attempt(&self, caller: Actor, payload: &impl Serialize) -> Result<Attempt, Error> {
        let (request_id, trace_id) = (self.request_id.clone(), self.trace_id.clone());
        let cause = Cause { by: caller.into(), at: self.at, request_id, trace_id };
        Attempt::new(caller, self.operation, &self.key, payload, cause)
    }
}

/// What a client wants to be otherwise (RFC 7396).
pub struct MergePatch(Value);

impl MergePatch {
    /// Merges it into a document and reads what comes out.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all that is wrong.
    pub fn apply<T>(&self, to: &impl Serialize, read: impl Fn(&mut Object) -> Option<T>) -> Result<T, Error> {
        let mut document = serde_json::to_value(to).map_err(Error::internal)?;
        json_patch::merge(&mut document, &self.0);
        let unknown = self.unknown(&read);
        match input::read(document, read) {
            Ok(value) if unknown.is_empty() => Ok(value),
            result => {
                Err(Error::Invalid(result.err().unwrap_or_default().into_iter().chain(unknown).collect()))
            }
        }
    }

    /// The fields that it removes and nobody knows. To remove what is not there changes nothing, so the merged document
    /// does not tell them.
    fn unknown<T>(&self, read: impl Fn(&mut Object) -> Option<T>) -> Vec<Invalid> {
        let removed = self.0.as_object().into_iter().flatten().filter(|(_, value)| value.is_null());
        let removed: Map<_, _> = removed.map(|(name, value)| (name.clone(), value.clone())).collect();
        if removed.is_empty() {
            return Vec::new();
        }
        let mut faults = input::read(removed.into(), read).err().unwrap_or_default();
        faults.retain(|invalid| invalid.fault == Fault::UnknownField);
        faults
    }
}

/// The versions that a client would have changed. What is no version of ours never matches.
#[derive(Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Whichever there is.
    Any,
    /// One of these.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Reads an `If-Match` (RFC 9110, section 13.1.1): `*`, or strong entity tags such as `"7"` and `"7-in_stock"`, of
    /// which the version counts alone.
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

    /// Goes on if the version is one of those.
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

/// Which page of a list.
pub struct Paging {
    /// How many items it holds at most.
    pub limit: usize,
    cursor: Option<String>,
}

impl Paging {
    /// Reads `limit` and `cursor` from the query.
    pub fn read(query: &mut Object) -> Option<Self> {
        let limit = listing::limit(query);
        let cursor = query.field("cursor").optional(|field| field.text(|text| Ok(text.to_owned())));
        Some(Self { limit: limit?, cursor: cursor? })
    }

    /// The position to go on from, in the list that `query` asks for.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    pub fn after<P: DeserializeOwned>(&self, query: &impl Serialize) -> Result<Option<P>, Error> {
        self.cursor.as_deref().map(|cursor| cursor::decode(cursor, query)).transpose()
    }
}
