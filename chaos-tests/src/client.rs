//! The published API as a workload uses it: every call says what is known afterwards.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::canary::Canary;
use crate::history::{Delivery, Inspection, Row, SeenEvent, Told};
use crate::http::{HttpClient, Reply, StreamReply};
use crate::tenants::Tenant;

/// Longer than a gateway tries: what comes back is its verdict and not our impatience.
const CALL_TIMEOUT: Duration = Duration::from_secs(12);
/// Over `wait_seconds`, how late a stream may end.
const STREAM_GRACE: Duration = Duration::from_secs(10);

/// The type of all scenarios, and so of their steps.
pub(crate) const SCENARIO_TYPE: &str = "chaos.scenario.v1";

/// What is known of a request that its client did not wait for.
pub(crate) const HUNG_UP: &str = "the client hung up";

/// A client of one organization that can reach every gateway.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    gateways: Vec<String>,
    canary: Arc<Canary>,
}

/// What a gateway says that limits rates.
#[derive(Debug)]
pub enum Limited<T> {
    Answered(Told<T>),
    /// Not let in: nothing of it has happened.
    TooMany {
        code: String,
        retry_after_seconds: Option<u32>,
    },
}

/// What one connection to an intent's stream brought.
#[derive(Debug, Default)]
pub struct Watched {
    pub events: Vec<SeenEvent>,
    pub ended: bool,
    pub problem: Option<String>,
}

/// What one connection to an agent's stream brought.
#[derive(Debug, Default)]
pub struct Listened {
    pub deliveries: Vec<Delivery>,
    pub problem: Option<String>,
}

impl Client {
    #[must_use]
    pub fn new(gateways: Vec<String>, tenant: &Tenant) -> Self {
        let http = tenant.http.clone().watched_by(tenant.canary.clone());
        Self { http, gateways, canary: tenant.canary.clone() }
    }

    /// What its canary has seen so far.
    #[must_use]
    pub fn inspection(&self, org: usize) -> Inspection {
        let (answers, leaks) = (self.canary.inspected(), self.canary.leaks());
        Inspection { org, answers, leaks }
    }

    #[must_use]
    pub fn gateways(&self) -> usize {
        self.gateways.len()
    }

    fn url(&self, gateway: usize, path: &str) -> String {
        format!("{}{path}", self.gateways[gateway])
    }

    /// Makes an agent known, or finds that it is.
    ///
    /// # Errors
    /// What the server said instead; its address otherwise.
    pub async fn register_agent(&self, name: &str, description: &str) -> Result<String, String> {
        let body = json!({"name": name, "description": description});
        let url = self.url(0, "/v1/service-accounts");
        let reply = self.http.post(&url, None, &body, CALL_TIMEOUT).await?;
        let address = reply.body.pointer("/service_account/agent_address").and_then(Value::as_str);
        address.map(str::to_owned).ok_or_else(|| format!("{}: {}", reply.status, reply.body))
    }

    /// Makes an agent known that is pushed to; its address, and what pushes are signed with.
    ///
    /// # Errors
    /// What the server said instead.
    pub async fn register_pushed(
        &self,
        name: &str,
        callback: &str,
    ) -> Result<(String, String), String> {
        let body = json!({"name": name, "delivery_mode": "http", "callback_url": callback});
        let url = self.url(0, "/v1/service-accounts");
        let reply = self.http.post(&url, None, &body, CALL_TIMEOUT).await?;
        let account = reply.body.get("service_account");
        let text = |key: &str| Some(account?.get(key)?.as_str()?.to_owned());
        let known = text("agent_address").zip(text("signing_secret"));
        known.ok_or_else(|| format!("{}: {}", reply.status, reply.body))
    }

    /// Creates an intent; its id.
    pub async fn submit(&self, gateway: usize, key: Option<&str>, body: &Value) -> Told<String> {
        let url = self.url(gateway, "/v1/intents");
        told(self.http.post(&url, key, body, CALL_TIMEOUT).await, |body| {
            Some(body.get("intent_id")?.as_str()?.to_owned())
        })
    }

    /// Begins a scenario; its id.
    pub async fn apply(&self, gateway: usize, key: Option<&str>, bundle: &Value) -> Told<String> {
        let url = self.url(gateway, "/v1/scenarios/apply");
        told(self.http.post(&url, key, bundle, CALL_TIMEOUT).await, |body| {
            Some(body.get("intent_id")?.as_str()?.to_owned())
        })
    }

