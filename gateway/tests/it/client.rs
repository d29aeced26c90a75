//! A small HTTP/1.1 client that shows what is on the wire: no library in between that would hide
//! a missing empty line or a body that does not end.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        let body = self.json();
        assert_eq!(body["ok"], true);
        body
    }

    /// The code of a refusal, whose body must speak all dialects.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["ok"], false);
        assert_eq!(body["detail"], body["error"]["message"]);
        assert!(body["error"]["details"].is_object());
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A request under construction.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    chunks: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { address, method, path, headers: Vec::new(), body: None, chunks: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Adds a chunk to a body that is sent in pieces; an empty one ends it.
    pub(crate) fn chunk(mut self, bytes: &[u8]) -> Self {
        self.chunks.extend(format!("{:x}\r\n", bytes.len()).into_bytes());
        self.chunks.extend(bytes);
        self.chunks.extend(b"\r\n");
        self
    }

    fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: gateway\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = &self.body {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head + "\r\n"
    }

    /// Sends and reads the whole answer.
    pub(crate) async fn send(&self) -> Answer {
        let answer = timeout(PATIENCE, self.open().await.rest()).await.expect("the answer ends");
        if answer.status == 200 {
            crate::shapes::check(&self.method, &self.path, &answer.body);
        }
        answer
    }

    /// Sends and reads nothing; the request ends early when the connection is dropped.
    pub(crate) async fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(self.head().as_bytes()).await.unwrap();
        stream.write_all(self.body.as_deref().unwrap_or(&self.chunks)).await.unwrap();
        stream
    }

    /// Sends and reads the head; the body is read piece by piece.
    pub(crate) async fn open(&self) -> Open {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(self.head().as_bytes()).await.unwrap();
        // A refusal may come before the body was read, and close the connection.
        stream.write_all(self.body.as_deref().unwrap_or(&self.chunks)).await.ok();
        let mut open =
            Open { stream, buffer: Vec::new(), answer: None, chunked: false, length: None };
        timeout(PATIENCE, open.read_head()).await.expect("the head arrives");
        open
    }
}

/// An answer whose body is still coming.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    answer: Option<Answer>,
    chunked: bool,
    length: Option<usize>,
}

impl Open {
    pub(crate) fn status(&self) -> u16 {
        self.answer.as_ref().unwrap().status
    }

    async fn fill(&mut self) -> bool {
        self.buffer.reserve(16 << 10);
        self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) > 0
    }

    async fn read_head(&mut self) {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill().await, "the connection closed before the head");
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let answer = Answer { status, headers, body: Vec::new() };
        self.chunked = answer.header("transfer-encoding") == Some("chunked");
        self.length = answer.header("content-length").map(|length| length.parse().unwrap());
        self.answer = Some(answer);
    }

    /// The next piece of the body; absent at its end.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        if !self.chunked {
            let length = self.length.unwrap_or(0);
            while self.buffer.len() < length && self.fill().await {}
            self.length = Some(0);
            return (length > 0).then(|| self.buffer.drain(..length).collect());
        }
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let size = std::str::from_utf8(&self.buffer[..at]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if self.buffer.len() >= at + 2 + size + 2 {
                    let chunk = self.buffer[at + 2..at + 2 + size].to_vec();
                    self.buffer.drain(..at + 2 + size + 2);
                    return (size > 0).then_some(chunk);
                }
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads until the body contains `text`.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let reading = async {
            let mut seen = String::new();
            while !seen.contains(text) {
                let chunk = self.chunk().await.unwrap_or_else(|| panic!("ended after {seen:?}"));
                seen.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            seen
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{text:?} does not come"))
    }

    pub(crate) async fn rest(mut self) -> Answer {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend(chunk);
        }
        Answer { body, ..self.answer.unwrap() }
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
