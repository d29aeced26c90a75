//! Sending a letter by HTTP: to an address that the guard has let through, over TLS where the URL
//! says so, without following redirects, and reading next to nothing of the answer.

use std::error::Error as _;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::guard::Guard;
use super::letter::Letter;

/// One address of a host; another one may answer where this one does not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ADDRESSES_MAX: usize = 4;
/// Of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// What is read of a body, and for how long, so that the connection can be used again. More of it
/// is not worth having: the connection is closed instead.
const BODY_BYTES_MAX: usize = 16 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_millis(500);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a letter did not arrive, as whoever receives it may know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("the callback is not a URL that can be called")]
    BadUrl,
    #[error("the callback does not lead to a public address")]
    NotPublic,
    #[error("the callback could not be reached")]
    Unreachable,
    #[error("the connection ended before an answer")]
    Broken,
    #[error("no answer in time")]
    TimedOut,
    #[error("answered with a redirect ({0}), which is not followed")]
    Redirected(u16),
    #[error("answered {0}")]
    Refused(u16),
}

impl SendError {
    /// For metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::BadUrl => "bad_url",
            Self::NotPublic => "not_public",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
            Self::Redirected(_) => "redirected",
            Self::Refused(_) => "refused",
        }
    }
}

/// Sends letters; any answer of 200 to 299 says that one has arrived.
pub trait Sender: fmt::Debug + Send + Sync + 'static {
    fn send(&self, letter: Letter) -> BoxFuture<'_, Result<(), SendError>>;
}

/// Host and port of a URL that can be called.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    let port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let port = authority.port_u16().unwrap_or(port);
    Some(format!("{}:{port}", authority.host().to_ascii_lowercase()))
}

/// The sender that is used outside of tests.
#[derive(Debug)]
pub struct HttpSender {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl HttpSender {
    #[must_use]
    pub fn new(guard: Guard, tls: rustls::ClientConfig, idle_per_host_max: usize) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector(Arc::new(guard)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_per_host_max)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        Self { client }
    }

    async fn attempt(&self, letter: Letter) -> Result<(), SendError> {
        if host_of(&letter.url).is_none() {
            return Err(SendError::BadUrl);
        }
        let mut request = Request::post(&letter.url);
        for (name, value) in &letter.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(letter.body)).map_err(|_| SendError::BadUrl)?;
        let response = self.client.request(request).await.map_err(|error| cause(&error))?;
        let status = response.status();
        timeout(BODY_TIMEOUT, drain(response.into_body())).await.ok();
        if status.is_success() {
            Ok(())
        } else if status.is_redirection() {
            Err(SendError::Redirected(status.as_u16()))
        } else {
            Err(SendError::Refused(status.as_u16()))
        }
    }
}

impl Sender for HttpSender {
    fn send(&self, letter: Letter) -> BoxFuture<'_, Result<(), SendError>> {
        self.attempt(letter).boxed()
    }
}

/// Reads a small body to its end; of a large one the rest is left, and with it the connection.
async fn drain(mut body: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > BODY_BYTES_MAX {
            return;
        }
    }
}

fn cause(error: &hyper_util::client::legacy::Error) -> SendError {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<NotPublic>() {
            return SendError::NotPublic;
        }
        source = inner.source();
    }
    if error.is_connect() { SendError::Unreachable } else { SendError::Broken }
}

#[derive(Debug, thiserror::Error)]
#[error("no address of the host is public")]
struct NotPublic;

/// Connects to addresses that the guard lets through. The check and the connection use the same
/// address: there is no second look-up in between.
#[derive(Debug, Clone)]
struct Connector(Arc<Guard>);

type ConnectError = Box<dyn std::error::Error + Send + Sync>;

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = Arc::clone(&self.0);
        async move { connect(&guard, &uri).await.map(TokioIo::new) }.boxed()
    }
}

async fn connect(guard: &Guard, uri: &Uri) -> Result<TcpStream, ConnectError> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    let mut last: ConnectError = Box::new(NotPublic);
    let allowed = found.into_iter().filter(|address| guard.allows(address.ip()));
    for address in allowed.take(ADDRESSES_MAX) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).ok();
                return Ok(stream);
            }
            Ok(Err(error)) => last = Box::new(error),
            Err(elapsed) => last = Box::new(elapsed),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_with_their_ports() {
        let host = |url| host_of(url);
        assert_eq!(host("https://Example.org/x").as_deref(), Some("example.org:443"));
        assert_eq!(host("http://example.org:8080").as_deref(), Some("example.org:8080"));
        assert_eq!(host("http://[::1]/x").as_deref(), Some("[::1]:80"));
        for bad in
            ["", "example.org", "/x", "ftp://example.org", "https://user@example.org/", "http://"]
        {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
