//! HTTP requests.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use lambda_http::{
    RequestExt,
    http::{
        HeaderMap, Method,
        header::{AUTHORIZATION, IF_NONE_MATCH},
    },
    request::RequestContext,
};

use super::version::Version;
use crate::{
    auth::{Access, Authority, Customer, OrderAccess, Scope, Staff, random},
    domain::{
        change::{ChangeContext, Initiator},
        id::{Entity, Id},
        time::Timestamp,
    },
    error::Error,
    store::keys::Keys,
    telemetry,
};

/// A request and its time of arrival.
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
        let id = gateway.unwrap_or_else(|| event.lambda_context().request_id);
        Self { operation, event, id, now }
    }

    pub(super) fn event(&self) -> &lambda_http::Request {
        &self.event
    }

    /// Returns the id that correlates the response, its log line and the gateway's access log.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Makes an id for something that this request creates.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system has no randomness.
    pub fn new_id<T: Entity>(&self) -> Result<Id<T>, Error> {
        Ok(Id::new(self.now, u128::from_ne_bytes(random()?)))
    }

    /// Parses an id in the path.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is malformed: nothing has such an id.
    pub fn path_id<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let parameters = self.event.path_parameters_ref();
        let id = parameters.and_then(|parameters| parameters.first(name)).and_then(|id| id.parse().ok());
        id.ok_or(Error::NotFound)
    }

    /// Returns the path as the client sees it, starting with the version. API Gateway omits the stage at its own address,
    /// where lambda_http restores it, but keeps the equal base path of a custom domain.
    pub fn path(&self) -> &str {
        self.event.uri().path()
    }

    /// Returns the requested version of the API.
    pub fn version(&self) -> Version {
        Version::of(self.path())
    }

    /// Authorizes a caller with `scope`: staff or a machine client.
    ///
    /// # Errors
    /// [`Error::TokenRequired`], [`Error::InvalidToken`], [`Error::InsufficientScope`].
    pub async fn staff(&self, keys: &Keys, scope: Scope) -> Result<Staff, Error> {
        self.access(keys).await?.staff(scope)
    }

    /// Authorizes a user with `scope`, for their own data.
    ///
    /// # Errors
    /// As for [`Self::staff`].
    pub async fn customer(&self, keys: &Keys, scope: Scope) -> Result<Customer, Error> {
        self.access(keys).await?.customer(scope)
    }

    /// Authorizes a caller for orders: all of them with `scope`, otherwise a customer's own.
    ///
    /// # Errors
    /// As for [`Self::staff`].
    pub async fn order_access(&self, keys: &Keys, scope: Scope) -> Result<OrderAccess, Error> {
        self.access(keys).await?.orders(scope)
    }

    /// Returns the context of the changes that this request makes.
    pub fn context(&self, initiator: impl Into<Initiator>) -> ChangeContext {
        ChangeContext {
            initiator: initiator.into(),
            client_id: None,
            operation: self.operation,
            at: self.now,
            request_id: self.id.clone(),
            trace_id: self.trace_id(),
        }
    }

    /// Returns the context of the changes that this request makes for a caller.
    pub fn context_of(&self, by: &Authority) -> ChangeContext {
        ChangeContext { client_id: Some(by.client_id.clone()), ..self.context(by.subject) }
    }

    /// Returns the client's address as API Gateway saw it, never one from a header. An IPv6 address is reduced to its /64,
    /// which providers assign to a single customer.
    pub fn address(&self) -> String {
        let address = match self.event.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
            _ => None,
        };
        // Absent only in events that API Gateway did not send: they share one counter.
        let address = address.unwrap_or_else(|| "unknown".to_owned());
        match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => address.to_string(),
            Ok(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64 << 64;
                format!("{}/64", Ipv6Addr::from_bits(network))
            }
            Err(_) => address,
        }
    }

    pub fn is_post(&self) -> bool {
        *self.event.method() == Method::POST
    }

    /// Verifies the token, and names the caller in the log.
    async fn access(&self, keys: &Keys) -> Result<Access, Error> {
        let access = keys.verify(self.token()?).await?;
        telemetry::set_actor(access.authority().subject);
        Ok(access)
    }

    fn token(&self) -> Result<&str, Error> {
        let header = self.header(AUTHORIZATION).ok_or(Error::TokenRequired)?;
        match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(token.trim()),
            _ => Err(Error::TokenRequired),
        }
    }

    /// Returns whether there is a token, valid or not.
    pub fn has_token(&self) -> bool {
        self.headers().contains_key(AUTHORIZATION)
    }

    /// Returns this request's path and query with another cursor.
    pub(super) fn with_cursor(&self, cursor: &str) -> String {
        let query = self.event.uri().query().unwrap_or("").split('&');
        let kept = query.filter(|part| !part.is_empty() && !part.starts_with("cursor="));
        let parts: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={cursor}")]).collect();
        format!("{}?{}", self.path(), parts.join("&"))
    }

    pub(super) fn if_none_match(&self) -> Option<String> {
        let asks = matches!(*self.event.method(), Method::GET | Method::HEAD);
        self.header(IF_NONE_MATCH).filter(|_| asks).map(str::to_owned)
    }

    /// Returns the trace id of the client, or else of X-Ray.
    pub(super) fn trace_id(&self) -> Option<String> {
        let client = self.header("traceparent").and_then(telemetry::w3c_trace_id);
        client
            .or_else(|| self.header("x-amzn-trace-id").and_then(telemetry::xray_trace_id))
            .map(str::to_owned)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.event.headers()
    }

    pub(super) fn header(&self, name: impl lambda_http::http::header::AsHeaderName) -> Option<&str> {
        self.headers().get(name).and_then(|value| value.to_str().ok())
    }
}
