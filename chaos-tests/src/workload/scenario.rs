//! A scenario: a chain of steps, each an intent of its own for some agent, with waits in between.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::submit::{self, Request};
use super::{Begun, Shared, finish, watch};
use crate::client::SCENARIO_TYPE;
use crate::history::{Due, Kind, Timer};

const STEPS_MAX: usize = 4;
/// Longer than all waits of a scenario and a failover.
const WAITED_FOR: Duration = Duration::from_secs(20);

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let mut request =
        Request::new(&shared, org, Some(shared.key(number)), String::new(), &mut rng, json!({}));
    request.kind = Kind::Scenario;
    // Either of agents, whose steps cross shards and take what they take, or of waits.
    let waits = rng.random_bool(0.3);
    let count = rng.random_range(1..=if waits { 2 } else { STEPS_MAX });
    let seconds: Vec<u32> = (0..count).map(|_| rng.random_range(1..=4)).collect();
    let steps: Vec<Value> = seconds
        .iter()
        .enumerate()
        .map(|(place, seconds)| {
            let name = format!("step-{place}");
            if waits {
                let config = json!({"seconds": seconds});
                json!({"step_id": name, "tool_id": "tool.internal.delay", "runtime_config": config})
            } else {
                let agent = shared.orgs[org].any_agent(&mut rng);
                json!({"step_id": name, "tool_id": "tool.agent.task.v1", "assigned_to": agent})
            }
        })
        .collect();
    let secret = &shared.orgs[org].canary.secret;
    request.body = json!({
        "scenario_id": SCENARIO_TYPE,
        "workflow": {"steps": steps},
        "intent": {
            "type": SCENARIO_TYPE,
            "payload": {"number": number, "canary": secret, "body": request.correlation_id},
        },
    });
    request.steps = if waits { 0 } else { count };
    let told = submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
    let Some(intent) = told else { return };
    if waits {
        let due = Due::Delays { seconds };
        shared.oracle.timer(Timer { intent: intent.clone(), due });
    }
    let owner = async {
        shared.until_draining().await;
        // Clocks that jumped may have put a wait far off.
        tokio::time::sleep(WAITED_FOR).await;
        finish::as_owner(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 1)).await;
    };
    tokio::select! {
        () = watch::until_ended(&shared, org, &intent, rng) => {}
        () = owner, if waits => {}
    }
}
