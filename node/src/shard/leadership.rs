//! What a replica does while it leads: actors, outbox and timers come and go with the term.
//!
//! ```text
//! follower -> (elected) -> barrier: everything committed before is applied -> leading
//!     ^                                                                          |
//!     +---------------- lost, or a main actor failed: start over ----------------+
//! ```
//!
//! Each step can be interrupted by the next change of role. Nothing here is truth: a leadership
//! can be thrown away at any moment and the next one starts from the state.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use ractor::ActorRef;
use tokio_util::sync::CancellationToken;

use super::handle::Shard;
use super::proposer::Proposer;
use crate::actor::registry::Registry;
use crate::actor::supervisor::{Supervisor, SupervisorArgs, SupervisorMessage};
use crate::outbox::Courier;

/// How long to wait before asking again whether we lead, when a barrier failed.
const ASSUME_RETRY: Duration = Duration::from_millis(50);

/// The running parts of a led shard.
#[derive(Debug)]
pub struct Leadership {
    pub registry: Arc<Registry>,
    pub proposer: Proposer,
    pub(crate) supervisor: ActorRef<SupervisorMessage>,
    pub(crate) mailboxes: ActorRef<crate::actor::mailboxes::MailboxesMessage>,
    pub(crate) stop: CancellationToken,
}

/// Follows the role of this replica until `stop`; one per shard replica.
pub async fn follow(shard: Arc<Shard>, courier: Arc<dyn Courier>, stop: CancellationToken) {
    let mut metrics = shard.raft.server_metrics();
    loop {
        let (leading, term) = {
            let now = metrics.borrow_watched();
            (now.state == ServerState::Leader, now.vote.leader_id.term)
        };
        if leading {
            tokio::select! {
                () = stop.cancelled() => break,
                () = lead(&shard, &courier, term) => {}
            }
            shard.set_leadership(None);
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = metrics.changed() => if changed.is_err() { break },
        }
    }
    if let Some(leadership) = shard.leadership() {
        leadership.stop.cancel();
        leadership.supervisor.stop(None);
    }
    shard.set_leadership(None);
}

/// Leads for as long as this replica does in `term`; returns when that is over.
async fn lead(shard: &Arc<Shard>, courier: &Arc<dyn Courier>, term: u64) {
    if shard.barrier().await.is_err() {
        tokio::time::sleep(ASSUME_RETRY).await;
        return;
    }
    let stop = CancellationToken::new();
    let guard = stop.clone().drop_guard();
    let args = SupervisorArgs {
        shard: Arc::clone(shard),
        courier: Arc::clone(courier),
        stop: stop.clone(),
    };
    let (leadership, supervisor) = match Supervisor::start(args).await {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(shard.id = %shard.group(), %error, "cannot start to lead");
            tokio::time::sleep(ASSUME_RETRY).await;
            return;
        }
    };
    shard.set_leadership(Some(leadership));
    tracing::info!(shard.id = %shard.group(), raft.term = term, "leading");
    let mut metrics = shard.raft.server_metrics();
    let leads = |metrics: &mut openraft::type_config::alias::WatchReceiverOf<
        axp_raft_store::TypeConfig,
        openraft::metrics::RaftServerMetrics<axp_raft_store::TypeConfig>,
    >| {
        let now = metrics.borrow_watched();
        now.state == ServerState::Leader && now.vote.leader_id.term == term
    };
    let mut ended = Box::pin(supervisor);
    while leads(&mut metrics) {
        tokio::select! {
            changed = metrics.changed() => if changed.is_err() { break },
            _ = &mut ended => {
                tracing::warn!(shard.id = %shard.group(), "a main actor of the shard failed: starting over");
                break;
            }
        }
    }
    tracing::info!(shard.id = %shard.group(), raft.term = term, "no longer leading");
    if let Some(leadership) = shard.leadership() {
        leadership.supervisor.stop(None);
    }
    drop(guard);
}
