//! Intents that are pushed to their agent's callback, which is anything but reliable.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::hash::stable_hash;
use futures_util::{StreamExt as _, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::mpsc;

use super::submit::{self, Request};
use super::{Begun, Shared, finish, watch};
use crate::history::Kind;

/// Where somebody gives up, so that some do.
const FEW_ATTEMPTS: u32 = 2;
const ATTEMPTS: u32 = 12;
/// Longer than all retries and a failover.
const WAITED_FOR: Duration = Duration::from_secs(20);
/// Intents worked on at once.
const PARALLEL: usize = 32;

/// An intent that the receiver took.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) org: usize,
    pub(super) intent: String,
    pub(super) attempt: u32,
}

/// An agent that is pushed to.
#[derive(Debug)]
pub(crate) struct PushAgent {
    pub(crate) address: String,
    pub(crate) secret: String,
}

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let Some(agent) = &shared.orgs[org].pushed else { return };
    let (key, to_agent) = (Some(shared.key(number)), agent.address.clone());
    let payload = json!({"number": number});
    let mut request = Request::new(&shared, org, key, to_agent, &mut rng, payload);
    let attempts_max = if rng.random_bool(0.2) { FEW_ATTEMPTS } else { ATTEMPTS };
    request.kind = Kind::Push;
    request.steps = attempts_max as usize;
    request.body["max_delivery_attempts"] = json!(attempts_max);
    let told = submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
    let Some(intent) = told else { return };
    let owner = async {
        shared.until_draining().await;
        // A retry that was planned by a clock that had jumped may be far off.
        tokio::time::sleep(WAITED_FOR).await;
        finish::as_owner(&shared, org, &intent, StdRng::seed_from_u64(seed ^ 1)).await;
    };
    tokio::select! {
        () = watch::until_ended(&shared, org, &intent, rng) => {}
        () = owner => {}
    }
}

/// Works on what the receiver took, each until its end is known.
pub(super) async fn work_off(shared: &Shared, taken: mpsc::Receiver<Taken>) {
    let taken = stream::unfold(taken, |mut taken| async { Some((taken.recv().await?, taken)) });
    let work = taken.for_each_concurrent(PARALLEL, |Taken { org, intent, attempt }| async move {
        let seed = stable_hash(&[intent.as_bytes(), &attempt.to_be_bytes()]);
        let mut rng = StdRng::seed_from_u64(seed);
        while !finish::as_agent(shared, org, &intent, &mut rng).await && !shared.is_stopping() {}
    });
    work.await;
}
