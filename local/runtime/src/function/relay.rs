//! Stands between an instance and the runtime API, and outlives the instance: a request that arrives meanwhile waits for the
//! next instance, and the request in progress fails if the instance dies.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use emulators::server;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

/// Header of the request id.
const REQUEST_ID: &str = "lambda-runtime-aws-request-id";

/// Lambda's error type for an instance that died during a request.
pub const EXIT_ERROR: &str = "Runtime.ExitError";

type Answer = reqwest::Result<(StatusCode, HeaderMap, Bytes)>;

pub(super) struct Relay {
    /// The runtime API for the instance.
    pub url: String,
    /// The runtime API of watch.
    api: String,
    http: reqwest::Client,
    /// The pending poll for the next request, also while no instance waits.
    next: tokio::sync::Mutex<Option<JoinHandle<Answer>>>,
    /// Id of the request in progress.
    in_work: Mutex<Option<String>>,
}

impl Relay {
    pub async fn start(api: &str) -> io::Result<Arc<Self>> {
        let api = api.trim_start_matches("http://");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = Arc::new(Self {
            url: listener.local_addr()?.to_string(),
            api: format!("http://{api}"),
            http: reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?,
            next: tokio::sync::Mutex::default(),
            in_work: Mutex::default(),
        });
        let accepting = Arc::clone(&relay);
        tokio::spawn(server::serve(listener, move |_, request| {
            let relay = Arc::clone(&accepting);
            async move { relay.pass_on(request).await }
        }));
        Ok(relay)
    }

    async fn pass_on(&self, request: Request<Incoming>) -> Result<server::Answer, Infallible> {
        let (parts, body) = request.into_parts();
        let url = format!("{}{}", self.api, parts.uri.path());
        let answer = if parts.uri.path().ends_with("/invocation/next") {
            self.next_request(url).await
        } else {
            // So is a broken body.
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            answer(self.http.request(parts.method, url).headers(parts.headers).body(body)).await
        };
        let (status, headers, body) = answer.unwrap_or_else(|error| {
            eprintln!("cargo lambda watch can't be reached: {error}");
            (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new())
        });
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Waits for the next request. The successor of an instance that died while polling takes over its poll.
    async fn next_request(&self, url: String) -> Answer {
        let mut next = self.next.lock().await;
        let (status, headers, body) = loop {
            let call = next.get_or_insert_with(|| tokio::spawn(answer(self.http.get(&url))));
            let answered = call.await;
            *next = None;
            match answered.unwrap_or_else(|_| Ok((StatusCode::NO_CONTENT, HeaderMap::new(), Bytes::new())))? {
                // Watch times polls out.
                (StatusCode::REQUEST_TIMEOUT, ..) => {}
                answer => break answer,
            }
        };
        let id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        *self.in_work() = id.map(str::to_owned);
        Ok((status, headers, body))
    }

    /// Reports that the request in progress has failed, as Lambda does. Has no effect if it was answered before.
    pub async fn answer_for_the_dead(&self) {
        let Some(request) = self.in_work().take() else {
            return;
        };
        let error =
            json!({"errorType": EXIT_ERROR, "errorMessage": "The function ended before it answered."});
        let url = format!("{}/2018-06-01/runtime/invocation/{request}/error", self.api);
        if let Err(error) = self.http.post(url).json(&error).send().await {
            eprintln!("the request {request} can't be answered: {error}");
        }
    }

    fn in_work(&self) -> MutexGuard<'_, Option<String>> {
        self.in_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok((status, headers, response.bytes().await?))
}
