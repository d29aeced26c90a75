//! A server that speaks just enough of the contract, and misbehaves on request.
//!
//! What a real server does is tested with a real one; this one does what a real one does rarely:
//! it refuses, cuts a stream in the middle, or knows no live streams.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

pub(crate) const KEY: &str = "axme_sa_test_0123456789";

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manners {
    /// Streams end after what is there, or after a moment, also without `wait_seconds`.
    pub(crate) never_live: bool,
    /// The first responses of this number break off after one event.
    pub(crate) streams_cut: u32,
    /// The first requests of this number get 503.
    pub(crate) refusals: u32,
}

#[derive(Debug, Default)]
struct State {
    /// By stream: `intent id` or `agent name`; each event with its name and data.
    logs: BTreeMap<String, Vec<(String, Value)>>,
    ended: Vec<String>,
    deadlines: BTreeMap<String, String>,
    streams_cut: u32,
    refusals: u32,
}

pub(crate) struct Fake {
    pub(crate) url: String,
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Handler {
    manners: Manners,
    state: Arc<Mutex<State>>,
    /// Counts changes of the state.
    changed: watch::Sender<u64>,
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

impl Fake {
    pub(crate) async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            streams_cut: manners.streams_cut,
            refusals: manners.refusals,
            ..State::default()
        };
        let handler =
            Handler { manners, state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(0) };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let handler = handler.clone();
                let service = service_fn(move |request| {
                    let handler = handler.clone();
                    async move { Ok::<_, Infallible>(handler.answer(request).await) }
                });
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service);
                    // A client that hangs up is none of our business.
                    connection.await.ok();
                });
            }
        });
        Self { url, _server: server }
    }
}

impl Handler {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.headers().get("x-api-key").is_none_or(|key| key != KEY) {
            return error(401, "invalid_platform_api_key");
        }
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut state = self.state.lock().await;
        if state.refusals > 0 {
            state.refusals -= 1;
            return error(503, "unavailable");
        }
        let path: Vec<_> = parts.uri.path().trim_matches('/').split('/').collect();
        match (parts.method.as_str(), &path[1..]) {
            ("POST", ["intents"]) => self.submit(&mut state, &body),
            ("POST", ["intents", id, "resume" | "resolve"]) => self.end(&mut state, id, &body),
            ("POST", ["inbox", id, "reply" | "approve"]) => {
                let ended = state.ended.iter().any(|ended| ended == id);
                let owned = parts.uri.query().is_some_and(|query| query.contains("owner_agent="));
                if ended && owned { ok(&json!({"ok": true})) } else { error(404, "not_found") }
            }
            ("GET", ["intents", id, "events", "stream"] | ["agents", id, "intents", "stream"]) => {
                let of_intent = path[1] == "intents";
                if of_intent && !state.logs.contains_key(*id) {
                    return error(404, "not_found");
                }
                drop(state);
                self.stream(id, parts.uri.query().unwrap_or_default()).await
            }
            ("GET", ["intents", id]) if state.logs.contains_key(*id) => {
                let ended = state.ended.iter().any(|ended| ended == id);
                // Deadlines pass by themselves, to the millisecond.
                let deadline = state.deadlines.get(*id);
                let status = match deadline {
                    Some(_) => "TIMED_OUT",
                    None if ended => "COMPLETED",
                    None => "DELIVERED",
                };
                ok(&json!({"ok": true, "intent": {
                    "intent_id": id, "status": status, "updated_at": deadline,
                }}))
            }
            _ => error(404, "not_found"),
        }
    }

    fn submit(&self, state: &mut State, body: &Value) -> Response<Body> {
        let Some(agent) = body["to_agent"].as_str() else {
            return error(422, "validation_error");
        };
        assert!(body["payload"].is_object(), "{body}");
        let id = uuid::Uuid::new_v4().to_string();
        if let Some(deadline) = body["deadline_at"].as_str() {
            state.deadlines.insert(id.clone(), deadline.to_owned());
        }
        for name in ["created", "submitted", "delivered"] {
            state.append(&id, &id, name, 1);
        }
        state.append(agent, &id, "delivered", 2);
        self.changed.send_modify(|changes| *changes += 1);
        ok(&json!({"ok": true, "intent_id": id, "status": "DELIVERED"}))
    }

    fn end(&self, state: &mut State, id: &str, body: &Value) -> Response<Body> {
        if state.ended.iter().any(|ended| ended == id) {
            return error(409, "invalid_state");
        }
        let failed = body["action"] == "fail" || body["status"] == "FAILED";
        state.append(id, id, if failed { "failed" } else { "completed" }, 1);
        state.ended.push(id.to_owned());
        self.changed.send_modify(|changes| *changes += 1);
        let delivery = json!({"delivered": true});
        ok(&json!({"ok": true, "applied": true, "completion_delivery": delivery}))
    }

    async fn stream(&self, log: &str, query: &str) -> Response<Body> {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("since="));
        let since: u64 = since.unwrap_or("0").parse().unwrap();
        let live = !query.contains("wait_seconds") && !self.manners.never_live;
        let cut = {
            let mut state = self.state.lock().await;
            let cut = state.streams_cut > 0;
            state.streams_cut -= u32::from(cut);
            cut
        };
        let reader = Reader {
            state: Arc::clone(&self.state),
            changes: self.changed.subscribe(),
            log: log.to_owned(),
            since,
            live,
            cut,
            over: false,
        };
        let pieces = stream::unfold(reader, |mut reader| async move {
            let piece = reader.next().await?;
            Some((piece.map(|text| Frame::data(Bytes::from(text))), reader))
        });
        Response::new(StreamBody::new(pieces).boxed_unsync())
    }
}

