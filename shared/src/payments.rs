//! The payment provider, by Stripe's REST API: <https://docs.stripe.com/api/payment_intents>.
//!
//! A call fails in one of four ways ([`ProviderError`]). Only a call that certainly had no effect may be repeated. One that may
//! have had an effect is *in doubt* until its outcome is read by the payment's id.

use std::{error::Error as StdError, time::Duration};

use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use lambda_http::http::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use ring::hmac;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config::{self, ConfigError, PROVIDER_TIMEOUT},
    domain::{
        id::Id,
        money::Money,
        order_id::OrderId,
        payment::{
            Capture, DisputeUpdate, Intent, IntentState, NewPayment, NextAction, Payment, Refund,
            RefundStatus, RefundUpdate,
        },
        time::Timestamp,
    },
    error::Error,
    secrets::ProviderSecret,
};

/// API version that this module was written for: <https://docs.stripe.com/api/versioning>.
const VERSION: &str = "2025-08-27.basil";
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Maximum age of a webhook's signature: <https://docs.stripe.com/webhooks/signature>.
const MAX_SIGNATURE_AGE: Duration = Duration::from_secs(300);

pub struct Provider {
    http: Client<HttpsConnector<HttpConnector>, String>,
    url: String,
    keys: ProviderSecret,
}

