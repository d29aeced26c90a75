//! The HTTP listener: accepts, bounds, and lets connections end in order.

mod forwarded;
mod stall;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use self::stall::WriteDeadline;
use crate::config::HttpConfig;
use crate::metrics::{CONNECTIONS_OPEN, REFUSED_TOTAL, refused};
use crate::net::{Listener, Stream};

/// What a connection buffers before it waits for its client.
const BUFFER_BYTES_MAX: usize = 64 << 10;
/// After an accept that failed for want of descriptors, others need time to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`; connections then finish what they are at, unless `abort` comes first.
pub(crate) async fn serve(
    mut listener: Listener,
    router: Router,
    config: HttpConfig,
    connections: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(config.connections_max));
    let proxies: Arc<[IpNet]> = config.trusted_proxies.as_slice().into();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            metrics::counter!(REFUSED_TOTAL, "reason" => refused::CONNECTIONS).increment(1);
            continue;
        };
        let proxies = Arc::clone(&proxies);
        let router = router.clone().map_request(move |mut request: Request<Incoming>| {
            let client = forwarded::client(peer.ip(), request.headers(), &proxies);
            request.extensions_mut().insert(Peer(client));
            request
        });
        let serving = connection(stream, router, config.clone(), stop.clone());
        let abort = abort.clone();
        connections.spawn(async move {
            metrics::gauge!(CONNECTIONS_OPEN).increment(1);
            abort.run_until_cancelled_owned(serving).await;
            metrics::gauge!(CONNECTIONS_OPEN).decrement(1);
            drop(permit);
        });
    }
}

/// Where a request comes from: whoever has the other end of its connection, or who is behind the
/// proxies that we trust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

async fn connection<S>(
    stream: Box<dyn Stream>,
    router: S,
    config: HttpConfig,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let io = TokioIo::new(WriteDeadline::new(stream, config.write_stall_timeout()));
    // A client that hangs up ends the connection and with it the request and all that it holds.
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.idle_timeout())
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, TowerToHyperService::new(router));
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}