impl State {
    fn append(&mut self, log: &str, intent_id: &str, name: &str, step: u64) {
        let log = self.logs.entry(log.to_owned()).or_default();
        let seq = (log.len() as u64 + 1) * step;
        let status = if name == "created" { "CREATED".into() } else { name.to_uppercase() };
        let event_type = format!("intent.{name}");
        let data = json!({"intent_id": intent_id, "seq": seq, "event_type": event_type,
            "status": status, "at": "2026-01-01T00:00:00Z", "details": {}});
        log.push((event_type, data));
    }
}

/// One open response.
struct Reader {
    state: Arc<Mutex<State>>,
    changes: watch::Receiver<u64>,
    log: String,
    since: u64,
    live: bool,
    cut: bool,
    over: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<String, std::io::Error>> {
        if self.over {
            return None;
        }
        loop {
            self.changes.borrow_and_update();
            let fresh = {
                let state = self.state.lock().await;
                let log = state.logs.get(&self.log).into_iter().flatten();
                let mut fresh = log.filter(|(_, data)| data["seq"].as_u64() > Some(self.since));
                fresh.next().cloned()
            };
            if let Some((name, data)) = fresh {
                self.since = data["seq"].as_u64().unwrap();
                self.over = self.cut || matches!(&name[..], "intent.completed" | "intent.failed");
                let text = format!("id: {}\nevent: {name}\ndata: {data}\n\n", self.since);
                return Some(Ok(text));
            }
            let changed = self.changes.changed();
            let waited = tokio::time::timeout(Duration::from_millis(50), changed).await;
            if waited.is_err() && !self.live {
                self.over = true;
                let text = format!(
                    "event: stream.timeout\ndata: {{\"ok\":true,\"next_seq\":{}}}\n\n",
                    self.since
                );
                return Some(Ok(text));
            }
            if waited.is_err() {
                return Some(Ok(": heartbeat\n\n".into()));
            }
        }
    }
}

fn ok(body: &Value) -> Response<Body> {
    answer(200, body)
}

fn error(status: u16, code: &str) -> Response<Body> {
    answer(status, &json!({"ok": false, "error": {"code": code, "message": code}, "detail": code}))
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let body =
        Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
