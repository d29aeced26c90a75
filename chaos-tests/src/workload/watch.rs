//! A watcher that follows one intent to its end, on whatever gateway it gets.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::Shared;
use crate::history::Watch;

/// Readers that are slow take nothing from their connection for so long.
pub(super) const UNREAD_MS: std::ops::Range<u64> = 500..4_000;
const PAUSE_AFTER_PROBLEM: Duration = Duration::from_millis(100);

/// Resumes with the last seq it saw until it has seen the end, or the workload stops.
pub(super) async fn until_ended(shared: &Shared, org: usize, intent: &str, mut rng: StdRng) {
    let mut since = 0;
    while !shared.is_stopping() {
        let gateway = shared.any_gateway(&mut rng);
        let wait = rng.random_range(1..=3);
        let slow = rng.random_bool(shared.mix.slow_reads);
        let unread_ms = if slow { rng.random_range(UNREAD_MS) } else { 0 };
        let how = (wait, Duration::from_millis(unread_ms));
        let start = shared.oracle.now();
        let watched = shared.orgs[org].client.watch(gateway, intent, since, how).await;
        shared.oracle.watch(Watch {
            span: shared.oracle.since(start),
            gateway,
            intent: intent.to_owned(),
            since,
            unread_ms,
            events: watched.events.clone(),
        });
        since = watched.events.last().map_or(since, |event| event.seq);
        if watched.ended {
            return;
        }
        if watched.problem.is_some() {
            tokio::time::sleep(PAUSE_AFTER_PROBLEM).await;
        }
    }
}
