//! How every role answers HTTP: one accept loop with deadlines, and the probes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use prometheus::{Registry, TextEncoder};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::problem::Problem;

/// How long the accept loop rests after an error such as "too many open files".
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Most bytes that one connection buffers, and so the most that a request's headers may have.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The lowest port that [`free_port`] gives.
const PORT_MIN: u16 = 10_000;

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a client may take to send a request's headers. A connection that is kept alive may
    /// also be silent for so long between two requests.
    pub header_read: Duration,
    /// Most connections at once; further ones wait to be accepted.
    pub sockets_max: usize,
    /// How long open requests may take after shutdown has begun.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(5),
            sockets_max: 4_096,
            drain: Duration::from_secs(10),
        }
    }
}

/// Answers requests until `shutdown`, then accepts no more and finishes those under way, for at
/// most [`Limits::drain`]. Connections still open after that are cut. Dropping the future cuts all.
///
/// Handlers may take [`ConnectInfo<SocketAddr>`] to learn who asks.
///
/// axum's own `serve` is not used because it gives hyper no timer, without which no deadline on
/// headers ever fires.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let sockets = Arc::new(Semaphore::new(limits.sockets_max));
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let cut_when_dropped = cut.clone().drop_guard();

    while let Some((stream, peer, slot)) = accept(&listener, &sockets, &shutdown).await {
        let answering = graceful.watch(connection(stream, peer, router.clone(), limits));
        let cut = cut.clone();
        tasks.spawn(async move {
            tokio::select! {
                result = answering => if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection ended early");
                },
                () = cut.cancelled() => {}
            }
            drop(slot);
        });
    }

    drop(listener);
    let open = graceful.count();
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(open, "cut the connections that were still open after {:?}", limits.drain);
    }
    drop(cut_when_dropped);
    tasks.close();
    tasks.wait().await;
    Ok(())
}

/// The next connection and the slot it holds; `None` once shutdown has begun.
async fn accept(
    listener: &TcpListener,
    sockets: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let next = async {
        // The semaphore is never closed.
        let slot = sockets.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

/// Answers what one client asks.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Limits,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "failed to turn off Nagle's algorithm");
    }
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { Ok::<_, Infallible>(into_ok(router.oneshot(request.map(Body::new)).await)) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer)
}

fn into_ok(response: Result<Response, Infallible>) -> Response {
    match response {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// What is not ready yet, or no longer. Clones share one list.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<Arc<str>, String>>>,
}

/// One role's entry in a [`Readiness`]. Clones share it.
#[derive(Clone, Debug)]
pub struct Part {
    of: Readiness,
    role: Arc<str>,
}

impl Readiness {
    /// Nothing is waited for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role, which is waited for until it says [`Part::ready`].
    pub fn part(&self, role: &str) -> Part {
        let part = Part { of: self.clone(), role: role.into() };
        part.not_ready("is starting");
        part
    }

    /// The roles that are not ready, each with the reason.
    pub fn waiting(&self) -> BTreeMap<Arc<str>, String> {
        self.list().clone()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// The role does its work.
    pub fn ready(&self) {
        self.of.list().remove(&self.role);
    }

    /// The role cannot do its work. The reason follows its name: "is starting".
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.of.list().insert(self.role.clone(), reason.into());
    }
}

/// The probes that every role has: `/healthz` (the process answers), `/readyz` (every role does its
/// work) and `/metrics` (Prometheus text).
///
/// `/metrics` gathers on the async threads: a collector that has to compute something must do so in
/// well under a millisecond, or keep a gauge up to date elsewhere.
pub fn probes(readiness: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let waiting = readiness.waiting();
    if waiting.is_empty() {
        return "ready\n".into_response();
    }
    let reasons: Vec<_> = waiting.iter().map(|(role, why)| format!("{role} {why}")).collect();
    let waiting: serde_json::Map<_, _> =
        waiting.into_iter().map(|(role, why)| (role.to_string(), why.into())).collect();
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reasons.join("; "))
        .with("waiting", waiting)
        .into_response()
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("encode metrics: {error}"))
                .into_response()
        }
    }
}

