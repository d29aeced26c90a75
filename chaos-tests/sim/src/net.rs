//! Connections between hosts of the simulation, each write noted in the journal.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axp_chaos_tests::http::Socket;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::BoxError;
use turmoil::net::{TcpListener, TcpStream};

use crate::journal::Journal;

/// Dials for nodes and gateways.
#[derive(Clone)]
pub(crate) struct Dialer(pub(crate) Journal);

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

impl Dialer {
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Tap>> + Send + use<> {
        let journal = self.0.clone();
        let address = address.to_owned();
        async move {
            let stream = TcpStream::connect(address.as_str()).await?;
            Ok(Tap { name: format!("{address} from {}", stream.local_addr()?), stream, journal })
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

/// Listens on a port of this host: the connections and who made them.
pub(crate) async fn listen(
    port: u16,
    journal: &Journal,
) -> io::Result<(SocketAddr, BoxStream<'static, io::Result<(Tap, SocketAddr)>>)> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let address = listener.local_addr()?;
    let incoming = stream::unfold((listener, journal.clone()), |(listener, journal)| async {
        let accepted = listener.accept().await.map(|(stream, peer)| {
            let name = format!("{peer}");
            (Tap { name, stream, journal: journal.clone() }, peer)
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
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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
