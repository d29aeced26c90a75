//! The handle of one shard replica: execute a command, pass a read barrier, read, listen.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::log::{Append, Event, append};
use axp_proto::mutant::{self, Mutant};
use axp_proto::node::{IdempotencyKey, NumberedEffect};
use axp_raft_store::{Outcome, Raft, StateReader};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{ReadPolicy, ServerState};
use tokio::sync::{Semaphore, oneshot, watch};

use super::admission::{Admission, Permit};
use super::apply::ShardApplier;
use super::bells::Bells;
use super::led::{Batch, Led};
use super::metrics as names;
use super::proposer::ProposeError;
use super::read::ShardReader;
use crate::clock::Clock;
use crate::intent::{Caller, Command, Intent, Rejection, may_read};

/// How long a read barrier may take before the caller is sent elsewhere.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a shard replica is made of.
#[derive(Debug)]
pub struct ShardParts {
    pub raft: Raft,
    pub reader: StateReader,
    pub applier: Arc<ShardApplier>,
    pub clock: Clock,
    pub admission: Arc<Admission>,
    /// Commands under way in this shard; more are refused.
    pub commands_max: u32,
    /// Activated intent actors in this shard; idle ones beyond it are passivated at once.
    pub actors_max: usize,
    pub shard_groups: u16,
}

/// A command for one intent, from somebody who is authenticated.
#[derive(Debug)]
pub struct Request {
    pub intent_id: IntentId,
    pub org_id: String,
    pub workspace_id: String,
    /// The address that acts, and whether it was named rather than the caller's own.
    pub address: String,
    pub asserted: bool,
    pub command: Command,
    pub idempotency: Option<IdempotencyKey>,
}

impl Request {
    /// What the cluster asks of itself.
    #[must_use]
    pub fn internal(intent_id: IntentId, command: Command) -> Self {
        Self {
            intent_id,
            org_id: String::new(),
            workspace_id: String::new(),
            address: String::new(),
            asserted: false,
            command,
            idempotency: None,
        }
    }

    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller {
            org_id: &self.org_id,
            workspace_id: &self.workspace_id,
            address: &self.address,
            asserted: self.asserted,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone)]
pub struct Reply {
    pub intent: Intent,
    /// The last event of the command; absent when it changed nothing.
    pub event: Option<Event>,
    /// Answered from the record of an earlier request with the same idempotency key.
    pub replayed: bool,
    pub stale_policy_generation: bool,
}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    #[error("rejected: {}", .0.message)]
    Rejected(Rejection),
    #[error("not the leader")]
    NotLeader,
    /// It may have happened; the same id or key tells.
    #[error("outcome unknown")]
    Unknown,
    /// A bound was reached; nothing happened.
    #[error("too many commands under way")]
    Overloaded,
    #[error("storage failed: {0}")]
    Storage(String),
}

/// One replica of one shard.
#[derive(Debug)]
pub struct Shard {
    group: GroupId,
    pub(crate) raft: Raft,
    reader: ShardReader,
    applier: Arc<ShardApplier>,
    pub(crate) clock: Clock,
    pub(crate) actors_max: usize,
    pub(crate) shard_groups: u16,
    admission: Arc<Admission>,
    commands: Arc<Semaphore>,
    led: RwLock<Option<Arc<dyn Led>>>,
    /// False while this replica leads and no majority answers it.
    heard: watch::Sender<bool>,
    /// Counts changes of leadership here: whoever serves a subscription ends it on a change.
    pub(crate) tenure: watch::Sender<u64>,
}

impl Shard {
    #[must_use]
    pub fn new(parts: ShardParts) -> Arc<Self> {
        Arc::new(Self {
            group: parts.applier.group(),
            raft: parts.raft,
            reader: ShardReader::new(parts.reader),
            admission: parts.admission,
            commands: Arc::new(Semaphore::new(parts.commands_max as usize)),
            applier: parts.applier,
            clock: parts.clock,
            actors_max: parts.actors_max,
            shard_groups: parts.shard_groups,
            led: RwLock::default(),
            heard: watch::Sender::new(true),
            tenure: watch::Sender::new(0),
        })
    }

    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    #[must_use]
    pub fn reader(&self) -> &ShardReader {
        &self.reader
    }

    #[must_use]
    pub fn bells(&self) -> &Arc<Bells> {
        self.applier.bells()
    }

