//! Chains: whoever works on a link submits the next one, to some agent on some shard, before it ends its
//! own. The key and the body of the next link follow from this one, so that an agent that crashed, or
//! two that work on one link, still make one.

use axp_proto::hash::stable_hash;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::submit::{self, Request};
use super::{Begun, Shared};
use crate::history::{Kind, next_key};

const LINKS_MAX: u64 = 5;

/// Begins a chain.
pub(super) async fn one(shared: std::sync::Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let left = seed % LINKS_MAX + 1;
    let request = link(&shared, org, shared.key(number), left, &mut rng);
    submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
}

/// Submits the next link if there is one to be. Returns whether that is done.
pub(super) async fn forward(shared: &Shared, org: usize, intent: &str, value: &Value) -> bool {
    let left = value.pointer("/payload/left").and_then(Value::as_u64).unwrap_or_default();
    if left == 0 {
        return true;
    }
    let mut rng = StdRng::seed_from_u64(stable_hash(&[intent.as_bytes()]));
    let request = link(shared, org, next_key(intent), left - 1, &mut rng);
    submit::until_known(shared, &request, shared.any_gateway(&mut rng)).await.is_some()
}

fn link(shared: &Shared, org: usize, key: String, left: u64, rng: &mut StdRng) -> Request {
    let to_agent = shared.orgs[org].any_agent(rng);
    let mut request = Request::new(shared, org, Some(key), to_agent, rng, json!({"left": left}));
    request.kind = Kind::Chain;
    request.steps = usize::try_from(left).unwrap_or(usize::MAX);
    request
}
