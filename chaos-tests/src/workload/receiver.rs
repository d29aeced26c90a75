//! Where pushes go: a server that takes most of them, and refuses, redirects, hangs up before or in the
//! middle of an answer, or is slow with the others, by chance of the run's name.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::hash::stable_hash;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::Shared;
use super::push::{self, Taken};
use super::silence::{Silence, falls_silent};
use crate::history::{Answer, Push};

const CONNECTIONS_MAX: usize = 256;
/// What was taken and is not worked on yet.
const TAKEN_MAX: usize = 1024;
const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;
/// Some of these are longer than a node waits for an answer.
const SLOW_MS: std::ops::Range<u64> = 300..4_000;

/// A place for callbacks that nodes can reach.
#[derive(Debug)]
pub struct Receiver {
    steady: TcpListener,
    /// For those that fall silent.
    moody: TcpListener,
    silence: Silence,
}

impl Receiver {
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn open(host: Ipv4Addr, silence: Silence) -> io::Result<Self> {
        let steady = TcpListener::bind((host, 0)).await?;
        Ok(Self { steady, moody: TcpListener::bind((host, 0)).await?, silence })
    }

    /// The callback of an organization's agent.
    pub(crate) fn callback(&self, org: usize) -> io::Result<String> {
        let listener = if falls_silent(org) { &self.moody } else { &self.steady };
        Ok(format!("http://{}/{org}", listener.local_addr()?))
    }

    /// The next connection to any of them.
    async fn accept(&self) -> io::Result<TcpStream> {
        let accepted = tokio::select! {
            accepted = self.steady.accept() => accepted,
            accepted = self.moody.accept() => accepted,
        };
        accepted.map(|(stream, _)| stream)
    }
}

