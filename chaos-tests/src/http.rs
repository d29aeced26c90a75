//! A minimal HTTP client: JSON in and out, and the events of a stream as far as they came.

mod socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt as _};

pub use socket::Socket;

use crate::canary::Canary;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const BODY_BYTES_MAX: usize = 64 << 20;

/// How connections are made.
type Connector = BoxCloneSyncService<Uri, Socket, BoxError>;

/// A body of a request, whole or one that breaks off.
type Content = UnsyncBoxBody<Bytes, io::Error>;

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// When to come again, if the server says so.
    pub retry_after_seconds: Option<u32>,
    pub body: Value,
}

impl Reply {
    /// The error code of the contract, if the body has one.
    #[must_use]
    pub fn error_code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEvent {
    pub name: String,
    pub data: Value,
}

/// What one connection to a stream brought.
#[derive(Debug)]
pub struct StreamReply {
    pub status: u16,
    pub events: Vec<StreamEvent>,
    /// The server ended it; otherwise it broke or took too long, with what came before.
    pub complete: bool,
}

/// A client that keeps connections.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: Client<Connector, Content>,
    api_key: String,
    /// Looks at every answer.
    canary: Option<Arc<Canary>>,
}

impl HttpClient {
    #[must_use]
    pub fn new(api_key: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        Self::over(api_key, connector.map_response(Socket::new).map_err(BoxError::from))
    }

    /// A client whose connections come from `connector`, as a simulation's do.
    pub fn over<C>(api_key: &str, connector: C) -> Self
    where
        C: Service<Uri, Response = Socket, Error = BoxError> + Clone + Send + Sync + 'static,
        C::Future: Send + 'static,
    {
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build(Connector::new(connector));
        Self { client, api_key: api_key.to_owned(), canary: None }
    }

    /// Whose answers `canary` looks at.
    #[must_use]
    pub fn watched_by(self, canary: Arc<Canary>) -> Self {
        Self { canary: Some(canary), ..self }
    }

    /// # Errors
    /// Why there is no answer: nobody knows then whether the request was carried out.
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Reply, String> {
        parse(&self.answer(Method::GET, url, None, Bytes::new(), timeout).await?)
    }

    /// # Errors
    /// Why there is no answer: nobody knows then whether the request was carried out.
    pub async fn post(
        &self,
        url: &str,
        key: Option<&str>,
        body: &Value,
        timeout: Duration,
    ) -> Result<Reply, String> {
        let body = Bytes::from(body.to_string());
        parse(&self.answer(Method::POST, url, key, body, timeout).await?)
    }

