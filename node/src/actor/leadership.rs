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

mod hearing;

use std::sync::Arc;
use std::time::Duration;

use axp_raft_store::TypeConfig;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::type_config::alias::WatchReceiverOf;
use ractor::ActorRef;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::mailboxes::MailboxesMessage;
use super::registry::Registry;
use super::supervisor::{Supervisor, SupervisorArgs, SupervisorMessage};
use crate::outbox::Courier;
use crate::push::Push;
use crate::shard::admission::Permit;
use crate::shard::handle::{ExecuteError, Reply, Request, Shard};
use crate::shard::inbox::InboxCommand;
use crate::shard::led::{Batch, Led};
use crate::shard::proposer::Proposer;

/// How long to wait before asking again whether we lead, when a barrier failed.
const ASSUME_RETRY: Duration = Duration::from_millis(50);

type ServerMetrics = WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>;

/// The running parts of a led shard.
#[derive(Debug)]
pub struct Leadership {
    pub(super) registry: Arc<Registry>,
    pub(super) supervisor: ActorRef<SupervisorMessage>,
    pub(super) mailboxes: ActorRef<MailboxesMessage>,
    pub(super) proposer: Proposer,
    pub(super) stop: CancellationToken,
}

impl Led for Leadership {
    fn execute(
        &self,
        request: Request,
        permit: Option<Permit>,
        reply: oneshot::Sender<Result<Reply, ExecuteError>>,
    ) -> Result<(), ExecuteError> {
        self.registry.send(request, permit, reply)
    }

    fn deliver(&self, batch: Batch) -> Result<(), ExecuteError> {
        let sent = self.mailboxes.send_message(MailboxesMessage::Deliver(batch));
        sent.map_err(|_| ExecuteError::NotLeader)
    }

    fn proposer(&self) -> &Proposer {
        &self.proposer
    }

    fn inbox(&self, command: InboxCommand) -> Result<(), ExecuteError> {
        let sent = self.mailboxes.send_message(MailboxesMessage::Act(Box::new(command)));
        sent.map_err(|_| ExecuteError::NotLeader)
    }

    fn stop(&self) {
        self.stop.cancel();
        self.supervisor.stop(None);
    }
}

/// Follows the role of this replica until `stop`; one per shard replica.
pub async fn follow(
    shard: Arc<Shard>,
    courier: Arc<dyn Courier>,
    push: Arc<Push>,
    stop: CancellationToken,
) {
    let mut metrics = shard.raft.server_metrics();
    loop {
        let (leading, term) = {
            let now = metrics.borrow_watched();
            (now.state == ServerState::Leader, now.vote.leader_id.term)
        };
        if leading {
            tokio::select! {
                () = stop.cancelled() => break,
                () = lead(&shard, &courier, &push, term) => {}
            }
            shard.set_led(None);
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = metrics.changed() => if changed.is_err() { break },
        }
    }
    shard.set_led(None);
}

/// Leads for as long as this replica does in `term`; returns when that is over.
async fn lead(shard: &Arc<Shard>, courier: &Arc<dyn Courier>, push: &Arc<Push>, term: u64) {
    if shard.barrier().await.is_err() {
        tokio::time::sleep(ASSUME_RETRY).await;
        return;
    }
    let args = SupervisorArgs {
        shard: Arc::clone(shard),
        courier: Arc::clone(courier),
        push: Arc::clone(push),
        stop: CancellationToken::new(),
    };
    let (leadership, supervisor) = match Supervisor::start(args).await {
        Ok(started) => started,
        Err(error) => {
            tracing::error!(shard.id = %shard.group(), %error, "cannot start to lead");
            tokio::time::sleep(ASSUME_RETRY).await;
            return;
        }
    };
    shard.set_led(Some(leadership));
    tracing::info!(shard.id = %shard.group(), raft.term = term, "leading");
    let mut metrics = shard.raft.server_metrics();
    let mut ended = Box::pin(supervisor);
    let mut hearing = Box::pin(hearing::follow(Arc::clone(shard)));
    while leads_in(&metrics, term) {
        tokio::select! {
            () = &mut hearing => break,
            changed = metrics.changed() => if changed.is_err() { break },
            _ = &mut ended => {
                tracing::warn!(shard.id = %shard.group(), "a main actor of the shard failed: starting over");
                break;
            }
        }
    }
    tracing::info!(shard.id = %shard.group(), raft.term = term, "no longer leading");
}

fn leads_in(metrics: &ServerMetrics, term: u64) -> bool {
    let now = metrics.borrow_watched();
    now.state == ServerState::Leader && now.vote.leader_id.term == term
}
