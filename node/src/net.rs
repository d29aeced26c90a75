//! How bytes get to other nodes and come from them: TCP, unless a simulation embeds the node.
//!
//! No configuration reaches this. A simulation brings listeners and a dialer of its own; what runs
//! over them, HTTP/2 included, is what runs over TCP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::Uri;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::transport::{Channel, Endpoint};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Connects to `host:port` in place of TCP.
pub trait Dialer: fmt::Debug + Send + Sync + 'static {
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// How connections to others are made.
#[derive(Debug, Clone, Default)]
pub struct Dial(Option<Arc<dyn Dialer>>);

impl Dial {
    #[must_use]
    pub fn through(dialer: Arc<dyn Dialer>) -> Self {
        Self(Some(dialer))
    }

    /// A channel that connects when it is first used, and again when it was cut.
    #[must_use]
    pub fn channel(&self, endpoint: &Endpoint) -> Channel {
        let Some(dialer) = self.0.clone() else { return endpoint.connect_lazy() };
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let address = uri.authority().map(ToString::to_string).unwrap_or_default();
            let dialed = dialer.dial(address);
            async move { dialed.await.map(TokioIo::new) }
        }))
    }

    /// Connects and hangs up.
    pub(crate) async fn knock(&self, address: &str) -> io::Result<()> {
        match &self.0 {
            Some(dialer) => dialer.dial(address.to_owned()).await.map(drop),
            None => TcpStream::connect(address).await.map(drop),
        }
    }
}

/// Where connections come from.
pub enum Listener {
    Tcp(TcpListener),
    Simulated { address: SocketAddr, incoming: BoxStream<'static, io::Result<Box<dyn Stream>>> },
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.local_addr()).finish()
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl Listener {
    /// # Errors
    /// When the socket does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Simulated { address, .. } => Ok(*address),
        }
    }

    /// The connections, for a gRPC server.
    pub(crate) fn into_incoming(self) -> BoxStream<'static, io::Result<Connection>> {
        match self {
            Self::Tcp(listener) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                incoming.map_ok(Connection::Tcp).boxed()
            }
            Self::Simulated { incoming, .. } => incoming.map_ok(Connection::Simulated).boxed(),
        }
    }
}

/// A connection that was accepted.
pub(crate) enum Connection {
    Tcp(TcpStream),
    Simulated(Box<dyn Stream>),
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Simulated(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Simulated(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
