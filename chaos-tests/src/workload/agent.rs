//! An agent that listens, works, crashes, and comes back with an old cursor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Shared, finish};
use crate::history::{Delivery, Listen};

const WAIT_SECONDS: u64 = 2;
/// Intents worked on at once.
const PARALLEL: usize = 16;
const PAUSE_AFTER_PROBLEM: Duration = Duration::from_millis(100);

/// What an agent knows; a crash takes it.
#[derive(Debug, Default)]
struct Memory {
    cursor: u32,
    done: BTreeSet<String>,
}

/// Works until the workload stops.
pub(super) async fn run(shared: Arc<Shared>, org: usize, index: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let client = &shared.orgs[org].client;
    let agent = shared.orgs[org].agents[index].clone();
    let mut memory = Memory::default();
    while !shared.is_stopping() {
        let gateway = shared.any_gateway(&mut rng);
        let start = shared.oracle.now();
        let listened =
            client.listen(gateway, &agent, memory.cursor, (WAIT_SECONDS, Duration::ZERO)).await;
        let deliveries = listened.deliveries.clone();
        shared.oracle.listen(Listen {
            span: shared.oracle.since(start),
            gateway,
            agent: agent.clone(),
            since: memory.cursor,
            unread_ms: 0,
            deliveries: listened.deliveries,
        });
        if listened.problem.is_some() {
            tokio::time::sleep(PAUSE_AFTER_PROBLEM).await;
        }
        work(&shared, org, &mut memory, deliveries, &mut rng).await;
        if rng.random_bool(shared.mix.agent_crash) {
            // A fresh process may know an old cursor, or nothing.
            let cursor = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..=memory.cursor) };
            memory = Memory { cursor, done: BTreeSet::new() };
        }
    }
}

/// Works on a batch. The cursor moves on to where everything before it is done.
async fn work(
    shared: &Shared,
    org: usize,
    memory: &mut Memory,
    batch: Vec<Delivery>,
    rng: &mut StdRng,
) {
    let todo: Vec<Delivery> =
        batch.iter().filter(|delivery| !memory.done.contains(&delivery.intent)).cloned().collect();
    let done: Vec<String> = futures_util::stream::iter(todo)
        .map(|delivery| {
            let mut rng = StdRng::seed_from_u64(rng.random());
            async move {
                let known = finish::as_agent(shared, org, &delivery.intent, &mut rng).await;
                known.then_some(delivery.intent)
            }
        })
        .buffer_unordered(PARALLEL)
        .filter_map(std::future::ready)
        .collect()
        .await;
    memory.done.extend(done);
    for delivery in batch {
        if !memory.done.contains(&delivery.intent) {
            break;
        }
        memory.cursor = memory.cursor.max(delivery.cursor);
    }
}
