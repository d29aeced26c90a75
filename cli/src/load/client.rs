//! A client with one connection at a time, which moves on to the next server when one fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::connection::{Body, Connection, Failure, Head};
use crate::api::{Error, Target};
use crate::clock;
use crate::sse::{Event, Parser, STREAM_TIMEOUT};

/// After a failure, so that a server that is down is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// One server as the load sees it: where it is, and what every request to it carries.
#[derive(Debug)]
pub(crate) struct Server {
    target: Target,
    /// From the protocol version to the last header that is always the same.
    headers: String,
}

impl Server {
    pub(crate) fn new(url: &str, key: &str) -> Result<Self, Error> {
        let target = Target::parse_plain(url)?;
        if key.chars().any(|character| character.is_control()) {
            return Err(Error::Target("the API key contains control characters".into()));
        }
        let headers = format!(
            " HTTP/1.1\r\nhost: {}\r\nx-api-key: {key}\r\nx-axme-client: axp-bench\r\n",
            target.authority
        );
        Ok(Self { target, headers })
    }
}

#[derive(Debug)]
pub(crate) struct Client {
    servers: Arc<[Server]>,
    current: usize,
    connection: Option<Connection>,
    request: Vec<u8>,
    timeout: Duration,
}

impl Client {
    /// Clients with consecutive numbers begin with different servers.
    pub(crate) fn new(servers: Arc<[Server]>, number: usize, timeout: Duration) -> Self {
        let current = number % servers.len();
        Self { servers, current, connection: None, request: Vec::new(), timeout }
    }

    pub(crate) fn deadline(&self) -> Instant {
        clock::now() + self.timeout
    }

    /// Posts JSON and returns the body of a success.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        idempotency_key: Option<&str>,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        self.begin("POST", path);
        if let Some(key) = idempotency_key {
            self.request.extend_from_slice(format!("idempotency-key: {key}\r\n").as_bytes());
        }
        let length =
            format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        self.request.extend_from_slice(length.as_bytes());
        self.request.extend_from_slice(body);
        self.exchange(self.deadline()).await
    }

    /// Gets JSON and returns the body of a success.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes, Failure> {
        self.begin("GET", path);
        self.request.extend_from_slice(b"\r\n");
        self.exchange(self.deadline()).await
    }

    /// Opens an event stream; reading it is up to the caller.
    pub(crate) async fn stream(&mut self, path: &str) -> Result<Stream<'_>, Failure> {
        self.begin("GET", path);
        self.request.extend_from_slice(b"accept: text/event-stream\r\n\r\n");
        let deadline = self.deadline();
        let head = self.guarded(deadline, async |connection, request| {
            connection.send(request).await?;
            connection.head().await
        });
        let head = head.await?;
        if head.status != 200 {
            return Err(self.refused(deadline, head).await);
        }
        let (body, keep_alive) = (head.body, head.keep_alive);
        Ok(Stream { client: self, body, keep_alive, parser: Parser::default() })
    }

    fn begin(&mut self, method: &str, path: &str) {
        let server = &self.servers[self.current];
        self.request.clear();
        for part in [method, " ", &server.target.prefix, path, &server.headers] {
            self.request.extend_from_slice(part.as_bytes());
        }
    }

    async fn exchange(&mut self, deadline: Instant) -> Result<Bytes, Failure> {
        let head = self.guarded(deadline, async |connection, request| {
            connection.send(request).await?;
            connection.head().await
        });
        let head = head.await?;
        if head.status != 200 {
            return Err(self.refused(deadline, head).await);
        }
        let (body, keep_alive) = (head.body, head.keep_alive);
        let body = self.guarded(deadline, async |connection, _| connection.collect(body).await);
        let body = body.await?;
        self.keep(keep_alive);
        Ok(body)
    }

    /// The failure that a refusal is. Its body is read, so that the connection can be kept.
    async fn refused(&mut self, deadline: Instant, head: Head) -> Failure {
        let collected =
            self.guarded(deadline, async |connection, _| connection.collect(head.body).await);
        let body = match collected.await {
            Ok(body) => body,
            Err(failure) => return failure,
        };
        self.keep(head.keep_alive);
        // This one is alive but cannot serve; another may.
        if head.status >= 500 {
            self.move_on();
        }
        let code = serde_json::from_slice::<Refusal>(&body).unwrap_or_default().error.code;
        Failure::Refused { status: head.status, code, retry_after: head.retry_after }
    }

    /// Does one step on the connection, opening it if needed; drops it when the step fails.
    async fn guarded<T>(
        &mut self,
        deadline: Instant,
        step: impl AsyncFnOnce(&mut Connection, &[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let server = &self.servers[self.current];
        let (connection, request) = (&mut self.connection, &self.request);
        let work = async {
            let connection = match connection {
                Some(connection) => connection,
                None => connection.insert(Connection::open(&server.target.address).await?),
            };
            step(connection, request).await
        };
        let result = timeout_at(deadline, work).await.unwrap_or(Err(Failure::Timeout));
        if result.is_err() {
            self.move_on();
        }
        result
    }

    fn keep(&mut self, keep_alive: bool) {
        if !keep_alive {
            self.connection = None;
        }
    }

    fn move_on(&mut self) {
        self.connection = None;
        self.current = (self.current + 1) % self.servers.len();
    }
}

/// Waits as long as a failure asks for, within reason.
pub(crate) async fn pause_after(failure: &Failure) {
    let pause = match failure {
        Failure::Refused { retry_after: Some(seconds), .. } => Duration::from_secs(*seconds),
        _ => PAUSE,
    };
    tokio::time::sleep(pause.clamp(PAUSE, PAUSE_MAX)).await;
}

#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: RefusalError,
}

