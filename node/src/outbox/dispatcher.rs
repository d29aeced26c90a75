//! One loop per led shard: effects go to their target groups, one batch at a time and in order for
//! each target, at least once. The target drops repeats by their numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::log::append::Kind;
use axp_proto::log::{Append, OutboxDone};
use axp_proto::node::DeliverRequest;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rand::RngExt;

use super::courier::{Courier, CourierError};
use crate::shard::handle::Shard;
use crate::shard::metrics as names;
use crate::shard::proposer::Proposer;

/// Effects in one batch.
const BATCH_MAX: usize = 512;
/// Bytes in one batch, give or take one effect.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// First and last pause after a failed attempt; each is jittered down to its half.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What we know of one target beyond the state.
#[derive(Debug, Default, Clone, Copy)]
struct Target {
    /// Taken by the target, although its row may still be in our state.
    taken: u64,
    busy: bool,
    failures: u32,
}

/// Dispatches for as long as it is polled; leadership drops it.
pub async fn run(shard: Arc<Shard>, courier: Arc<dyn Courier>, proposer: Proposer) {
    let mut targets: HashMap<GroupId, Target> =
        (1..=shard.shard_groups).map(|group| (GroupId(group), Target::default())).collect();
    let mut under_way = FuturesUnordered::new();
    loop {
        for (group, target) in &mut targets {
            if target.busy {
                continue;
            }
            match next_batch(&shard, *group, target) {
                Ok(Some(request)) => {
                    target.busy = true;
                    under_way.push(attempt(&*courier, *group, request, target.failures).boxed());
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(error = %error.chain(), "cannot read the outbox");
                    return;
                }
            }
        }
        tokio::select! {
            () = shard.bells().outbox.notified() => {}
            Some((group, result)) = under_way.next(), if !under_way.is_empty() => {
                let target = targets.entry(group).or_default();
                target.busy = false;
                finish(&proposer, group, target, result);
            }
        }
    }
}

fn next_batch(
    shard: &Shard,
    group: GroupId,
    target: &mut Target,
) -> Result<Option<DeliverRequest>, axp_raft_store::Error> {
    let (done, last) = shard.reader().outbox_range(group)?;
    target.taken = target.taken.max(done);
    if last <= target.taken {
        return Ok(None);
    }
    let effects = shard.reader().effects(group, target.taken, BATCH_MAX, BATCH_BYTES_MAX)?;
    Ok(Some(DeliverRequest {
        group: group.into(),
        source_group: shard.group().into(),
        after_effect: target.taken,
        effects,
    }))
}

/// One attempt, after the pause that earlier failures call for.
async fn attempt(
    courier: &dyn Courier,
    group: GroupId,
    request: DeliverRequest,
    failures: u32,
) -> (GroupId, Result<u64, CourierError>) {
    if failures > 0 {
        let pause = RETRY.0.saturating_mul(1 << failures.min(8)).min(RETRY.1);
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(pause.mul_f64(jitter)).await;
    }
    (group, courier.deliver(request).await)
}

fn finish(
    proposer: &Proposer,
    group: GroupId,
    target: &mut Target,
    result: Result<u64, CourierError>,
) {
    let outcome = if result.is_ok() { "delivered" } else { "failed" };
    metrics::counter!(names::OUTBOX_BATCHES_TOTAL, "outcome" => outcome).increment(1);
    match result {
        Ok(taken) => {
            target.failures = 0;
            if taken <= target.taken {
                return;
            }
            target.taken = taken;
            let done = OutboxDone { target_group: group.into(), last_effect: taken };
            let append = Append { kind: Some(Kind::OutboxDone(done)) };
            let proposer = proposer.clone();
            // The rows may stay a little longer: should this be lost, the next one covers it, and a
            // new leader hands them over again, which the target recognises.
            crate::tasks::spawn("outbox done", async move {
                proposer.propose(append).await.ok();
            });
        }
        Err(error) => {
            target.failures += 1;
            tracing::debug!(%error, shard.target = %group, "effects did not arrive");
        }
    }
}
