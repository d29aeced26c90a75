//! One keep-alive HTTP/1.1 connection.
//!
//! Not cancel safe: a future dropped half way leaves bytes of its answer behind. Its owner drops
//! the connection after any failure or timeout, and so never reads another request's answer.

use std::borrow::Cow;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEADERS_MAX: usize = 64;
const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("the server closed the connection in the middle")]
    Closed,
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
    #[error("no answer in time")]
    Timeout,
    #[error("refused with {status} {code}")]
    Refused { status: u16, code: String, retry_after: Option<u64> },
}

impl Failure {
    /// The name under which a report counts it.
    pub(crate) fn kind(&self) -> Cow<'static, str> {
        match self {
            Self::Connect(_) => "connect".into(),
            Self::Broken(_) => "broken".into(),
            Self::Closed => "closed".into(),
            Self::Malformed(_) => "malformed".into(),
            Self::Timeout => "timeout".into(),
            Self::Refused { status, code, .. } => {
                format!("{status} {code}").trim().to_owned().into()
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    buffer: BytesMut,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) keep_alive: bool,
    pub(super) retry_after: Option<u64>,
    pub(super) body: Body,
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    UntilClose,
    Done,
}

impl Connection {
    pub(super) async fn open(address: &str) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await.map_err(Failure::Connect)?;
        socket.set_nodelay(true).map_err(Failure::Connect)?;
        Ok(Self { socket, buffer: BytesMut::with_capacity(READ_BYTES) })
    }

    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.socket.write_all(request).await.map_err(Failure::Broken)
    }

    pub(super) async fn head(&mut self) -> Result<Head, Failure> {
        loop {
            if let Some((head, length)) = parse_head(&self.buffer)? {
                drop(self.buffer.split_to(length));
                // 100 Continue and its like announce the answer, they are not it.
                if head.status >= 200 {
                    return Ok(head);
                }
                continue;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(Failure::Malformed("the head is too long"));
            }
            self.read_more().await?;
        }
    }

    pub(super) async fn collect(&mut self, mut body: Body) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece(&mut body).await? {
            if whole.is_empty() {
                whole = piece;
            } else {
                whole.extend_from_slice(&piece);
            }
            if whole.len() > BODY_BYTES_MAX {
                return Err(Failure::Malformed("the body is too long"));
            }
        }
        Ok(whole.freeze())
    }

    /// The next piece of the body as soon as there is one; `None` at its end.
    pub(super) async fn piece(&mut self, body: &mut Body) -> Result<Option<BytesMut>, Failure> {
        loop {
            match *body {
                Body::Done | Body::Length(0) => {
                    *body = Body::Done;
                    return Ok(None);
                }
                Body::ChunkSize => {
                    if let Some((size, length)) = parse_chunk_size(&self.buffer)? {
                        drop(self.buffer.split_to(length));
                        *body = if size == 0 { Body::Done } else { Body::ChunkData(size) };
                        continue;
                    }
                }
                Body::ChunkData(0) => {
                    if self.buffer.len() >= 2 {
                        if !self.buffer.starts_with(b"\r\n") {
                            return Err(Failure::Malformed("a chunk is longer than its size"));
                        }
                        drop(self.buffer.split_to(2));
                        *body = Body::ChunkSize;
                        continue;
                    }
                }
                Body::Length(left) | Body::ChunkData(left) if !self.buffer.is_empty() => {
                    let taken = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let left = left - taken as u64;
                    let chunked = matches!(body, Body::ChunkData(_));
                    *body = if chunked { Body::ChunkData(left) } else { Body::Length(left) };
                    return Ok(Some(self.buffer.split_to(taken)));
                }
                Body::UntilClose if !self.buffer.is_empty() => {
                    return Ok(Some(self.buffer.split()));
                }
                Body::Length(_) | Body::ChunkData(_) | Body::UntilClose => {}
            }
            match self.read_more().await {
                Err(Failure::Closed) if *body == Body::UntilClose => *body = Body::Done,
                result => result?,
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Failure> {
        self.buffer.reserve(READ_BYTES);
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Failure::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

/// The head at the start of `bytes` and its length, if it is whole.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|_| Failure::Malformed("no HTTP head"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or_default();
    let mut head = Head {
        status,
        keep_alive: response.version == Some(1),
        retry_after: None,
        body: if matches!(status, 204 | 304) { Body::Done } else { Body::UntilClose },
    };
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.body = Body::Length(number(value).ok_or(Failure::Malformed("content-length"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Failure::Malformed("unknown transfer-encoding"));
            }
            head.body = Body::ChunkSize;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.keep_alive = !value.eq_ignore_ascii_case(b"close");
        } else if header.name.eq_ignore_ascii_case("retry-after") {
            head.retry_after = number(value);
        }
    }
    Ok(Some((head, length)))
}

/// The size of the chunk at the start of `bytes` and the length of what announces it. The last
/// chunk (size 0) is announced by all that follows it, trailers included.
fn parse_chunk_size(bytes: &[u8]) -> Result<Option<(u64, usize)>, Failure> {
    let parsed = httparse::parse_chunk_size(bytes);
    let httparse::Status::Complete((length, size)) =
        parsed.map_err(|_| Failure::Malformed("chunk size"))?
    else {
        return Ok(None);
    };
    if size > 0 {
        return Ok(Some((size, length)));
    }
    let mut trailers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let parsed = httparse::parse_headers(&bytes[length..], &mut trailers)
        .map_err(|_| Failure::Malformed("trailers"))?;
    Ok(match parsed {
        httparse::Status::Complete((trailers, _)) => Some((0, length + trailers)),
        httparse::Status::Partial => None,
    })
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
