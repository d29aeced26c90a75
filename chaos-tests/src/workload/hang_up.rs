//! A client that hangs up in the middle of a request, or before its answer, and asks again later with
//! the same key through any gateway: what it did not wait for may have happened, and happens once.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::submit::{self, Request};
use super::{Begun, Shared};

const HANG_UPS_MAX: u32 = 3;
/// About as long as an answer takes.
const PATIENCE_MS_MAX: u64 = 30;
const LATER_MS_MAX: u64 = 2_000;

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let (key, to_agent) = (shared.key(number), shared.orgs[org].any_agent(&mut rng));
    let payload = json!({"number": number, "text": "x".repeat(2_000)});
    let request = Request::new(&shared, org, Some(key.clone()), to_agent, &mut rng, payload);
    for _ in 0..rng.random_range(1..=HANG_UPS_MAX) {
        let gateway = shared.any_gateway(&mut rng);
        let waits = rng.random_bool(0.7);
        let patience = Duration::from_millis(rng.random_range(0..=PATIENCE_MS_MAX));
        let start = shared.oracle.now();
        let client = &shared.orgs[org].client;
        let patience = waits.then_some(patience);
        let told = client.submit_and_hang_up(gateway, &key, &request.body, patience).await;
        submit::record(&shared, &request, gateway, start, told);
    }
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..LATER_MS_MAX))).await;
    submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
}
