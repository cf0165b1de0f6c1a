//! A small HTTP server, for the stand-ins of what else the shop calls.

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
    Request, Response,
    body::{Bytes, Incoming},
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};

/// An answer, whole.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The pause where the system takes no more connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends the connection without an answer, as a server does that is gone.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends here")]
pub(crate) struct HangUp;

/// A server on a port of its own, until this is dropped.
pub(crate) struct Server {
    /// Where it answers.
    pub url: String,
    _task: JoinSet<Infallible>,
}

impl Server {
    /// Starts it. Each request is answered by `answer`, which has it whole.
    pub async fn start(
        answer: impl Fn(&Parts, Bytes) -> Result<Answer, HangUp> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let answer = Arc::new(answer);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, move |_, request| {
            let answer = Arc::clone(&answer);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
                answer(&parts, body)
            }
        }));
        Ok(Self { url, _task: task })
    }
}

/// Answers all that connect, for ever; `answer` learns who asks.
pub(crate) async fn serve<F, E>(
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
        // Small answers shall not wait for more; where that can't be had, they come later.
        connection.set_nodelay(true).unwrap_or_default();
        let answer = Arc::clone(&answer);
        connections.spawn(async move {
            let service = service_fn(|request| answer(peer, request));
            // A connection that breaks is the client's affair.
            http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await
                .unwrap_or_default();
        });
    }
}

/// Waits for the end of a connection.
async fn ended(connections: &mut JoinSet<()>) {
    if connections.join_next().await.is_none() {
        future::pending().await
    }
}

/// A random UUID (version 4).
pub(crate) fn uuid() -> String {
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
