//! A task for a person: two people answer it at the same moment through different gateways.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::submit::{self, Request};
use super::{Begun, Shared, finish};
use crate::history::{Due, Kind, Timer};

/// Nobody listens there: the task is all that there is to do.
const TO: &str = "agent_core";
/// People think so long, in which they are reminded.
const THINKING_MS_MAX: u64 = 5_000;
/// Share of tasks that two decide at once.
const RACED: f64 = 0.7;

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let key = Some(shared.key(number));
    let payload = json!({"number": number});
    let mut request = Request::new(&shared, org, key, TO.to_owned(), &mut rng, payload);
    request.kind = Kind::Task;
    let secret = &shared.orgs[org].canary.secret;
    request.body["human_task"] =
        json!({"title": format!("May it? {secret}"), "task_type": "approval"});
    let (after, interval, most) = (1, rng.random_range(1..=2), rng.random_range(1..=3));
    request.body["remind_after_seconds"] = json!(after);
    request.body["remind_interval_seconds"] = json!(interval);
    request.body["max_reminders"] = json!(most);
    let told = submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
    let Some(intent) = told else { return };
    let due = Due::Reminders { after, interval, most };
    shared.oracle.timer(Timer { intent: intent.clone(), due });

    let thinking = Duration::from_millis(rng.random_range(0..THINKING_MS_MAX));
    tokio::select! {
        () = tokio::time::sleep(thinking) => {}
        () = shared.until_draining() => {}
    }
    let gateway = shared.any_gateway(&mut rng);
    let first = finish::as_decider(&shared, org, &intent, gateway, StdRng::seed_from_u64(seed ^ 1));
    if rng.random_bool(RACED) {
        let other = shared.other_gateway(gateway);
        let second = StdRng::seed_from_u64(seed ^ 2);
        let second = finish::as_decider(&shared, org, &intent, other, second);
        futures_util::future::join(first, second).await;
    } else {
        first.await;
    }
}
