//! `axp bench push`: intents for agents with a callback, and the receiver of their pushes here.
//!
//! ```text
//! initiator --submit--> server --POST callback--> receiver --arrival--> initiator
//! ```
//! An operation ends when the push has arrived, however the server got it there. Every push is
//! answered with 204 at once, so what is measured is the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::{LoadArgs, Run, join_all, report};
use crate::clock;
use crate::load::{Client, Failure, Report, pause_after};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const HEADERS_MAX: usize = 32;
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// Where the receiver listens; the server must be able, and allowed, to reach it.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT")]
    receiver: String,
    #[command(flatten)]
    load: LoadArgs,
}

/// Pushes that somebody waits for, and those that came before their submit was answered.
#[derive(Debug, Default)]
struct Arrivals(Mutex<HashMap<String, Arrival>>);

#[derive(Debug)]
enum Arrival {
    Awaited(oneshot::Sender<()>),
    Early,
}

#[derive(Deserialize)]
struct Pushed {
    intent_id: String,
}

pub(super) async fn run(args: PushArgs) -> anyhow::Result<Report> {
    let listener = TcpListener::bind(&args.receiver)
        .await
        .with_context(|| format!("cannot listen on {}", args.receiver))?;
    let callback = format!("http://{}/push", listener.local_addr()?);
    let run = Run::new(args.load)?;
    let arrivals = Arc::new(Arrivals::default());
    let mut receiver = JoinSet::new();
    receiver.spawn(receive(Arc::clone(&run), listener, Arc::clone(&arrivals)));
    let mut client = run.client(0);
    for number in 0..usize::from(run.args.agents) {
        let agent = run.agent(number);
        register(&mut client, &agent, &callback)
            .await
            .map_err(|failure| anyhow::anyhow!("cannot register {agent}: {}", failure.kind()))?;
    }
    let mut initiators = JoinSet::new();
    for number in 0..usize::from(run.args.clients) {
        initiators.spawn(initiate(Arc::clone(&run), Arc::clone(&arrivals), number));
    }
    join_all(initiators).await?;
    receiver.shutdown().await;
    report("push", run)
}

async fn register(client: &mut Client, agent: &str, callback: &str) -> Result<(), Failure> {
    let body = format!(
        "{{\"name\":\"{agent}\",\"delivery_mode\":\"http\",\"callback_url\":\"{callback}\"}}"
    );
    client.post("/v1/service-accounts", Some(agent), body.as_bytes()).await.map(drop)
}

async fn initiate(run: Arc<Run>, arrivals: Arc<Arrivals>, number: usize) {
    let mut client = run.client(number);
    while !run.is_over() {
        let began = clock::now();
        let deadline = client.deadline();
        let result = match run.submit(&mut client, number, None).await {
            Ok(id) => match arrivals.expect(&id) {
                Some(arrival) => {
                    timeout_at(deadline, arrival).await.map_err(|_| Failure::Timeout).map(drop)
                }
                None => Ok(()),
            },
            Err(failure) => Err(failure),
        };
        match result {
            Ok(()) => run.recorder.completed(began),
            Err(failure) => {
                run.recorder.failed(&failure);
                pause_after(&failure).await;
            }
        }
    }
}

impl Arrivals {
    /// Waits for the push of an intent, unless it has come.
    fn expect(&self, intent_id: &str) -> Option<oneshot::Receiver<()>> {
        let mut arrivals = self.lock();
        if let Some(Arrival::Early) = arrivals.remove(intent_id) {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        arrivals.insert(intent_id.to_owned(), Arrival::Awaited(sender));
        Some(receiver)
    }

    fn came(&self, intent_id: String) {
        let mut arrivals = self.lock();
        match arrivals.remove(&intent_id) {
            // Whoever waited may have given up.
            Some(Arrival::Awaited(sender)) => drop(sender.send(())),
            Some(Arrival::Early) | None => {
                arrivals.insert(intent_id, Arrival::Early);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(run: Arc<Run>, listener: TcpListener, arrivals: Arc<Arrivals>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (run, arrivals) = (Arc::clone(&run), Arc::clone(&arrivals));
        connections.spawn(async move {
            if serve(stream, &arrivals).await.is_none() {
                run.recorder.count("push_connections_closed");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers requests until the connection ends.
async fn serve(mut stream: TcpStream, arrivals: &Arrivals) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(found) = head(&buffer)? {
                break found;
            }
            fill(&mut stream, &mut buffer).await?;
        };
        while buffer.len() < head + length {
            fill(&mut stream, &mut buffer).await?;
        }
        let pushed: Option<Pushed> = serde_json::from_slice(&buffer[head..head + length]).ok();
        stream.write_all(ANSWER).await.ok()?;
        if let Some(pushed) = pushed {
            arrivals.came(pushed.intent_id);
        }
        buffer.drain(..head + length);
    }
}

/// Length of the head and of the body, once the head is whole; nothing for what is no request.
fn head(buffer: &[u8]) -> Option<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer).ok()? else { return Some(None) };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())?;
    (head + length <= REQUEST_BYTES_MAX).then_some(Some((head, length)))
}

async fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_its_head_is_whole() {
        let request = b"POST /push HTTP/1.1\r\nhost: x\r\nContent-Length: 12\r\n\r\n{\"a\":1}";
        assert_eq!(head(&request[..30]), Some(None));
        assert_eq!(head(request), Some(Some((request.len() - 7, 12))));
        assert_eq!(head(b"POST /push HTTP/1.1\r\nhost: x\r\n\r\n"), None, "no length");
        assert_eq!(head(b"\x16\x03\x01 not http at all\r\n\r\n"), None);
    }

    #[tokio::test]
    async fn an_arrival_may_come_first() {
        let arrivals = Arrivals::default();
        arrivals.came("early".to_owned());
        assert!(arrivals.expect("early").is_none());
        let later = arrivals.expect("later").unwrap();
        arrivals.came("later".to_owned());
        later.await.unwrap();
    }
}
