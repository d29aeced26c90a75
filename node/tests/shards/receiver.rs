//! A receiver of pushes that behaves as told: a real TCP server, without an HTTP library that would
//! be kinder than the internet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// A redirect to where no push may go.
    Redirect,
    /// The connection is closed without a word.
    Close,
    /// 200, and a body that does not end.
    Endless,
    /// A head that does not end.
    EndlessHead,
    /// Nothing, ever.
    Hang,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// By turns; the last one for all that follow.
    answers: Mutex<Vec<Answer>>,
    got: Mutex<Vec<Got>>,
    open: AtomicUsize,
    open_max: AtomicUsize,
}

impl Receiver {
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.iter().rev().copied().collect()),
            got: Mutex::default(),
            open: AtomicUsize::new(0),
            open_max: AtomicUsize::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    let open = shared.open.fetch_add(1, Ordering::SeqCst) + 1;
                    shared.open_max.fetch_max(open, Ordering::SeqCst);
                    shared.serve(stream).await;
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, shared, task }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.shared.got.lock().unwrap().clone()
    }

    /// The most connections that were open at a time.
    pub(crate) fn open_max(&self) -> usize {
        self.shared.open_max.load(Ordering::SeqCst)
    }

    /// Waits until so many requests have arrived.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Got> {
        crate::push::eventually("requests arrive", || {
            let got = self.got();
            (got.len() >= count).then_some(got)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        let mut buffer = Vec::new();
        while let Some(got) = read_request(&mut stream, &mut buffer).await {
            self.got.lock().unwrap().push(got);
            let answer = {
                let mut answers = self.answers.lock().unwrap();
                if answers.len() > 1 { answers.pop() } else { answers.last().copied() }.unwrap()
            };
            if !self.answer(&mut stream, answer).await {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(&self, stream: &mut TcpStream, answer: Answer) -> bool {
        let head = match answer {
            Answer::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
            Answer::Redirect => {
                "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\n\
                                 content-length: 0\r\n\r\n"
                    .to_owned()
            }
            Answer::Close => return false,
            Answer::Endless => "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n".to_owned(),
            Answer::EndlessHead => "HTTP/1.1 200 OK\r\n".to_owned(),
            Answer::Hang => {
                // Until the other side gives up.
                while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {}
                return false;
            }
        };
        if stream.write_all(head.as_bytes()).await.is_err() {
            return false;
        }
        let filler = format!("x-filler: {}\r\n", "y".repeat(4096));
        match answer {
            Answer::Endless => while stream.write_all(&[b'z'; 65536]).await.is_ok() {},
            Answer::EndlessHead => while stream.write_all(filler.as_bytes()).await.is_ok() {},
            _ => return true,
        }
        false
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Got> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let headers: HashMap<String, String> = head
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().unwrap();
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some(Got { headers, body: buffer.drain(..length).collect() })
}