/// A port of the loopback that nobody has bound, for a server that must be told one. It lies below
/// those that the system gives to outgoing connections, since one of these could take it before the
/// server does, or while the server restarts.
pub fn free_port() -> io::Result<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    let end: u16 = first.unwrap_or(32_768);
    // Without `SO_REUSEADDR`, so that a port that somebody only keeps is not free either.
    let bind = |port: u16| TcpSocket::new_v4()?.bind(SocketAddr::from(([127, 0, 0, 1], port)));
    let free = |port: &u16| bind(*port).is_ok();
    let within = PORT_MIN..end.max(PORT_MIN + 1);
    let random = || RandomState::new().hash_one(std::process::id());
    let candidate = |_| within.start + (random() % within.len() as u64) as u16;
    (0..200).map(candidate).find(free).ok_or_else(|| {
        io::Error::new(io::ErrorKind::AddrInUse, "200 ports were tried, all are taken")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    const LIMITS: Limits = Limits {
        header_read: Duration::from_millis(300),
        sockets_max: 8,
        drain: Duration::from_millis(500),
    };

    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        running: JoinHandle<io::Result<()>>,
    }

    async fn start(router: Router, limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Server { address, shutdown, running }
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(text.as_bytes()).await.expect("write");
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        // A reset after the answer is an end like any other.
        let _ = stream.read_to_string(&mut text).await;
        text
    }

    async fn get_path(address: SocketAddr, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        rest(send(address, &request).await).await
    }

    #[tokio::test]
    async fn probes_tell_who_is_not_ready_and_why() {
        let readiness = Readiness::new();
        let part = readiness.part("journal");
        let registry = Registry::new();
        let counter = prometheus::IntCounter::new("backstock_things_total", "Things.").unwrap();
        registry.register(Box::new(counter)).unwrap();
        let server = start(probes(readiness, registry), LIMITS).await;

        assert!(get_path(server.address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let waiting = get_path(server.address, "/readyz").await;
        assert!(waiting.starts_with("HTTP/1.1 503") && waiting.contains("journal is starting"));
        part.ready();
        assert!(get_path(server.address, "/readyz").await.starts_with("HTTP/1.1 200"));
        part.not_ready("lost its disk");
        assert!(get_path(server.address, "/readyz").await.contains("journal lost its disk"));
        assert!(get_path(server.address, "/metrics").await.contains("backstock_things_total 0"));
    }

    #[tokio::test]
    async fn a_sender_of_slow_headers_is_cut_off_and_others_are_not() {
        let server = start(probes(Readiness::new(), Registry::new()), LIMITS).await;
        let mut slow = Vec::new();
        for _ in 0..4 {
            slow.push(send(server.address, "GET /healthz HTTP/1.1\r\nHost:").await);
        }
        assert!(get_path(server.address, "/healthz").await.starts_with("HTTP/1.1 200"));
        for stream in slow {
            let ended = tokio::time::timeout(Duration::from_secs(5), rest(stream)).await;
            assert!(!ended.expect("the connection was closed").contains("200"));
        }
    }

    #[tokio::test]
    async fn connections_beyond_the_cap_wait_for_a_slot() {
        let limits = Limits { sockets_max: 1, ..LIMITS };
        let server = start(probes(Readiness::new(), Registry::new()), limits).await;
        let _silent = send(server.address, "GET /healthz HTTP/1.1\r\n").await;
        let begun = Instant::now();
        assert!(get_path(server.address, "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(begun.elapsed() >= Duration::from_millis(200), "it did not wait for the slot");
    }

    fn sleeper(how_long: Duration) -> Router {
        let handler = move || async move {
            tokio::time::sleep(how_long).await;
            "slept\n"
        };
        Router::new().route("/sleep", get(handler))
    }

    const ASK_TO_SLEEP: &str = "GET /sleep HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn shutdown_finishes_what_is_under_way_and_takes_nothing_new() {
        let server = start(sleeper(Duration::from_millis(200)), LIMITS).await;
        let under_way = send(server.address, ASK_TO_SLEEP).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.shutdown.cancel();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(TcpStream::connect(server.address).await.is_err(), "still accepting");
        let answer = rest(under_way).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slept\n"));
        server.running.await.expect("joined").expect("served");
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_ever() {
        let server = start(sleeper(Duration::from_secs(3600)), LIMITS).await;
        let stuck = send(server.address, ASK_TO_SLEEP).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.shutdown.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(10), server.running).await;
        ended.expect("ended in time").expect("joined").expect("served");
        assert_eq!(rest(stuck).await, "");
    }
}