/// Answers until the workload stops.
pub(super) async fn serve(shared: Arc<Shared>, receiver: Receiver) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (works, taken) = mpsc::channel(TAKEN_MAX);
    let mut stopping = shared.stopping.clone();
    let mut connections = JoinSet::new();
    let accept = async {
        while let Ok(permit) = permits.clone().acquire_owned().await {
            match receiver.accept().await {
                Ok(stream) => {
                    let (shared, works) = (shared.clone(), works.clone());
                    let silence = receiver.silence.clone();
                    connections.spawn(async move {
                        // What a peer does to its connection is what the run is about.
                        connection(&shared, stream, &works, &silence).await.ok();
                        drop(permit);
                    });
                }
                Err(error) => tracing::warn!(%error, "a push could not be accepted"),
            }
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = accept => {}
        () = push::work_off(&shared, taken) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connections.shutdown().await;
}

async fn connection(
    shared: &Shared,
    mut stream: TcpStream,
    works: &mpsc::Sender<Taken>,
    silence: &Silence,
) -> io::Result<()> {
    let mut unread = Vec::new();
    while let Some(request) = Request::read(&mut stream, &mut unread).await? {
        let start = shared.oracle.now();
        let Some(mut push) = request.parse(shared, start) else {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        if silence.reigns() && falls_silent(push.org) {
            shared.oracle.push(push);
            return unanswered(&mut stream, silence).await;
        }
        let mood = Mood::of(shared, &push);
        let answered = mood.answer(&mut stream).await;
        push.answer = match (&answered, mood) {
            (Ok(_), Mood::Takes) => Answer::Taken,
            (_, Mood::Takes | Mood::Slow(_)) => Answer::TakenUnheard,
            (_, Mood::Refuses | Mood::Redirects | Mood::HangsUp | Mood::BreaksOff) => {
                Answer::NotTaken
            }
        };
        push.span = shared.oracle.since(start);
        let Push { org, attempt, answer, .. } = push;
        let intent = push.intent.clone();
        shared.oracle.push(push);
        if answer != Answer::NotTaken {
            // Nobody takes it any more only when the run is over.
            works.send(Taken { org, intent, attempt }).await.ok();
        }
        if !answered? {
            return Ok(());
        }
    }
    Ok(())
}

/// Holds the connection until the silence is over or the sender hangs up.
async fn unanswered(stream: &mut TcpStream, silence: &Silence) -> io::Result<()> {
    let mut more = [0];
    tokio::select! {
        () = silence.over() => Ok(()),
        read = stream.read(&mut more) => read.map(drop),
    }
}

/// How one attempt is met.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Takes,
    Slow(Duration),
    Refuses,
    Redirects,
    HangsUp,
    BreaksOff,
}

impl Mood {
    fn of(shared: &Shared, push: &Push) -> Self {
        let (run, intent) = (shared.run.as_bytes(), push.intent.as_bytes());
        let seed = stable_hash(&[run, intent, &push.attempt.to_be_bytes()]);
        let mut rng = StdRng::seed_from_u64(seed);
        match rng.random_range(0..100) {
            0..60 => Self::Takes,
            60..70 => Self::Slow(Duration::from_millis(rng.random_range(SLOW_MS))),
            70..82 => Self::Refuses,
            82..85 => Self::Redirects,
            85..93 => Self::HangsUp,
            _ => Self::BreaksOff,
        }
    }

    /// Whether the connection goes on.
    async fn answer(self, stream: &mut TcpStream) -> io::Result<bool> {
        let whole: &[u8] = match self {
            Self::Takes => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            Self::Slow(pause) => {
                tokio::time::sleep(pause).await;
                b"HTTP/1.1 204 No Content\r\n\r\n"
            }
            Self::Refuses => b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            Self::Redirects => b"HTTP/1.1 302 Found\r\nlocation: /0\r\ncontent-length: 0\r\n\r\n",
            Self::HangsUp => return Ok(false),
            Self::BreaksOff => {
                stream.write_all(b"HTTP/1.1 20").await?;
                return Ok(false);
            }
        };
        stream.write_all(whole).await?;
        Ok(true)
    }
}

/// One request, as far as it matters here.
#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// The next one of a connection; nothing at its end.
    async fn read(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Option<Self>> {
        let end = loop {
            if let Some(at) = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if unread.len() > HEAD_BYTES_MAX || stream.read_buf(unread).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&unread[..end]).into_owned();
        let length = header(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
        let Some(length) = length.filter(|length| *length <= BODY_BYTES_MAX) else {
            return Ok(None);
        };
        while unread.len() < end + length {
            if stream.read_buf(unread).await? == 0 {
                return Ok(None);
            }
        }
        let body = unread[end..end + length].to_vec();
        unread.drain(..end + length);
        Ok(Some(Self { head, body }))
    }

    /// A push to an organization of the run.
    fn parse(&self, shared: &Shared, start: u64) -> Option<Push> {
        let path = self.head.split_whitespace().nth(1)?;
        let org: usize = path.trim_start_matches('/').parse().ok()?;
        let secret = &shared.orgs.get(org)?.pushed.as_ref()?.secret;
        let value: Value = serde_json::from_slice(&self.body).ok()?;
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let attempt = header(&self.head, "x-axme-delivery-attempt")?.parse().ok()?;
        let told = u32::try_from(value.get("delivery_attempt")?.as_u64()?).ok()?;
        let intent = text("intent_id")?;
        let named = header(&self.head, "x-axme-delivery-id") == Some(&intent);
        let signature = header(&self.head, "x-axme-signature").unwrap_or_default();
        Some(Push {
            span: shared.oracle.since(start),
            org,
            correlation_id: text("correlation_id")?,
            attempt,
            signed: named && told == attempt && is_signed(secret, &self.body, signature),
            answer: Answer::NotTaken,
            intent,
        })
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim())
}

fn is_signed(secret: &str, body: &[u8], signature: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    let digits: [u8; 32] = mac.finalize().into_bytes().into();
    let expected: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    signature == format!("sha256={expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let body = b"what do ya want for nothing?";
        let signature = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(is_signed("Jefe", body, signature));
        assert!(!is_signed("jefe", body, signature));
        assert!(!is_signed("Jefe", b"what", signature));
        assert!(!is_signed("Jefe", body, ""));
    }

    #[tokio::test]
    async fn requests_come_out_whole_however_they_are_cut() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let text =
            b"POST /3 HTTP/1.1\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhelloPOST / HTTP/1.1\r\n";
        let write = async {
            for byte in text {
                client.write_all(&[*byte]).await.unwrap();
            }
            client.shutdown().await.unwrap();
        };
        let mut unread = Vec::new();
        let read = async {
            let first = Request::read(&mut server, &mut unread).await.unwrap().unwrap();
            (first, Request::read(&mut server, &mut unread).await.unwrap())
        };
        let (_, (first, second)) = futures_util::future::join(write, read).await;
        assert_eq!((header(&first.head, "x-a"), &*first.body), (Some("b"), &b"hello"[..]));
        assert!(second.is_none());
    }
}