#[derive(Debug, Default, Deserialize)]
struct RefusalError {
    #[serde(default)]
    code: String,
}

/// How long to wait for the next event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Until(Instant),
    /// As long as anything comes, heartbeats included, in this time.
    Silence(Duration),
}

impl Patience {
    fn deadline(self) -> Instant {
        match self {
            Self::Until(deadline) => deadline,
            Self::Silence(silence) => clock::now() + silence,
        }
    }
}

/// An open event stream. Dropped before its end, it takes the connection with it.
#[derive(Debug)]
pub(crate) struct Stream<'client> {
    client: &'client mut Client,
    body: Body,
    keep_alive: bool,
    parser: Parser,
}

impl Stream<'_> {
    /// The next event of an intent; `None` when the response is over.
    pub(crate) async fn next(&mut self, patience: Patience) -> Result<Option<Event>, Failure> {
        loop {
            let event = self.parser.next_event();
            match event.map_err(|_| Failure::Malformed("an endless line"))? {
                Some(event) if event.is_intent() => return Ok(Some(event)),
                Some(event) if event.name == STREAM_TIMEOUT => {
                    self.finish(patience).await?;
                    return Ok(None);
                }
                Some(_) => continue,
                None => {}
            }
            let body = &mut self.body;
            let read = self
                .client
                .guarded(patience.deadline(), async |connection, _| connection.piece(body).await)
                .await;
            match read? {
                Some(piece) => self.parser.push(&piece),
                None => {
                    self.client.keep(self.keep_alive);
                    return Ok(None);
                }
            }
        }
    }

    /// Reads to the end of a response that is about to end, so that the connection can be kept.
    pub(crate) async fn finish(&mut self, patience: Patience) -> Result<(), Failure> {
        let body = &mut self.body;
        let drained = self.client.guarded(patience.deadline(), async |connection, _| {
            while connection.piece(body).await?.is_some() {}
            Ok(())
        });
        drained.await?;
        self.client.keep(self.keep_alive);
        Ok(())
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if self.body != Body::Done {
            self.client.connection = None;
        }
    }
}
