//! The HTTP server of the emulators and of the gateway.

use std::{
    convert::Infallible,
    future,
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    header::{HOST, ORIGIN},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

/// A response with its whole body.
pub type Answer = Response<Full<Bytes>>;

/// Pause while the system accepts no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Closes the connection without a response, like a server that has crashed.
#[derive(Debug, thiserror::Error)]
#[error("the emulator closes the connection")]
pub struct HangUp;

/// A server that runs until it is dropped.
pub struct Server {
    pub url: String,
    _task: JoinSet<Infallible>,
}

impl Server {
    /// Starts a server on a port of this machine, 0 for any free one. `answer` gets each request with its whole body.
    pub async fn start<F>(
        port: u16,
        answer: impl Fn(Parts, Bytes) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<Answer, HangUp>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let answer = Arc::new(answer);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, move |_, request| {
            let answer = Arc::clone(&answer);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
                answer(parts, body).await
            }
        }));
        Ok(Self { url, _task: task })
    }
}

/// Returns whether a request comes from a program on this machine. A web page can send requests here, too, even under
/// another host name (DNS rebinding); its browser gives it away by these headers.
pub fn is_from_program(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
        && !headers.contains_key(ORIGIN)
        && !headers.contains_key("sec-fetch-site")
}

/// Answers all connections, forever. `answer` gets the client's address with each request.
pub async fn serve<F, E>(
    listener: TcpListener,
    answer: impl Fn(SocketAddr, Request<Incoming>) -> F + Send + Sync + 'static,
) -> Infallible
where
    F: Future<Output = Result<Answer, E>> + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let answer = Arc::new(answer);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut connections) => continue,
        };
        let Ok((connection, peer)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        // Sends small responses at once. If the system cannot, they come later.
        drop(connection.set_nodelay(true));
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(|request| answer(peer, request));
            // A broken connection is the client's problem.
            drop(http1::Builder::new().serve_connection(TokioIo::new(connection), service).await);
        });
    }
}

/// Waits for the end of a connection.
async fn ended(connections: &mut JoinSet<()>) {
    if connections.join_next().await.is_none() {
        future::pending().await
    }
}

/// Returns a random UUID (version 4).
pub fn uuid() -> String {
    let random = || u128::from(RandomState::new().hash_one(()));
    let bits = random() << 64 | random();
    let digits = format!("{:032x}", bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62);
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_differ() {
        let ids = [(); 1000].map(|()| uuid()).into_iter().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 36 && &id[14..15] == "4" && "89ab".contains(&id[19..20])));
    }
}
