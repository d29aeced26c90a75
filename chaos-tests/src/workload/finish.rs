//! Ends an intent, as its agent or as its owner, whoever comes first.
//!
//! Every finisher signs its result with a marker. After an unknown answer it asks again with the
//! same marker: a refusal then may mean that its own first attempt won, and the log tells.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Shared, chain, submit};
use crate::history::{Finish, MARKER, Route};

const ATTEMPTS_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// Owners strike within this time after the submit, so that some come before the agent.
const OWNER_DELAY_MS_MAX: u64 = 60;

/// The owner ends what an agent may be working on.
pub(super) async fn as_owner(shared: &Shared, org: usize, intent: &str, mut rng: StdRng) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..OWNER_DELAY_MS_MAX))).await;
    let marker = format!("owner-{:016x}", rng.random::<u64>());
    let secret = &shared.orgs[org].canary.secret;
    let body = if rng.random_bool(0.5) {
        json!({"status": "COMPLETED", "result": {MARKER: &marker, "canary": secret}})
    } else {
        json!({"status": "FAILED", "error": {"message": "the owner gave up", MARKER: &marker}})
    };
    let finisher = Finisher { route: Route::Resolve, marker, body };
    let gateway = shared.any_gateway(&mut rng);
    until_known(shared, org, intent, &finisher, gateway).await;
}

/// A person answers the task of an intent.
pub(super) async fn as_decider(
    shared: &Shared,
    org: usize,
    intent: &str,
    gateway: usize,
    mut rng: StdRng,
) {
    let marker = format!("person-{:016x}", rng.random::<u64>());
    let outcome = if rng.random_bool(0.5) { "approved" } else { "rejected" };
    let secret = &shared.orgs[org].canary.secret;
    let body = json!({"task_result": {"outcome": outcome, MARKER: &marker, "comment": secret}});
    let finisher = Finisher { route: Route::Decide, marker, body };
    until_known(shared, org, intent, &finisher, gateway).await;
}

/// The agent looks at its work and ends it. Returns whether the end is known.
pub(super) async fn as_agent(shared: &Shared, org: usize, intent: &str, rng: &mut StdRng) -> bool {
    let gateway = shared.any_gateway(rng);
    // Whoever cannot see its work does not do it, and gets it again.
    let Some(value) = submit::read(shared, org, intent, gateway).await else { return false };
    if !chain::forward(shared, org, intent, &value).await {
        return false;
    }
    let marker = format!("agent-{:016x}", rng.random::<u64>());
    let secret = &shared.orgs[org].canary.secret;
    let body = json!({"action": "complete", "passed": true, MARKER: &marker, "canary": secret});
    let finisher = Finisher { route: Route::Resume, marker, body };
    until_known(shared, org, intent, &finisher, shared.any_gateway(rng)).await
}

/// Who ends an intent, and how.
struct Finisher {
    route: Route,
    marker: String,
    body: Value,
}

/// Returns whether the end is known. A retry goes to the other gateway.
async fn until_known(
    shared: &Shared,
    org: usize,
    intent: &str,
    finisher: &Finisher,
    gateway: usize,
) -> bool {
    let client = &shared.orgs[org].client;
    let mut gateway = gateway;
    for number in 0..ATTEMPTS_MAX {
        let start = shared.oracle.now();
        let told = match finisher.route {
            Route::Resolve => client.resolve(gateway, intent, &finisher.body).await,
            Route::Resume | Route::Decide => client.resume(gateway, intent, &finisher.body).await,
        };
        let known = !told.is_unknown();
        shared.oracle.finish(Finish {
            span: shared.oracle.since(start),
            gateway,
            intent: intent.to_owned(),
            route: finisher.route,
            marker: finisher.marker.clone(),
            told,
        });
        if known {
            return true;
        }
        gateway = shared.other_gateway(gateway);
        tokio::time::sleep(PAUSE * (1 << number.min(4))).await;
    }
    false
}
