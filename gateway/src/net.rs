//! How bytes get to nodes and come from clients: TCP, unless a simulation embeds the gateway.
//!
//! No configuration reaches this. A simulation brings a listener and a dialer of its own; what runs
//! over them, HTTP included, is what runs over TCP.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::Uri;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A connection that was accepted, and who has its other end.
pub type Accepted = (Box<dyn Stream>, SocketAddr);

/// Connects to `host:port` in place of TCP.
pub trait Dialer: fmt::Debug + Send + Sync + 'static {
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Stream>>>;
}

/// How connections to nodes are made.
#[derive(Debug, Clone, Default)]
pub struct Dial(Option<Arc<dyn Dialer>>);

impl Dial {
    #[must_use]
    pub fn through(dialer: Arc<dyn Dialer>) -> Self {
        Self(Some(dialer))
    }

    /// A channel that connects when it is first used, and again when it was cut.
    pub(crate) fn channel(&self, endpoint: &Endpoint) -> Channel {
        let Some(dialer) = self.0.clone() else { return endpoint.connect_lazy() };
        endpoint.connect_with_connector_lazy(tower::service_fn(move |uri: Uri| {
            let address = uri.authority().map(ToString::to_string).unwrap_or_default();
            let dialed = dialer.dial(address);
            async move { dialed.await.map(TokioIo::new) }
        }))
    }
}

/// Where clients' connections come from.
pub enum Listener {
    Tcp(TcpListener),
    Simulated { address: SocketAddr, incoming: BoxStream<'static, io::Result<Accepted>> },
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.local_addr()).finish()
    }
}

impl Listener {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Simulated { address, .. } => Ok(*address),
        }
    }

    pub(crate) async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection keeps its delay");
                }
                Ok((Box::new(stream), peer))
            }
            Self::Simulated { incoming, .. } => match incoming.next().await {
                Some(accepted) => accepted,
                None => std::future::pending().await,
            },
        }
    }
}