    /// Ends an intent as its owner.
    pub async fn resolve(&self, gateway: usize, intent: &str, body: &Value) -> Told<SeenEvent> {
        self.finish(self.url(gateway, &format!("/v1/intents/{intent}/resolve")), body).await
    }

    /// Ends an intent as its agent.
    pub async fn resume(&self, gateway: usize, intent: &str, body: &Value) -> Told<SeenEvent> {
        self.finish(self.url(gateway, &format!("/v1/intents/{intent}/resume")), body).await
    }

    async fn finish(&self, url: String, body: &Value) -> Told<SeenEvent> {
        told(self.http.post(&url, None, body, CALL_TIMEOUT).await, |body| {
            SeenEvent::parse(body.get("event")?)
        })
    }

    /// The intent as it is now.
    pub async fn intent(&self, gateway: usize, intent: &str) -> Told<Value> {
        let url = self.url(gateway, &format!("/v1/intents/{intent}"));
        told(self.http.get(&url, CALL_TIMEOUT).await, |body| body.get("intent").cloned())
    }

    /// The newest intents, of those that were sent to an agent or of all.
    pub async fn list(
        &self,
        gateway: usize,
        to_agent: Option<&str>,
        limit: usize,
    ) -> Told<Vec<Row>> {
        let filter = to_agent.map(|to| format!("&to_agent={to}")).unwrap_or_default();
        let url = self.url(gateway, &format!("/v1/intents?limit={limit}{filter}"));
        told(self.http.get(&url, CALL_TIMEOUT).await, |body| {
            body.get("intents")?.as_array()?.iter().map(Row::parse).collect()
        })
    }

    /// Its events so far.
    pub async fn events(&self, gateway: usize, intent: &str) -> Told<Vec<SeenEvent>> {
        let url = self.url(gateway, &format!("/v1/intents/{intent}/events?since=0"));
        told(self.http.get(&url, CALL_TIMEOUT).await, |body| {
            body.get("events")?.as_array()?.iter().map(SeenEvent::parse).collect()
        })
    }

    /// Asks for a path with whatever body, and takes whatever comes back.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(
        &self,
        gateway: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes), String> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let url = self.url(gateway, path);
        self.http.exchange(method, &url, None, body, CALL_TIMEOUT).await
    }

    /// Begins to create an intent, and hangs up in the middle of the request, or after `patience`
    /// without an answer. Whether it was created is not known, whatever came of it.
    pub async fn submit_and_hang_up(
        &self,
        gateway: usize,
        key: &str,
        body: &Value,
        patience: Option<Duration>,
    ) -> Told<String> {
        let url = self.url(gateway, "/v1/intents");
        match patience {
            Some(patience) => {
                drop(self.http.post(&url, Some(key), body, patience).await);
            }
            None => drop(self.http.post_half(&url, Some(key), body, CALL_TIMEOUT).await),
        }
        Told::Unknown { why: HUNG_UP.to_owned() }
    }

    /// Creates an intent through a gateway that limits rates.
    pub async fn submit_limited(&self, body: &Value) -> Limited<String> {
        let reply = self.http.post(&self.url(0, "/v1/intents"), None, body, CALL_TIMEOUT).await;
        limited(reply, |body| Some(body.get("intent_id")?.as_str()?.to_owned()))
    }

    /// The status of an intent, through a gateway that limits rates.
    pub async fn intent_limited(&self, intent: &str) -> Limited<String> {
        let url = self.url(0, &format!("/v1/intents/{intent}"));
        limited(self.http.get(&url, CALL_TIMEOUT).await, |body| {
            Some(body.pointer("/intent/status")?.as_str()?.to_owned())
        })
    }

    /// Follows an intent over one connection, which is not read at first for as long as `unread`.
    pub async fn watch(
        &self,
        gateway: usize,
        intent: &str,
        since: u32,
        (wait, unread): (u64, Duration),
    ) -> Watched {
        let path = format!("/v1/intents/{intent}/events/stream?since={since}&wait_seconds={wait}");
        let reply = match self.open(gateway, &path, wait, unread).await {
            Ok(reply) => reply,
            Err(problem) => return Watched { problem: Some(problem), ..Watched::default() },
        };
        let mut watched = Watched::default();
        for event in reply.events.iter().filter(|event| event.name.starts_with("intent.")) {
            match SeenEvent::parse(&event.data) {
                Some(seen) => watched.events.push(seen),
                None => watched.problem = Some(format!("not an event: {}", event.data)),
            }
        }
        watched.ended = watched.events.last().is_some_and(SeenEvent::is_terminal);
        watched
    }

    /// Listens as an agent over one connection, which is not read at first for as long as `unread`.
    pub async fn listen(
        &self,
        gateway: usize,
        agent: &str,
        since: u32,
        (wait, unread): (u64, Duration),
    ) -> Listened {
        let address = agent.trim_start_matches("agent://");
        let path = format!("/v1/agents/{address}/intents/stream?since={since}&wait_seconds={wait}");
        let reply = match self.open(gateway, &path, wait, unread).await {
            Ok(reply) => reply,
            Err(problem) => return Listened { problem: Some(problem), ..Listened::default() },
        };
        let mut listened = Listened::default();
        for event in reply.events.iter().filter(|event| event.name.starts_with("intent.")) {
            match parse_delivery(&event.data) {
                Some(delivery) => listened.deliveries.push(delivery),
                None => listened.problem = Some(format!("not a delivery: {}", event.data)),
            }
        }
        listened
    }

    async fn open(
        &self,
        gateway: usize,
        path: &str,
        wait: u64,
        unread: Duration,
    ) -> Result<StreamReply, String> {
        let timeout = Duration::from_secs(wait) + STREAM_GRACE;
        let reply = self.http.stream(&self.url(gateway, path), unread, timeout).await?;
        if reply.status == 200 { Ok(reply) } else { Err(format!("status {}", reply.status)) }
    }
}