    /// Asks, and takes whatever body comes back.
    ///
    /// # Errors
    /// Why there is no answer: nobody knows then whether the request was carried out.
    pub async fn exchange(
        &self,
        method: Method,
        url: &str,
        key: Option<&str>,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(u16, Bytes), String> {
        let answer = self.answer(method, url, key, body, timeout).await?;
        Ok((answer.status().as_u16(), answer.into_body()))
    }

    async fn answer(
        &self,
        method: Method,
        url: &str,
        key: Option<&str>,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response<Bytes>, String> {
        let deadline = tokio::time::Instant::now() + timeout;
        let asked = self.canary.is_some().then(|| asked(&method, url, key, &body));
        let response = self.send(self.request(method, url, key, whole(body))?, timeout).await?;
        let (head, answer) = response.into_parts();
        let answer = Limited::new(answer, BODY_BYTES_MAX).collect();
        let answer = tokio::time::timeout_at(deadline, answer)
            .await
            .map_err(|_| "timeout".to_owned())?
            .map_err(|error| format!("the answer broke off: {error}"))?
            .to_bytes();
        self.inspect(asked.as_deref(), &answer);
        Ok(Response::from_parts(head, answer))
    }

    fn inspect(&self, asked: Option<&str>, answer: &[u8]) {
        if let (Some(canary), Some(asked)) = (&self.canary, asked) {
            canary.inspect(asked, answer);
        }
    }

    /// Begins a POST and breaks off in the middle of its body.
    ///
    /// # Errors
    /// Why there is no answer, which is as it should be.
    pub async fn post_half(
        &self,
        url: &str,
        key: Option<&str>,
        body: &Value,
        timeout: Duration,
    ) -> Result<u16, String> {
        let body = Bytes::from(body.to_string());
        let broken = io::Error::new(io::ErrorKind::BrokenPipe, "the client hangs up");
        let half = Frame::data(body.slice(..body.len() / 2));
        let half = StreamBody::new(stream::iter([Ok(half), Err(broken)]));
        let mut request = self.request(Method::POST, url, key, half.boxed_unsync())?;
        request.headers_mut().insert(CONTENT_LENGTH, body.len().into());
        Ok(self.send(request, timeout).await?.status().as_u16())
    }

    /// Only the status of a GET, whatever the body is.
    pub async fn status(&self, url: &str, timeout: Duration) -> Option<u16> {
        let request = self.request(Method::GET, url, None, whole(Bytes::new())).ok()?;
        Some(self.send(request, timeout).await.ok()?.status().as_u16())
    }

    /// The body of a GET as text, when its status is 200.
    pub async fn text(&self, url: &str, timeout: Duration) -> Option<String> {
        let request = self.request(Method::GET, url, None, whole(Bytes::new())).ok()?;
        let response = self.send(request, timeout).await.ok()?;
        if response.status().as_u16() != 200 {
            return None;
        }
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect();
        let body = tokio::time::timeout(timeout, body).await.ok()?.ok()?;
        String::from_utf8(body.to_bytes().to_vec()).ok()
    }

    /// Reads a stream until the server ends it, it breaks, or `timeout` is over. Nothing of it is
    /// taken from the connection for as long as `unread`.
    ///
    /// # Errors
    /// Why there is no answer at all.
    pub async fn stream(
        &self,
        url: &str,
        unread: Duration,
        timeout: Duration,
    ) -> Result<StreamReply, String> {
        let deadline = tokio::time::Instant::now() + unread + timeout;
        let request = self.request(Method::GET, url, None, whole(Bytes::new()))?;
        let mut response = self.send(request, timeout).await?;
        tokio::time::sleep(unread).await;
        let status = response.status().as_u16();
        let asked = asked(&Method::GET, url, None, &[]);
        let (mut parser, mut events) = (EventParser::default(), Vec::new());
        let complete = loop {
            match tokio::time::timeout_at(deadline, response.body_mut().frame()).await {
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        parser.push(&data, &mut events, |block| {
                            self.inspect(Some(&asked), block);
                        });
                    }
                }
                Ok(None) => break true,
                Ok(Some(Err(_))) | Err(_) => break false,
            }
        };
        Ok(StreamReply { status, events, complete })
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        key: Option<&str>,
        body: Content,
    ) -> Result<Request<Content>, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header("x-api-key", &self.api_key)
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        request.body(body).map_err(|error| error.to_string())
    }

    async fn send(
        &self,
        request: Request<Content>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, String> {
        match tokio::time::timeout(timeout, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_connect() => Err(format!("cannot connect: {error}")),
            Ok(Err(error)) => Err(format!("the connection broke: {error}")),
            Err(_) => Err("timeout".to_owned()),
        }
    }
}

fn whole(body: Bytes) -> Content {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn asked(method: &Method, url: &str, key: Option<&str>, body: &[u8]) -> String {
    let (key, body) = (key.unwrap_or_default(), String::from_utf8_lossy(body));
    format!("{method} {url} {key} {body}")
}

fn parse(answer: &Response<Bytes>) -> Result<Reply, String> {
    let status = answer.status().as_u16();
    let body = serde_json::from_slice(answer.body())
        .map_err(|error| format!("{status} without a JSON body: {error}"))?;
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
    let retry_after_seconds = retry_after.and_then(|text| text.parse().ok());
    Ok(Reply { status, retry_after_seconds, body })
}

/// Splits a stream into events; an event counts once its empty line is there.
#[derive(Debug, Default)]
struct EventParser {
    buffer: Vec<u8>,
}

impl EventParser {
    fn push(&mut self, data: &[u8], events: &mut Vec<StreamEvent>, mut see: impl FnMut(&[u8])) {
        self.buffer.extend_from_slice(data);
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            see(&block);
            let text = String::from_utf8_lossy(&block);
            let field =
                |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if let (Some(name), Some(data)) = (field("event: "), field("data: ")) {
                let data = serde_json::from_str(data).unwrap_or(Value::Null);
                events.push(StreamEvent { name: name.to_owned(), data });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_out_whole_however_they_are_cut() {
        let text = b": hello\n\nid: 1\nevent: intent.created\ndata: {\"seq\":1}\n\n\
                     event: stream.timeout\ndata: {\"ok\":true}\n\nid: 2\nevent: intent.half\nda";
        let mut events = Vec::new();
        let (mut parser, mut blocks) = (EventParser::default(), 0);
        for byte in text {
            parser.push(&[*byte], &mut events, |block| blocks += block.len());
        }
        let event = |name: &str, data| StreamEvent { name: name.to_owned(), data };
        let created = event("intent.created", json!({"seq": 1}));
        assert_eq!(events, [created, event("stream.timeout", json!({"ok": true}))]);
        assert_eq!(blocks, text.len() - b"id: 2\nevent: intent.half\nda".len());
    }
}
