//! Many senders at the same moment to one agent, which takes its mailbox as one sequence without gaps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::submit::{self, Request};
use super::{Begun, Shared, finish};
use crate::history::{Kind, Listen};

const SENDERS: usize = 8;
const WAIT_SECONDS: u64 = 2;
const PARALLEL: usize = 8;
const PAUSE_AFTER_PROBLEM: Duration = Duration::from_millis(100);

/// A burst.
pub(super) async fn one(shared: Arc<Shared>, number: u64, seed: u64, begun: Begun) {
    let mut rng = StdRng::seed_from_u64(seed);
    let org = shared.any_org(&mut rng);
    let requests: Vec<Request> = (0..SENDERS)
        .map(|sender| {
            let key = format!("{}-{sender}", shared.key(number));
            let to_agent = shared.orgs[org].sink.clone();
            let payload = json!({"number": number, "sender": sender});
            let mut request = Request::new(&shared, org, Some(key), to_agent, &mut rng, payload);
            request.kind = Kind::FanIn;
            request
        })
        .collect();
    let sent = requests
        .iter()
        .enumerate()
        .map(|(sender, request)| submit::until_known(&shared, request, sender % shared.gateways));
    futures_util::future::join_all(sent).await;
    drop(begun);
}

/// Takes the mailbox in its order until the workload stops. It ends only what it has seen, and nobody
/// else ends it, so every cursor is seen.
pub(super) async fn sink(shared: Arc<Shared>, org: usize, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let agent = shared.orgs[org].sink.clone();
    let (mut cursor, mut done) = (0, BTreeSet::new());
    while !shared.is_stopping() {
        let gateway = shared.any_gateway(&mut rng);
        let start = shared.oracle.now();
        let client = &shared.orgs[org].client;
        let listened = client.listen(gateway, &agent, cursor, (WAIT_SECONDS, Duration::ZERO)).await;
        let deliveries = listened.deliveries.clone();
        shared.oracle.listen(Listen {
            span: shared.oracle.since(start),
            gateway,
            agent: agent.clone(),
            since: cursor,
            unread_ms: 0,
            deliveries: listened.deliveries,
        });
        if listened.problem.is_some() {
            tokio::time::sleep(PAUSE_AFTER_PROBLEM).await;
        }
        let todo: Vec<String> = deliveries
            .iter()
            .filter(|delivery| !done.contains(&delivery.intent))
            .map(|delivery| delivery.intent.clone())
            .collect();
        let ended: Vec<String> =
            futures_util::stream::iter(todo)
                .map(|intent| {
                    let mut rng = StdRng::seed_from_u64(rng.random());
                    let shared = &shared;
                    async move {
                        finish::as_agent(shared, org, &intent, &mut rng).await.then_some(intent)
                    }
                })
                .buffer_unordered(PARALLEL)
                .filter_map(std::future::ready)
                .collect()
                .await;
        done.extend(ended);
        // What is not known to have ended is asked for again.
        for delivery in &deliveries {
            if !done.contains(&delivery.intent) {
                break;
            }
            cursor = cursor.max(delivery.cursor);
        }
    }
}
