//! One submit as a careful client makes it: the same key until the answer is known.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::org::Known;
use super::{Begun, Shared, finish, watch};
use crate::history::{Kind, Read, Submit, Told};

/// With a key it is safe to ask again; a client gives up after this many attempts.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);

/// A body, under a key or not.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) org: usize,
    pub(super) key: Option<String>,
    pub(super) correlation_id: String,
    pub(super) to_agent: String,
    pub(super) body: Value,
    pub(super) mutated: bool,
    pub(super) kind: Kind,
    /// Agents' steps of a scenario.
    pub(super) steps: usize,
}

impl Request {
    fn any(shared: &Shared, number: u64, rng: &mut StdRng) -> Self {
        let org = shared.any_org(rng);
        let to_agent = shared.orgs[org].any_agent(rng);
        let keyed = rng.random_bool(shared.mix.keyed);
        let key = keyed.then(|| shared.key(number));
        let text_bytes = *[16, 200, 1000, 8000].get(rng.random_range(0..4)).unwrap_or(&16);
        let payload = json!({"number": number, "text": "x".repeat(text_bytes)});
        Self::new(shared, org, key, to_agent, rng, payload)
    }

    /// Carries the organization's secret and a correlation id of its own.
    pub(super) fn new(
        shared: &Shared,
        org: usize,
        key: Option<String>,
        to_agent: String,
        rng: &mut StdRng,
        mut payload: Value,
    ) -> Self {
        let correlation_id = uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string();
        payload["canary"] = json!(shared.orgs[org].canary.secret);
        let body = json!({
            "intent_type": "chaos.work.v1",
            "correlation_id": correlation_id,
            "to_agent": to_agent,
            "payload": payload,
        });
        let (mutated, kind, steps) = (false, Kind::Work, 0);
        Self { org, key, correlation_id, to_agent, body, mutated, kind, steps }
    }

    /// The same key with another body.
    fn mutated(&self, shared: &Shared, rng: &mut StdRng) -> Self {
        let (key, to_agent) = (self.key.clone(), self.to_agent.clone());
        let payload = json!({"mutated": true});
        Self { mutated: true, ..Self::new(shared, self.org, key, to_agent, rng, payload) }
    }
}

/// Submits one intent and does what clients do with it afterwards.
pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let request = Request::any(&shared, number, &mut rng);
    let org = request.org;
    let gateway = shared.any_gateway(&mut rng);
    let other = shared.other_gateway(gateway);
    let repeated = request.key.is_some() && rng.random_bool(shared.mix.repeated);
    let at_once = rng.random_bool(0.5);

    let told = if repeated && at_once {
        let both = futures_util::future::join(
            until_known(&shared, &request, gateway),
            until_known(&shared, &request, other),
        );
        let (first, second) = both.await;
        first.or(second)
    } else {
        let first = until_known(&shared, &request, gateway).await;
        if repeated { until_known(&shared, &request, other).await.or(first) } else { first }
    };
    drop(begun);
    let Some(intent) = told else { return };
    let key = request.key.clone();
    shared.orgs[org].betray(Known { intent: intent.clone(), key });

    if request.key.is_some() && rng.random_bool(shared.mix.mutated) {
        attempt(&shared, &request.mutated(&shared, &mut rng), other).await;
    }
    if rng.random_bool(shared.mix.read) {
        read(&shared, org, &intent, other).await;
    }
    let raced = rng.random_bool(shared.mix.raced);
    let watched = rng.random_bool(shared.mix.watched);
    futures_util::future::join(
        async {
            if raced {
                finish::as_owner(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 1)).await;
            }
        },
        async {
            if watched {
                watch::until_ended(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 2)).await;
            }
        },
    )
    .await;
}

/// Asks until the answer is known; without a key only once, since a repeat would be a new intent.
pub(super) async fn until_known(
    shared: &Shared,
    request: &Request,
    gateway: usize,
) -> Option<String> {
    let attempts = if request.key.is_some() { ATTEMPTS_MAX } else { 1 };
    for number in 0..attempts {
        // A retry goes to the other gateway: that is what clients behind a balancer get.
        let gateway = if number % 2 == 0 { gateway } else { shared.other_gateway(gateway) };
        match attempt(shared, request, gateway).await {
            Told::Done(intent) => return Some(intent),
            Told::Refused { .. } => return None,
            Told::Unknown { .. } => tokio::time::sleep(PAUSE * (1 << number.min(4))).await,
        }
    }
    None
}

pub(super) async fn attempt(shared: &Shared, request: &Request, gateway: usize) -> Told<String> {
    let client = &shared.orgs[request.org].client;
    let start = shared.oracle.now();
    let key = request.key.as_deref();
    let told = match request.kind {
        Kind::Scenario => client.apply(gateway, key, &request.body).await,
        Kind::Work
        | Kind::Deadline
        | Kind::Task
        | Kind::Chain
        | Kind::FanIn
        | Kind::Hoard
        | Kind::Push => client.submit(gateway, key, &request.body).await,
    };
    record(shared, request, gateway, start, told.clone());
    told
}

/// Remembers what came of an attempt that began at `start`.
pub(super) fn record(
    shared: &Shared,
    request: &Request,
    gateway: usize,
    start: u64,
    told: Told<String>,
) {
    shared.oracle.submit(Submit {
        span: shared.oracle.since(start),
        gateway,
        org: request.org,
        kind: request.kind,
        steps: request.steps,
        correlation_id: request.correlation_id.clone(),
        to_agent: request.to_agent.clone(),
        key: request.key.clone(),
        mutated: request.mutated,
        told,
    });
}

/// Looks at an intent and records what was seen.
pub(super) async fn read(
    shared: &Shared,
    org: usize,
    intent: &str,
    gateway: usize,
) -> Option<Value> {
    let start = shared.oracle.now();
    let told = shared.orgs[org].client.intent(gateway, intent).await;
    let value = told.done().cloned();
    let told = match told {
        Told::Done(value) => match value.get("status").and_then(Value::as_str) {
            Some(status) => Told::Done(status.to_owned()),
            None => Told::Unknown { why: "an intent without a status".to_owned() },
        },
        Told::Refused { status, code } => Told::Refused { status, code },
        Told::Unknown { why } => Told::Unknown { why },
    };
    let span = shared.oracle.since(start);
    shared.oracle.read(Read { span, gateway, visit: false, intent: intent.to_owned(), told });
    value
}
