//! A server that says what it was told to say, and remembers what it was asked.
//!
//! For what depends on the wire alone: which request a command sends, what it prints of the answer,
//! how it ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Value,
}

pub(crate) struct Canned {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

/// By `METHOD /path`, without the query: status and body. A body that is text is an event stream.
pub(crate) type Answers = BTreeMap<String, (u16, Value)>;

pub(crate) fn answers<const N: usize>(answers: [(&str, Value); N]) -> Answers {
    answers.into_iter().map(|(line, body)| (line.to_owned(), (200, body))).collect()
}

/// The body of a stream with these events.
pub(crate) fn stream(events: &[Value]) -> Value {
    let event = |event: &Value| {
        format!("id: {}\nevent: {}\ndata: {event}\n\n", event["seq"], text(&event["event_type"]))
    };
    events.iter().map(event).collect::<String>().into()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

impl Canned {
    pub(crate) async fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, log) = (Arc::new(answers), Arc::clone(&asked));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                let service = service_fn(move |request| {
                    let (answers, log) = (Arc::clone(&answers), Arc::clone(&log));
                    async move { Ok::<_, Infallible>(answer(request, &answers, &log).await) }
                });
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service);
                    // A client that hangs up is none of our business.
                    connection.await.ok();
                });
            }
        });
        Self { url, asked, _server: server }
    }

    /// The requests so far that change something.
    pub(crate) fn writes(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| !asked.line.starts_with("GET")).cloned().collect()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: &Answers,
    log: &Mutex<Vec<Asked>>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.uri.path_and_query().unwrap().as_str();
    let header = |name: &str| Some(parts.headers.get(name)?.to_str().unwrap().to_owned());
    log.lock().unwrap().push(Asked {
        line: format!("{} {target}", parts.method),
        idempotency_key: header("idempotency-key"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let unknown = json!({"ok": false, "detail": "not found",
        "error": {"code": "not_found", "message": "not found"}});
    let unknown = (404, unknown);
    let line = format!("{} {}", parts.method, parts.uri.path());
    let (status, body) = answers.get(&line).unwrap_or(&unknown);
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let response = Response::builder().status(*status).header("x-request-id", "req-7");
    response.body(Full::new(Bytes::from(text))).unwrap()
}