/// Why a call to the provider failed.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider refused. The call had no effect beyond what the intent shows.
    #[error("the payment provider refuses: {code}")]
    Refused {
        /// The provider's error code.
        code: String,
        /// The parameter that caused it.
        param: Option<String>,
    },
    /// The provider did not accept the call, which may be repeated.
    #[error("the payment provider does not take the call now")]
    Busy(#[source] Box<dyn StdError + Send + Sync>),
    /// The call may or may not have had an effect.
    #[error("the payment provider's answer was lost")]
    InDoubt(#[source] Box<dyn StdError + Send + Sync>),
    /// The shop is misconfigured, or has a bug.
    #[error("the payment provider can't be asked")]
    Broken(#[source] Error),
}

impl From<ProviderError> for Error {
    fn from(failure: ProviderError) -> Self {
        match failure {
            ProviderError::Broken(error) => error,
            ProviderError::Refused { .. } => Self::internal(failure),
            ProviderError::Busy(_) | ProviderError::InDoubt(_) => Self::Unavailable(failure.into()),
        }
    }
}

impl Provider {
    /// Prepares the connection. The first call opens it.
    ///
    /// # Errors
    /// `PAYMENTS_URL` is missing.
    pub fn connect(keys: ProviderSecret) -> Result<Self, ConfigError> {
        let url = config::required("PAYMENTS_URL")?;
        // The provider's certificate is not Amazon's, so this needs the public roots.
        let roots = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| ConfigError::Unusable { name: "PAYMENTS_URL", reason: error.to_string() })?;
        let connector = roots.https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), keys })
    }

    /// Creates a PaymentIntent, which does not charge yet. Idempotent per order, attempt and capture method.
    pub async fn create(
        &self,
        order: OrderId,
        attempt: usize,
        total: Money,
        capture: Capture,
    ) -> Result<Intent, ProviderError> {
        let form = [
            ("amount", total.amount().to_string()),
            ("currency", total.currency().code().to_ascii_lowercase()),
            ("capture_method", capture.into_str().to_owned()),
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[order_id]", order.to_string()),
            ("metadata[attempt]", attempt.to_string()),
        ];
        let key = format!("{order}-{attempt}-{}", capture.into_str());
        self.post("/v1/payment_intents", &key, &form).await.map(IntentObject::intent)
    }

    /// Confirms a PaymentIntent, which charges the card. Idempotent per payment. A declined card is not an error.
    pub async fn confirm(&self, payment: &Payment, new: &NewPayment) -> Result<Intent, ProviderError> {
        let mut form = vec![("payment_method", new.payment_method.clone())];
        form.extend(new.return_url.clone().map(|url| ("return_url", url)));
        let path = format!("/v1/payment_intents/{}/confirm", payment.provider_id);
        self.post(&path, &format!("{}-confirm", payment.id), &form).await.map(IntentObject::intent)
    }

    /// Reads a PaymentIntent, and the order that it belongs to.
    pub async fn read(&self, id: &str) -> Result<(Intent, Option<OrderId>), ProviderError> {
        let object: IntentObject =
            self.call(Method::GET, &format!("/v1/payment_intents/{id}"), None, &[]).await?;
        let order = object.metadata.order_id.as_deref().and_then(|id| id.parse().ok());
        Ok((object.intent(), order))
    }

    /// Captures all or part of an authorized payment. The rest is released.
    pub async fn capture(&self, payment: &Payment, amount: Money) -> Result<Intent, ProviderError> {
        let form = [("amount_to_capture", amount.amount().to_string())];
        let path = format!("/v1/payment_intents/{}/capture", payment.provider_id);
        // The key includes the amount, because a refused capture may be followed by a smaller one.
        let key = format!("{}-capture-{}", payment.id, amount.amount());
        self.post(&path, &key, &form).await.map(IntentObject::intent)
    }

    /// Cancels a PaymentIntent.
    pub async fn cancel(&self, payment: &Payment) -> Result<Intent, ProviderError> {
        let path = format!("/v1/payment_intents/{}/cancel", payment.provider_id);
        self.post(&path, &format!("{}-cancel", payment.id), &[]).await.map(IntentObject::intent)
    }

    /// Refunds a payment. Idempotent per refund.
    pub async fn refund(&self, refund: &Refund, payment: &Payment) -> Result<RefundUpdate, ProviderError> {
        let form = [
            ("payment_intent", payment.provider_id.clone()),
            ("amount", refund.amount.amount().to_string()),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        self.post("/v1/refunds", &refund.id.to_string(), &form).await.map(RefundObject::update)
    }

    /// Lists all refunds of a payment.
    pub async fn refunds(&self, payment: &Payment) -> Result<Vec<RefundUpdate>, ProviderError> {
        let path = format!("/v1/refunds?payment_intent={}&limit=100", payment.provider_id);
        let list: List = self.call(Method::GET, &path, None, &[]).await?;
        Ok(list.data.into_iter().map(RefundObject::update).collect())
    }

    /// Verifies and parses a webhook: <https://docs.stripe.com/webhooks/signature>.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::MalformedJson`].
    pub async fn webhook(&self, body: &[u8], signature: &str, now: Timestamp) -> Result<Webhook, Error> {
        let keys = self.keys.get().await?;
        let parts: Vec<(&str, &str)> =
            signature.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        let at = parts.iter().find(|(name, _)| *name == "t").and_then(|(_, at)| at.parse::<i64>().ok());
        let at = at.ok_or(Error::InvalidSignature)?;
        let signed = [at.to_string().as_bytes(), b".", body].concat();
        let is_ours = |signature: &str| {
            let Some(signature) = unhex(signature) else { return false };
            keys.webhook_secrets.iter().filter(|secret| !secret.is_empty()).any(|secret| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::verify(&key, &signed, &signature).is_ok()
            })
        };
        let fresh = now.as_seconds().abs_diff(at) <= MAX_SIGNATURE_AGE.as_secs();
        if !fresh || !parts.iter().any(|(name, signature)| *name == "v1" && is_ours(signature)) {
            return Err(Error::InvalidSignature);
        }
        let event: EventObject =
            serde_json::from_slice(body).map_err(|error| Error::MalformedJson(error.to_string()))?;
        Ok(event.webhook())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        form: &[(&str, String)],
    ) -> Result<T, ProviderError> {
        self.call(Method::POST, path, Some(key), form).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        form: &[(&str, String)],
    ) -> Result<T, ProviderError> {
        let broken = |error: lambda_http::http::Error| ProviderError::Broken(Error::internal(error));
        let keys = self.keys.get().await.map_err(ProviderError::Broken)?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(AUTHORIZATION, format!("Bearer {}", keys.api_key))
            .header("stripe-version", VERSION)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.body(body).map_err(broken)?;
        let answer = tokio::time::timeout(PROVIDER_TIMEOUT, self.send(request)).await;
        let (status, body) = answer.map_err(|late| ProviderError::InDoubt(late.into()))??;
        classify(status, &body)
    }

    async fn send(&self, request: Request<String>) -> Result<(StatusCode, Vec<u8>), ProviderError> {
        let answer = self.http.request(request).await.map_err(|error| {
            // Without a connection, the call had no effect.
            if error.is_connect() {
                ProviderError::Busy(error.into())
            } else {
                ProviderError::InDoubt(error.into())
            }
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_RESPONSE_BYTES).collect().await;
        Ok((status, body.map_err(ProviderError::InDoubt)?.to_bytes().to_vec()))
    }
}