fn parse_delivery(data: &Value) -> Option<Delivery> {
    Some(Delivery {
        cursor: u32::try_from(data.get("seq")?.as_u64()?).ok()?,
        intent: data.get("intent_id")?.as_str()?.to_owned(),
        correlation_id: data.get("correlation_id")?.as_str()?.to_owned(),
        step: data.get("intent_type").and_then(Value::as_str) == Some(SCENARIO_TYPE),
    })
}

fn limited<T>(reply: Result<Reply, String>, read: impl FnOnce(&Value) -> Option<T>) -> Limited<T> {
    match reply {
        Ok(reply) if reply.status == 429 => Limited::TooMany {
            code: reply.error_code().to_owned(),
            retry_after_seconds: reply.retry_after_seconds,
        },
        reply => Limited::Answered(told(reply, read)),
    }
}

/// What an answer means: 2xx it happened, 4xx it did not, anything else may be either. A 429 says
/// only "later", as a 503 does.
fn told<T>(reply: Result<Reply, String>, read: impl FnOnce(&Value) -> Option<T>) -> Told<T> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => return Told::Unknown { why },
    };
    match reply.status {
        200 => match read(&reply.body) {
            Some(value) => Told::Done(value),
            None => Told::Unknown { why: format!("200 that cannot be read: {}", reply.body) },
        },
        status @ 400..=499 if status != 429 && status != 408 => {
            Told::Refused { status, code: reply.error_code().to_owned() }
        }
        status => Told::Unknown { why: format!("status {status} {}", reply.error_code()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_done_refused_or_unknown() {
        let reply = |status, body| Ok(Reply { status, retry_after_seconds: None, body });
        let id = |body: &Value| Some(body.get("intent_id")?.as_str()?.to_owned());
        assert_eq!(told(reply(200, json!({"intent_id": "i"})), id), Told::Done("i".to_owned()));
        let conflict = json!({"error": {"code": "idempotency_conflict"}});
        let refused = Told::Refused { status: 409, code: "idempotency_conflict".to_owned() };
        assert_eq!(told(reply(409, conflict), id), refused);
        assert!(told(reply(503, json!({})), id).is_unknown());
        assert!(told(reply(429, json!({})), id).is_unknown());
        assert!(told(reply(200, json!({})), id).is_unknown());
        assert!(told::<String>(Err("reset".to_owned()), id).is_unknown());
    }
}
