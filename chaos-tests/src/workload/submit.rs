//! One submit as a careful client makes it: the same key until the answer is known.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::{Shared, finish, watch};
use crate::history::{Read, Submit, Told};

/// With a key it is safe to ask again; a client gives up after this many attempts.
const ATTEMPTS_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);

struct Request {
    key: Option<String>,
    correlation_id: String,
    to_agent: String,
    body: Value,
    mutated: bool,
}

impl Request {
    fn new(shared: &Shared, number: u64, rng: &mut StdRng) -> Self {
        let to_agent = shared.agents[rng.random_range(0..shared.agents.len())].clone();
        let keyed = rng.random_bool(shared.mix.keyed);
        let key = keyed.then(|| format!("chaos-{}-{number}", shared.run));
        let text_bytes = *[16, 200, 1000, 8000].get(rng.random_range(0..4)).unwrap_or(&16);
        Self::with_body(
            key,
            to_agent,
            rng,
            &json!({"number": number, "text": "x".repeat(text_bytes)}),
        )
    }

    fn with_body(key: Option<String>, to_agent: String, rng: &mut StdRng, payload: &Value) -> Self {
        let correlation_id = uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string();
        let body = json!({
            "intent_type": "chaos.work.v1",
            "correlation_id": correlation_id,
            "to_agent": to_agent,
            "payload": payload,
        });
        Self { key, correlation_id, to_agent, body, mutated: false }
    }

    /// The same key with another body.
    fn mutated(&self, rng: &mut StdRng) -> Self {
        let payload = json!({"mutated": true});
        let other = Self::with_body(self.key.clone(), self.to_agent.clone(), rng, &payload);
        Self { mutated: true, ..other }
    }
}

/// Submits one intent and does what clients do with it afterwards.
pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let request = Request::new(&shared, number, &mut rng);
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
    shared.submitting.fetch_sub(1, Ordering::Relaxed);
    let Some(intent) = told else { return };

    if request.key.is_some() && rng.random_bool(shared.mix.mutated) {
        attempt(&shared, &request.mutated(&mut rng), other).await;
    }
    if rng.random_bool(shared.mix.read) {
        read(&shared, &intent, other).await;
    }
    let raced = rng.random_bool(shared.mix.raced);
    let watched = rng.random_bool(shared.mix.watched);
    futures_util::future::join(
        async {
            if raced {
                finish::as_owner(&shared, &intent, StdRng::seed_from_u64(seed ^ 1)).await;
            }
        },
        async {
            if watched {
                watch::until_ended(&shared, &intent, StdRng::seed_from_u64(seed ^ 2)).await;
            }
        },
    )
    .await;
}

/// Asks until the answer is known; without a key only once, since a repeat would be a new intent.
async fn until_known(shared: &Shared, request: &Request, gateway: usize) -> Option<String> {
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

async fn attempt(shared: &Shared, request: &Request, gateway: usize) -> Told<String> {
    let start = shared.oracle.now();
    let told = shared.client.submit(gateway, request.key.as_deref(), &request.body).await;
    shared.oracle.submit(Submit {
        span: shared.oracle.since(start),
        gateway,
        correlation_id: request.correlation_id.clone(),
        to_agent: request.to_agent.clone(),
        key: request.key.clone(),
        mutated: request.mutated,
        told: told.clone(),
    });
    told
}

/// Looks at an intent and records what was seen.
pub(super) async fn read(shared: &Shared, intent: &str, gateway: usize) -> Option<Value> {
    let start = shared.oracle.now();
    let told = shared.client.intent(gateway, intent).await;
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
    shared.oracle.read(Read { span, gateway, intent: intent.to_owned(), told });
    value
}
