//! Large intents, and an agent that leaves its stream unread for seconds while they gather.
//!
//! The agent ends only what it has read, and nobody else ends it, so whatever gathers in its mailbox has
//! to come in the end, each in its place: a stream that was dropped for being slow goes on from the
//! last cursor without a gap.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::submit::{self, Request};
use super::{Begun, Shared, finish, watch};
use crate::history::{Kind, Listen};

const TEXT_BYTES: usize = 30_000;
/// So many gather before the agent works on them.
const GATHERED: usize = 24;
/// How often it has forgotten where it was and reads all of them again.
const FORGETS: f64 = 0.2;
const WAIT_SECONDS: u64 = 2;
const PARALLEL: usize = 4;
const PAUSE_AFTER_PROBLEM: Duration = Duration::from_millis(100);

pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let (key, to_agent) = (Some(shared.key(number)), shared.orgs[org].hoard.clone());
    let payload = json!({"number": number, "text": "x".repeat(TEXT_BYTES)});
    let mut request = Request::new(&shared, org, key, to_agent, &mut rng, payload);
    request.kind = Kind::Hoard;
    submit::until_known(&shared, &request, shared.any_gateway(&mut rng)).await;
    drop(begun);
}

/// Reads slowly until the workload stops.
pub(super) async fn slow_agent(shared: Arc<Shared>, org: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    if shared.mix.hoarded <= 0.0 {
        return;
    }
    let (mut cursor, mut waiting) = (0, BTreeSet::new());
    while !shared.is_stopping() {
        if rng.random_bool(FORGETS) {
            cursor = 0;
        }
        // What it has ended already is not brought again.
        waiting.extend(read(&shared, org, &mut cursor, &mut rng).await);
        if waiting.len() >= GATHERED || *shared.draining.borrow() {
            let ended = end(&shared, org, &waiting, &mut rng).await;
            waiting.retain(|intent| !ended.contains(intent));
        }
    }
}

/// One connection.
async fn read(shared: &Shared, org: usize, cursor: &mut u32, rng: &mut StdRng) -> Vec<String> {
    let (gateway, agent) = (shared.any_gateway(rng), &shared.orgs[org].hoard);
    let unread_ms = match *shared.draining.borrow() {
        true => 0,
        false => rng.random_range(watch::UNREAD_MS),
    };
    let how = (WAIT_SECONDS, Duration::from_millis(unread_ms));
    let start = shared.oracle.now();
    let listened = shared.orgs[org].client.listen(gateway, agent, *cursor, how).await;
    let deliveries = listened.deliveries.clone();
    shared.oracle.listen(Listen {
        span: shared.oracle.since(start),
        gateway,
        agent: agent.clone(),
        since: *cursor,
        unread_ms,
        deliveries: listened.deliveries,
    });
    if listened.problem.is_some() {
        tokio::time::sleep(PAUSE_AFTER_PROBLEM).await;
    }
    *cursor = deliveries.last().map_or(*cursor, |last| last.cursor);
    deliveries.into_iter().map(|delivery| delivery.intent).collect()
}

/// Works on all of them; those that are known to have ended.
async fn end(
    shared: &Shared,
    org: usize,
    waiting: &BTreeSet<String>,
    rng: &mut StdRng,
) -> BTreeSet<String> {
    futures_util::stream::iter(waiting.clone())
        .map(|intent| {
            let mut rng = StdRng::seed_from_u64(rng.random());
            async move { finish::as_agent(shared, org, &intent, &mut rng).await.then_some(intent) }
        })
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await
}
