//! Due timers become commands, on the leader. Timers are rows of the state: they survive whoever
//! waits for them, and what fires is decided by the intent (`intent::command::expire`), once.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::ids::IntentId;
use axp_proto::log::append::Kind;
use axp_proto::log::{Append, KeysForgotten, TimerKind};
use axp_raft_store::Error;
use futures_util::{StreamExt, stream};

use crate::intent::Command;
use crate::shard::handle::{Request, Shard};
use crate::shard::metrics as names;
use crate::shard::proposer::Proposer;

/// The longest time without a look: wall clocks jump, and a jump must not hold timers back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Due intents that are worked on at the same time.
const CONCURRENT_MAX: usize = 64;
/// A pause after a command that did not get through, before it is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Fires timers for as long as it is polled; leadership drops it.
pub async fn run(shard: Arc<Shard>, proposer: Proposer) {
    loop {
        let pause = match look(&shard, &proposer).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(error = %error.chain(), "cannot read the timers");
                return;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shard.bells().timers.notified() => {}
        }
    }
}

/// Fires what is due and says how long to wait.
async fn look(shard: &Arc<Shard>, proposer: &Proposer) -> Result<Duration, Error> {
    let now_ms = shard.clock.now_ms();
    let forgettable = shard.reader().forgettable_keys(now_ms)?;
    let more_keys = !forgettable.is_empty();
    if more_keys {
        let forgotten = KeysForgotten { key_hashes: forgettable };
        proposer.propose(Append { kind: Some(Kind::KeysForgotten(forgotten)) }).await.ok();
    }
    let expired = shard.reader().expired_records(now_ms)?;
    let more_records = !expired.is_empty();
    // All at once, so that they are one entry. One that was refused has a new term meanwhile.
    let ended = expired.into_iter().map(|append| proposer.propose(append));
    let stuck = futures_util::future::join_all(ended).await.iter().any(Result::is_err);
    let (due, next) = shard.reader().due_timers(now_ms)?;
    let fired = !due.is_empty();
    let failed = stream::iter(due)
        .map(|(due_at_ms, id, kind)| fire(shard, due_at_ms, id, kind))
        .buffer_unordered(CONCURRENT_MAX)
        .fold(false, |failed, done| async move { failed || !done })
        .await;
    if failed || stuck {
        return Ok(RETRY);
    }
    if fired || more_keys || more_records {
        return Ok(Duration::ZERO);
    }
    let until = next.map_or(LOOK_EVERY, |next| {
        Duration::from_millis(u64::try_from(next - now_ms).unwrap_or_default())
    });
    Ok(until.min(LOOK_EVERY))
}

/// Whether the intent took the timer; its row goes with the append.
async fn fire(shard: &Shard, due_at_ms: i64, id: IntentId, kind: TimerKind) -> bool {
    let request = Request::internal(id, Command::Expire(kind));
    match shard.execute_admitted(request, None).await {
        Ok(reply) => {
            let late_ms = (shard.clock.now_ms() - due_at_ms).max(0);
            metrics::histogram!(names::TIMER_LATENESS_SECONDS).record(late_ms as f64 / 1000.0);
            // Otherwise the row is still there: the clock went back, and we wait for it.
            reply.intent.timer(kind) != Some(due_at_ms)
        }
        Err(error) => {
            tracing::debug!(%error, intent.id = %id, "a timer will be tried again");
            false
        }
    }
}
