//! One loop per led shard: effects go to their target groups, one batch at a time and in order for
//! each target, at least once. The target drops repeats by their numbers.
//!
//! Deposits go at once, since an agent waits for them. A batch of nothing but withdrawals waits a
//! little for company, and so does the note that effects were taken: both only tidy up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::GroupId;
use axp_proto::log::append::Kind;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::{Append, OutboxDone};
use axp_proto::mutant::{self, Mutant};
use axp_proto::node::{DeliverRequest, NumberedEffect};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use rand::RngExt;
use tokio::time::Instant;

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
/// The shortest time between two batches for one target. The first effect after a pause goes at
/// once; under load a batch carries what a few milliseconds bring, since a call and a step of the
/// target cost far more than an effect in them (docs/benchmarks.md).
const PACE: Duration = Duration::from_millis(4);
/// How long tidying up waits for company, and how many effects do not wait.
const LINGER: Duration = Duration::from_millis(50);
const LINGER_EFFECTS_MAX: u64 = 128;

/// What we know of one target beyond the state.
#[derive(Debug, Default, Clone, Copy)]
struct Target {
    /// Taken by the target, although its row may still be in our state.
    taken: u64,
    /// Up to here, the state was told.
    noted: u64,
    /// Still to be taken, when last looked at.
    pending: u64,
    busy: bool,
    failures: u32,
    /// Until when withdrawals, or the note, wait for company.
    linger_until: Option<Instant>,
    /// Before this, no batch follows the last one.
    paced_until: Option<Instant>,
}

impl Target {
    /// When to look at the target again although nothing happened.
    fn wake(&self) -> Option<Instant> {
        let paced = self.paced_until.filter(|_| self.pending > 0);
        // Who waits for both has nothing to do before the later one.
        self.linger_until.max(paced)
    }
}

/// Dispatches for as long as it is polled; leadership drops it.
pub async fn run(shard: Arc<Shard>, courier: Arc<dyn Courier>, proposer: Proposer) {
    let mut targets: HashMap<GroupId, Target> =
        (1..=shard.shard_groups).map(|group| (GroupId(group), Target::default())).collect();
    let mut under_way = FuturesUnordered::new();
    loop {
        let now = Instant::now();
        for (group, target) in targets.iter_mut().filter(|(_, target)| !target.busy) {
            let request = match next_batch(&shard, *group, target, now) {
                Ok(request) => request,
                Err(error) => {
                    tracing::error!(error = %error.chain(), "cannot read the outbox");
                    return;
                }
            };
            if let Some(request) = request {
                target.busy = true;
                under_way.push(attempt(&*courier, *group, request, target.failures).boxed());
            }
            note(&proposer, *group, target, now);
        }
        report(&shard, &targets);
        let idle = targets.values().filter(|target| !target.busy);
        let wake = idle.filter_map(Target::wake).min();
        let lingering = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shard.bells().outbox.notified() => {}
            () = lingering => {}
            Some((group, result)) = under_way.next(), if !under_way.is_empty() => {
                finish(targets.entry(group).or_default(), group, result);
            }
        }
    }
}

/// What is to be sent to a target now, if anything.
fn next_batch(
    shard: &Shard,
    group: GroupId,
    target: &mut Target,
    now: Instant,
) -> Result<Option<DeliverRequest>, axp_raft_store::Error> {
    let (done, last) = shard.reader().outbox_range(group)?;
    target.taken = target.taken.max(done);
    target.noted = target.noted.max(done);
    target.pending = last.saturating_sub(target.taken);
    if target.pending == 0 {
        return Ok(None);
    }
    if target.paced_until.is_some_and(|until| now < until) {
        return Ok(None);
    }
    let effects = shard.reader().effects(group, target.taken, BATCH_MAX, BATCH_BYTES_MAX)?;
    if !is_urgent(&effects) && waits(target, effects.len() as u64, now) {
        return Ok(None);
    }
    target.paced_until = Some(now + PACE);
    Ok(Some(DeliverRequest {
        group: group.into(),
        source_group: shard.group().into(),
        after_effect: target.taken,
        effects,
    }))
}

fn is_urgent(effects: &[NumberedEffect]) -> bool {
    let kind = |effect: &NumberedEffect| effect.effect.as_ref()?.kind.clone();
    effects.iter().any(|effect| !matches!(kind(effect), Some(EffectKind::Withdraw(_))))
}

/// Whether so many effects that are not urgent wait on; the first of them starts the clock.
fn waits(target: &mut Target, effects: u64, now: Instant) -> bool {
    let until = *target.linger_until.get_or_insert(now + LINGER);
    effects < LINGER_EFFECTS_MAX && now < until
}

/// Tells the state what was taken, so that it lets the rows go.
fn note(proposer: &Proposer, group: GroupId, target: &mut Target, now: Instant) {
    let unnoted = target.taken - target.noted;
    if unnoted == 0 {
        // Withdrawals that lingered are on their way, or none are there.
        target.linger_until = target.linger_until.filter(|until| *until > now && !target.busy);
        return;
    }
    if waits(target, unnoted, now) {
        return;
    }
    target.linger_until = None;
    target.noted = target.taken;
    let done = OutboxDone { target_group: group.into(), last_effect: target.taken };
    let append = Append { kind: Some(Kind::OutboxDone(done)) };
    let proposer = proposer.clone();
    // Should this be lost, the next one covers it, and a new leader hands the effects over again,
    // which the target recognises.
    crate::tasks::spawn("outbox done", async move {
        proposer.propose(append).await.ok();
    });
}

fn report(shard: &Shard, targets: &HashMap<GroupId, Target>) {
    let pending: u64 = targets.values().map(|target| target.pending).sum();
    let shard = shard.group().to_string();
    metrics::gauge!(names::OUTBOX_PENDING, "shard" => shard).set(pending as f64);
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
    let forgets = mutant::active(Mutant::OutboxForgets);
    let last = forgets.then(|| request.effects.last().map_or(request.after_effect, |it| it.number));
    let taken = courier.deliver(request).await;
    (group, if let Some(last) = last { taken.or(Ok(last)) } else { taken })
}

fn finish(target: &mut Target, group: GroupId, result: Result<u64, CourierError>) {
    target.busy = false;
    let outcome = if result.is_ok() { "delivered" } else { "failed" };
    metrics::counter!(names::OUTBOX_BATCHES_TOTAL, "outcome" => outcome).increment(1);
    match result {
        Ok(taken) => {
            target.failures = 0;
            target.taken = target.taken.max(taken);
        }
        Err(error) => {
            target.failures += 1;
            tracing::debug!(%error, shard.target = %group, "effects did not arrive");
        }
    }
}
