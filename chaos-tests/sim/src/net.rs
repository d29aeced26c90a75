//! Connections between hosts of the simulation, each write noted in the journal; walls reset them.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axp_chaos_tests::http::Socket;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::BoxError;
use turmoil::net::{TcpListener, TcpStream};

use crate::journal::Journal;
use crate::walls::{Reset, Walls};

/// A refusal has to come back from the other host.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// Dials for nodes, gateways and clients.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// The host that dials.
    pub(crate) from: String,
    pub(crate) walls: Walls,
    pub(crate) journal: Journal,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

impl Dialer {
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Tap>> + Send + use<> {
        let Self { from, walls, journal } = self.clone();
        let address = address.to_owned();
        async move {
            let (to, _) = address.split_once(':').unwrap_or((&address, ""));
            if walls.refuse(&from, to) {
                tokio::time::sleep(REFUSED_AFTER).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let stream = connect_as_tcp(&address).await?;
            let name = format!("{address} from {}", stream.local_addr()?);
            let reset = Some(walls.connected(&from, to));
            Ok(Tap { name, stream, journal, reset, broken: false })
        }
    }

    /// The same for HTTP clients.
    pub(crate) fn socket(
        &self,
        uri: &hyper::Uri,
    ) -> impl Future<Output = Result<Socket, BoxError>> + Send + use<> {
        let dialed = self.connect(uri.authority().map_or("", |authority| authority.as_str()));
        async move { Ok(Socket::new(TokioIo::new(dialed.await?))) }
    }
}

impl axp_node::net::Dialer for Dialer {
    fn dial(
        &self,
        address: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn axp_node::net::Stream>>> {
        let dialed = self.connect(&address);
        Box::pin(async move { Ok(Box::new(dialed.await?) as _) })
    }
}

impl axp_gateway::net::Dialer for Dialer {
    fn dial(
        &self,
        address: String,
    ) -> BoxFuture<'static, io::Result<Box<dyn axp_gateway::net::Stream>>> {
        let dialed = self.connect(&address);
        Box::pin(async move { Ok(Box::new(dialed.await?) as _) })
    }
}

/// turmoil refuses a connection at once, and keeps its port for ever, where a partition takes the
/// first packet. TCP hears nothing there and waits: whoever dials has a deadline. A refusal that
/// came from the other host took its time.
async fn connect_as_tcp(address: &str) -> io::Result<TcpStream> {
    let mut connecting = std::pin::pin!(TcpStream::connect(address));
    match futures_util::poll!(connecting.as_mut()) {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::future::pending().await
        }
        Poll::Ready(connected) => connected,
        Poll::Pending => connecting.await,
    }
}

/// Listens on a port of this host: the connections and who made them.
pub(crate) async fn listen(
    port: u16,
    journal: &Journal,
) -> io::Result<(SocketAddr, BoxStream<'static, io::Result<(Tap, SocketAddr)>>)> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let address = listener.local_addr()?;
    let incoming = stream::unfold((listener, journal.clone()), |(listener, journal)| async {
        let accepted = listener.accept().await.map(|(stream, peer)| {
            let (name, journal) = (format!("{peer}"), journal.clone());
            (Tap { name, stream, journal, reset: None, broken: false }, peer)
        });
        Some((accepted, (listener, journal)))
    });
    Ok((address, incoming.boxed()))
}

/// A connection whose writes are noted.
pub(crate) struct Tap {
    name: String,
    stream: TcpStream,
    journal: Journal,
    /// On the side that dialed; the other one sees the end of the stream.
    reset: Option<Reset>,
    broken: bool,
}

impl Tap {
    /// Whether the connection still stands.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.broken |=
            self.reset.as_mut().is_some_and(|reset| Pin::new(reset).poll(context).is_ready());
        if self.broken {
            self.reset = None;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.journal.packet(&self.name, &bytes[..count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