/// Interprets a response: <https://docs.stripe.com/error-low-level>.
fn classify<T: DeserializeOwned>(status: StatusCode, body: &[u8]) -> Result<T, ProviderError> {
    if status.is_success() {
        return serde_json::from_slice(body).map_err(|error| ProviderError::InDoubt(error.into()));
    }
    // A proxy in between may answer with something other than Stripe's JSON.
    let error =
        serde_json::from_slice(body).map_or_else(|_| ErrorData::default(), |ErrorObject { error }| error);
    let code = error.code.or(error.r#type).unwrap_or_else(|| status.to_string());
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT => Err(ProviderError::Busy(code.into())),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(ProviderError::Broken(Error::internal("the payment provider does not accept the API key")))
        }
        // A declined card is not an error: the response contains the intent.
        StatusCode::PAYMENT_REQUIRED => match error.payment_intent {
            Some(intent) => {
                serde_json::from_value(intent).map_err(|error| ProviderError::InDoubt(error.into()))
            }
            None => Err(ProviderError::Refused { code, param: error.param }),
        },
        _ if status.is_client_error() => Err(ProviderError::Refused { code, param: error.param }),
        _ => Err(ProviderError::InDoubt(code.into())),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

/// A webhook. It is only a hint to read the payment from the provider.
#[derive(Debug)]
pub enum Webhook {
    /// A change of the payment with this id.
    Payment(String),
    /// A change of refunds of this payment.
    Refund(String),
    /// A dispute about this payment.
    Dispute(String, DisputeUpdate),
    /// Of no interest to the shop.
    Other,
}

#[derive(Deserialize)]
struct EventObject {
    r#type: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: Value,
}

impl EventObject {
    fn webhook(self) -> Webhook {
        let text = |name: &str| self.data.object[name].as_str().map(str::to_owned);
        // Ids become part of a path.
        let id =
            |name: &str| text(name).filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let (own, of) = (id("id"), id("payment_intent"));
        let Some((kind, what)) = self.r#type.rsplit_once('.') else { return Webhook::Other };
        let webhook = match (kind, what) {
            ("payment_intent", "created") => None,
            ("payment_intent", _) => own.map(Webhook::Payment),
            ("charge", "refunded") | ("refund" | "charge.refund", _) => of.map(Webhook::Refund),
            ("charge.dispute", "created") => of.map(|id| Webhook::Dispute(id, DisputeUpdate::Opened)),
            ("charge.dispute", "closed") => {
                let won = text("status").is_some_and(|status| status != "lost");
                of.map(|id| Webhook::Dispute(id, if won { DisputeUpdate::Won } else { DisputeUpdate::Lost }))
            }
            _ => None,
        };
        webhook.unwrap_or(Webhook::Other)
    }
}

#[derive(Deserialize)]
struct ErrorObject {
    error: ErrorData,
}

#[derive(Default, Deserialize)]
struct ErrorData {
    r#type: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
    payment_intent: Option<Value>,
}

#[derive(Deserialize)]
struct IntentObject {
    id: String,
    status: String,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    last_payment_error: Option<ErrorData>,
    #[serde(default)]
    next_action: Option<Value>,
    #[serde(default)]
    metadata: IntentMetadata,
}

#[derive(Default, Deserialize)]
struct IntentMetadata {
    order_id: Option<String>,
    refund_id: Option<String>,
}

impl IntentObject {
    /// <https://docs.stripe.com/payments/paymentintents/lifecycle>.
    fn intent(self) -> Intent {
        let declined = self
            .last_payment_error
            .map(|error| error.decline_code.or(error.code).unwrap_or_else(|| "unknown".to_owned()));
        let state = match (&*self.status, declined) {
            ("requires_payment_method", Some(code)) => IntentState::Declined(code),
            ("requires_action" | "requires_source_action", _) => {
                let url = self
                    .next_action
                    .and_then(|action| action["redirect_to_url"]["url"].as_str().map(str::to_owned));
                IntentState::RequiresAction(url.map(|url| NextAction::RedirectToUrl { url }))
            }
            ("requires_capture", _) => IntentState::Authorized,
            ("succeeded", _) => IntentState::Captured(self.amount_received),
            ("canceled", _) => IntentState::Cancelled,
            ("requires_payment_method" | "requires_confirmation" | "requires_source", _) => {
                IntentState::Unconfirmed
            }
            _ => IntentState::Processing,
        };
        Intent { id: self.id, state }
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<RefundObject>,
}

#[derive(Deserialize)]
struct RefundObject {
    id: String,
    status: Option<String>,
    #[serde(default)]
    metadata: IntentMetadata,
}

impl RefundObject {
    fn update(self) -> RefundUpdate {
        let status = match self.status.as_deref() {
            Some("failed" | "canceled") => RefundStatus::Failed,
            Some("pending" | "requires_action") => RefundStatus::Pending,
            _ => RefundStatus::Succeeded,
        };
        let refund_id = self.metadata.refund_id.as_deref().and_then(|id| id.parse::<Id<Refund>>().ok());
        RefundUpdate { refund_id, provider_id: self.id, status }
    }
}
