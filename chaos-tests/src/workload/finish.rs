//! Ends an intent, as its agent or as its owner, whoever comes first.
//!
//! Every finisher signs its result with a marker. After an unknown answer it asks again with the
//! same marker: a refusal then may mean that its own first attempt won, and the log tells.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::{Shared, submit};
use crate::history::{Finish, MARKER, Route};

const ATTEMPTS_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// Owners strike within this time after the submit, so that some come before the agent.
const OWNER_DELAY_MS_MAX: u64 = 60;

/// The owner ends what an agent may be working on.
pub(super) async fn as_owner(shared: &Shared, intent: &str, mut rng: StdRng) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(0..OWNER_DELAY_MS_MAX))).await;
    let marker = format!("owner-{:016x}", rng.random::<u64>());
    let body = if rng.random_bool(0.5) {
        json!({"status": "COMPLETED", "result": {MARKER: &marker}})
    } else {
        json!({"status": "FAILED", "error": {"message": "the owner gave up", MARKER: &marker}})
    };
    until_known(shared, intent, Route::Resolve, &marker, &body, &mut rng).await;
}

/// The agent looks at its work and ends it. Returns whether the end is known.
pub(super) async fn as_agent(shared: &Shared, intent: &str, rng: &mut StdRng) -> bool {
    let gateway = shared.any_gateway(rng);
    submit::read(shared, intent, gateway).await;
    let marker = format!("agent-{:016x}", rng.random::<u64>());
    let body = json!({"action": "complete", "passed": true, MARKER: &marker});
    until_known(shared, intent, Route::Resume, &marker, &body, rng).await
}

async fn until_known(
    shared: &Shared,
    intent: &str,
    route: Route,
    marker: &str,
    body: &Value,
    rng: &mut StdRng,
) -> bool {
    for number in 0..ATTEMPTS_MAX {
        let gateway = shared.any_gateway(rng);
        let start = shared.oracle.now();
        let told = match route {
            Route::Resolve => shared.client.resolve(gateway, intent, body).await,
            Route::Resume => shared.client.resume(gateway, intent, body).await,
        };
        let known = !told.is_unknown();
        shared.oracle.finish(Finish {
            span: shared.oracle.since(start),
            gateway,
            intent: intent.to_owned(),
            route,
            marker: marker.to_owned(),
            told,
        });
        if known {
            return true;
        }
        tokio::time::sleep(PAUSE * (1 << number.min(4))).await;
    }
    false
}