    /// What this replica does as a leader; `None` while it does not lead.
    #[must_use]
    pub fn led(&self) -> Option<Arc<dyn Led>> {
        self.led.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to lead, or stops what led before.
    pub(crate) fn set_led(&self, led: Option<Arc<dyn Led>>) {
        let before =
            std::mem::replace(&mut *self.led.write().unwrap_or_else(PoisonError::into_inner), led);
        if let Some(before) = before {
            before.stop();
        }
        self.set_heard(true);
        self.tenure.send_modify(|tenure| *tenure += 1);
    }

    /// Whether a majority answers this leader.
    pub(crate) fn set_heard(&self, heard: bool) {
        let changed = self.heard.send_if_modified(|now| std::mem::replace(now, heard) != heard);
        if changed && !heard {
            tracing::warn!(shard.id = %self.group, "leads, but no majority answers");
            metrics::counter!(names::CUT_OFF_TOTAL, "shard" => self.group.to_string()).increment(1);
        }
    }

    /// Waits for `outcome`, but no longer than a majority answers this leader.
    async fn while_heard<T>(
        &self,
        outcome: impl Future<Output = Result<T, ExecuteError>>,
        cut_off: ExecuteError,
    ) -> Result<T, ExecuteError> {
        let mut heard = self.heard.subscribe();
        if !*heard.borrow_and_update() {
            return Err(ExecuteError::NotLeader);
        }
        tokio::select! {
            outcome = outcome => outcome,
            // Somebody else leads by now, or soon.
            _ = heard.wait_for(|heard| !heard) => Err(cut_off),
        }
    }

    /// Hands effects of another group to the mailboxes of this shard and waits until they are
    /// taken; the last effect that is.
    ///
    /// # Errors
    /// See [`ExecuteError`]; a repeat is harmless after all of them.
    pub async fn deliver(
        &self,
        source: GroupId,
        effects: Vec<NumberedEffect>,
    ) -> Result<u64, ExecuteError> {
        let led = self.led().ok_or(ExecuteError::NotLeader)?;
        let (reply, taken) = oneshot::channel();
        led.deliver(Batch { source, effects, reply })?;
        taken.await.unwrap_or(Err(ExecuteError::Unknown))
    }

    /// Runs one command through the intent's actor.
    ///
    /// # Errors
    /// See [`ExecuteError`]; only `Unknown` leaves it open whether the command happened.
    pub async fn execute(&self, request: Request) -> Result<Reply, ExecuteError> {
        let permit = self.admit(&request.org_id).ok_or(ExecuteError::Overloaded)?;
        let outcome = self.execute_admitted(request, Some(permit)).await;
        let label = match &outcome {
            Ok(reply) if reply.replayed => "replayed",
            Ok(_) => "accepted",
            Err(ExecuteError::Rejected(_)) => "rejected",
            Err(_) => "failed",
        };
        metrics::counter!(names::COMMANDS_TOTAL, "outcome" => label).increment(1);
        outcome
    }

    /// Room for a command of an organization, if there is any right now.
    pub(super) fn admit(&self, org_id: &str) -> Option<Permit> {
        self.admission.admit(org_id, &self.commands)
    }

    /// As [`Self::execute`] for what the shard asks of itself, such as a due timer, which is
    /// bounded by its own batch size.
    pub(crate) async fn execute_admitted(
        &self,
        request: Request,
        permit: Option<Permit>,
    ) -> Result<Reply, ExecuteError> {
        let led = self.led().ok_or(ExecuteError::NotLeader)?;
        let run = async {
            let (reply, outcome) = oneshot::channel();
            led.execute(request, permit, reply)?;
            // The actor is gone without an answer when leadership went: the log knows what happened.
            outcome.await.unwrap_or(Err(ExecuteError::Unknown))
        };
        self.while_heard(run, ExecuteError::Unknown).await
    }

    /// Appends what belongs to no single intent, where this replica leads.
    ///
    /// # Errors
    /// `NotLeader`, or `Unknown` when it may have happened.
    pub async fn propose(&self, kind: append::Kind) -> Result<Outcome, ExecuteError> {
        let led = self.led().ok_or(ExecuteError::NotLeader)?;
        match led.proposer().propose(Append { kind: Some(kind) }).await {
            Ok(outcome) => Ok(outcome),
            Err(ProposeError::NotLeader) => Err(ExecuteError::NotLeader),
            Err(ProposeError::Unknown) => Err(ExecuteError::Unknown),
        }
    }

    /// Confirms with a majority that this replica leads, and waits until everything acknowledged
    /// before is applied here. Concurrent barriers share one round (openraft, read index).
    ///
    /// # Errors
    /// `NotLeader` when that cannot be confirmed.
    pub async fn barrier(&self) -> Result<(), ExecuteError> {
        if mutant::active(Mutant::ReadWithoutIndex) {
            let leads = self.raft.server_metrics().borrow_watched().state == ServerState::Leader;
            return leads.then_some(()).ok_or(ExecuteError::NotLeader);
        }
        let confirmed = async {
            let confirmed = self.raft.ensure_linearizable(ReadPolicy::ReadIndex);
            match tokio::time::timeout(BARRIER_TIMEOUT, confirmed).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(ExecuteError::NotLeader),
            }
        };
        self.while_heard(confirmed, ExecuteError::NotLeader).await
    }

    /// The term that this replica knows. One that leads in the same term before and after has led
    /// all the time between.
    pub(crate) fn term(&self) -> u64 {
        self.raft.server_metrics().borrow_watched().vote.leader_id.term
    }

    /// As [`Self::barrier`], but content with the leader's lease while it lasts: no round over the
    /// network. Assumes that no node's monotonic clock runs off by a whole election timeout within
    /// one. For streams, which open all the time and are followed by live events anyway.
    ///
    /// # Errors
    /// `NotLeader`, as [`Self::barrier`].
    pub async fn lease_barrier(&self) -> Result<(), ExecuteError> {
        let confirmed = self.raft.ensure_linearizable(ReadPolicy::LeaseRead);
        match tokio::time::timeout(BARRIER_TIMEOUT, confirmed).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => self.barrier().await,
        }
    }

    /// An intent that the caller may see.
    ///
    /// # Errors
    /// `Rejected` with `not_found`, or `Storage`.
    pub fn visible_intent(
        &self,
        id: IntentId,
        caller: &Caller<'_>,
    ) -> Result<Intent, ExecuteError> {
        let intent = self.reader.intent(id).map_err(storage)?;
        let visible = |intent: &Intent| {
            may_read(intent, caller, self.clock.now_ms())
                || mutant::active(Mutant::OrganizationsBlend)
        };
        intent.filter(visible).ok_or_else(|| ExecuteError::Rejected(Rejection::not_found()))
    }
}

/// A failed read: the replica's storage is broken or damaged.
#[expect(clippy::needless_pass_by_value, reason = "used as a function of map_err")]
pub(crate) fn storage(error: axp_raft_store::Error) -> ExecuteError {
    tracing::error!(error = %error.chain(), "a read of the state failed");
    ExecuteError::Storage(error.chain())
}
