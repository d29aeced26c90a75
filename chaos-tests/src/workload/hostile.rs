//! A client that tries to get at what other organizations have.
//!
//! Whatever it asks, it asks twice: with a foreign id and with one that nobody has. Both must be
//! answered alike. It also uses foreign idempotency keys: they have to be its own, as if the others
//! had none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::submit::{self, Request};
use super::{Begun, Shared};
use crate::history::{Probe, Told};

/// What stands for an id in paths and recorded answers.
const ID: &str = "ID";
/// How often a foreign idempotency key is tried in the place of an id.
const KEYS: f64 = 0.1;

/// What an id names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Intent,
    /// An address without its scheme.
    Address,
}

const PROBES: &[(Named, &str, &str)] = &[
    (Named::Intent, "GET", "/v1/intents/ID"),
    (Named::Intent, "GET", "/v1/intents/ID/events?since=0"),
    (Named::Intent, "GET", "/v1/intents/ID/events/stream?since=0&wait_seconds=1"),
    (Named::Intent, "POST", "/v1/intents/ID/resolve"),
    (Named::Intent, "POST", "/v1/intents/ID/resume"),
    (Named::Intent, "POST", "/v1/intents/ID/controls"),
    (Named::Intent, "POST", "/v1/intents/ID/policy"),
    (Named::Intent, "POST", "/v1/intents/ID/redeliver"),
    (Named::Intent, "GET", "/v1/inbox/ID"),
    (Named::Intent, "POST", "/v1/inbox/ID/approve"),
    (Named::Intent, "POST", "/v1/inbox/ID/reply"),
    (Named::Intent, "GET", "/v1/inbox/changes?cursor=ID"),
    (Named::Intent, "GET", "/v1/webhooks/events/ID"),
    (Named::Intent, "GET", "/v1/media/ID"),
    (Named::Address, "GET", "/v1/agents/ID"),
    (Named::Address, "GET", "/v1/agents/ID/intents/stream?since=0&wait_seconds=1"),
    (Named::Address, "GET", "/v1/agents/ID/policy"),
    (Named::Address, "GET", "/v1/intents?limit=1000&to_agent=agent://ID"),
    (Named::Address, "GET", "/v1/intents?limit=1000&from_agent=agent://ID"),
    (Named::Address, "GET", "/v1/intents?status=pending&to_agent=agent://ID"),
    (Named::Address, "GET", "/v1/inbox?owner_agent=agent://ID"),
    (Named::Address, "GET", "/v1/inbox/changes?owner_agent=agent://ID"),
    (Named::Address, "POST", "/v1/intents"),
];

/// Tries until the workload stops.
pub(super) async fn run(shared: Arc<Shared>, org: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    if shared.orgs.len() < 2 || shared.mix.probes <= 0.0 {
        return;
    }
    // Each only once: with another body it would be refused for good reason.
    let mut used = BTreeSet::new();
    while !shared.is_stopping() {
        let of = (org + rng.random_range(1..shared.orgs.len())) % shared.orgs.len();
        let pause = rng.random_range(0.0..2.0 / shared.mix.probes);
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
        let Some(known) = shared.orgs[of].any_known(&mut rng) else { continue };
        match known.key {
            Some(key) if rng.random_bool(KEYS) && used.insert(key.clone()) => {
                // Counted before it looks whether the run ends: what it makes is waited for.
                let begun = Begun::new(shared.clone());
                if !*shared.draining.borrow() {
                    use_key(&shared, org, key, &mut rng).await;
                }
                drop(begun);
            }
            _ => probe(&shared, org, of, &known.intent, &mut rng).await,
        }
    }
}

/// A key of another organization, with a body of our own: it makes an intent of our own.
async fn use_key(shared: &Shared, org: usize, key: String, rng: &mut StdRng) {
    let to_agent = shared.orgs[org].any_agent(rng);
    let payload = json!({"hostile": true});
    let request = Request::new(shared, org, Some(key), to_agent, rng, payload);
    submit::until_known(shared, &request, shared.any_gateway(rng)).await;
}

async fn probe(shared: &Shared, org: usize, of: usize, intent: &str, rng: &mut StdRng) {
    let Some(&(named, method, path)) = PROBES.choose(rng) else { return };
    let gateway = shared.any_gateway(rng);
    let (foreign, unknown) = match named {
        Named::Intent => (intent.to_owned(), unknown_like(intent, rng)),
        Named::Address => {
            let address = shared.orgs[of].any_agent(rng);
            let address = address.trim_start_matches("agent://").to_owned();
            let nobody = format!("{address}-nobody-{:08x}", rng.random::<u32>());
            (address, nobody)
        }
    };
    let start = shared.oracle.now();
    let foreign = ask(shared, org, gateway, (method, path), &foreign).await;
    let unknown = ask(shared, org, gateway, (method, path), &unknown).await;
    shared.oracle.probe(Probe {
        span: shared.oracle.since(start),
        gateway,
        org,
        of,
        what: format!("{method} {path}"),
        foreign,
        unknown,
    });
}

/// An id of the same form, and of the same shard.
fn unknown_like(intent: &str, rng: &mut StdRng) -> String {
    let at = intent.len().saturating_sub(12);
    format!("{}{:012x}", &intent[..at], rng.random::<u64>() >> 16)
}

async fn ask(
    shared: &Shared,
    org: usize,
    gateway: usize,
    (method, path): (&str, &str),
    id: &str,
) -> Told<String> {
    let body = (method == "POST").then(|| body(path, id));
    let method = if method == "POST" { Method::POST } else { Method::GET };
    let path = path.replace(ID, id);
    match shared.orgs[org].client.ask(gateway, method, &path, body.as_ref()).await {
        Ok((status, _)) if status >= 500 || status == 429 || status == 408 => {
            Told::Unknown { why: format!("status {status}") }
        }
        Ok((status, answer)) => Told::Done(digest(status, &answer, id)),
        Err(why) => Told::Unknown { why },
    }
}

fn body(path: &str, id: &str) -> Value {
    let end = path.rsplit('/').next().unwrap_or_default();
    match end {
        "resolve" => json!({"status": "FAILED", "error": {"message": "hostile"}}),
        "resume" => json!({"action": "complete", "hostile": true}),
        "controls" => json!({"controls_patch": {"timeout_seconds": 1}}),
        "policy" => json!({"grants_patch": {"*": {"allow": ["resume"]}}}),
        "reply" => json!({"message": "hostile"}),
        "intents" => {
            json!({"intent_type": "chaos.hostile.v1", "to_agent": format!("agent://{id}")})
        }
        _ => json!({}),
    }
}

/// What an answer says but for the id that was asked for.
fn digest(status: u16, answer: &[u8], id: &str) -> String {
    let text = String::from_utf8_lossy(answer).replace(id, ID);
    format!("{status} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_id_looks_like_the_foreign_one() {
        let mut rng = StdRng::seed_from_u64(1);
        let intent = "0198c0de-7abc-8def-9012-3456789abcde";
        let unknown = unknown_like(intent, &mut rng);
        assert_eq!((unknown.len(), &unknown[..24]), (intent.len(), &intent[..24]));
        assert_ne!(unknown, intent);
    }

    #[test]
    fn an_answer_is_compared_without_its_id() {
        assert_eq!(digest(404, b"no intent abc", "abc"), digest(404, b"no intent xyz", "xyz"));
        assert_ne!(digest(404, b"", "abc"), digest(403, b"", "abc"));
    }
}
