//! One actor per intent that has something to do: it serialises the commands of that intent.
//!
//! It holds a view of the intent, never the truth: what it decides is refused at apply when
//! somebody appended before it, and then it looks again.

use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::append::Kind;
use axp_proto::log::{Append, Effect, IdempotencyClaim, IdempotencyRecord, IntentAppend};
use axp_proto::mutant::{self, Mutant};
use axp_proto::node::IdempotencyKey;
use axp_raft_store::Outcome;
use prost::Message as _;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::intent::{Decision, Intent, Rejection, Verdict, authorise, decide};
use crate::push::Publisher;
use crate::shard::admission::Permit;
use crate::shard::handle::{ExecuteError, Reply, Request, Shard, storage};
use crate::shard::metrics as names;
use crate::shard::proposer::{ProposeError, Proposer};

/// How often a command looks again after somebody was faster.
const ATTEMPTS_MAX: usize = 4;
/// How long an idempotency key is remembered; the contract asks for 24 hours at least.
pub(super) const KEY_RETENTION_MS: i64 = 48 * 60 * 60 * 1000;

/// The actor; its state is the [`Activation`].
#[derive(Debug)]
pub struct IntentActor;

/// What an intent's actor is started with.
#[derive(Debug)]
pub struct IntentArgs {
    pub id: IntentId,
    pub shard: Arc<Shard>,
    pub proposer: Proposer,
    pub publisher: Publisher,
}

/// One command on its way through the actor.
#[derive(Debug)]
pub struct IntentMessage {
    pub request: Request,
    /// Mailboxes are unbounded; this permit is what bounds the work in them.
    pub permit: Option<Permit>,
    pub reply: oneshot::Sender<Result<Reply, ExecuteError>>,
}

/// An intent while its actor is awake.
#[derive(Debug)]
pub struct Activation {
    args: IntentArgs,
    view: View,
}

#[derive(Debug)]
enum View {
    /// To be read from the state before the next decision.
    Unknown,
    Absent,
    Present(Box<Intent>),
}

/// What is to be done about a request, as far as this replica knows.
enum Considered {
    Append(Decision),
    /// Nothing is to be appended.
    Answer(Result<Box<Reply>, ExecuteError>),
}

impl Actor for IntentActor {
    type Msg = IntentMessage;
    type State = Activation;
    type Arguments = IntentArgs;

    async fn pre_start(
        &self,
        _myself: ActorRef<IntentMessage>,
        args: IntentArgs,
    ) -> Result<Activation, ActorProcessingErr> {
        Ok(Activation { args, view: View::Unknown })
    }

    async fn handle(
        &self,
        _myself: ActorRef<IntentMessage>,
        message: IntentMessage,
        activation: &mut Activation,
    ) -> Result<(), ActorProcessingErr> {
        let IntentMessage { request, permit, reply } = message;
        let result = activation.execute(&request).await;
        // A caller that hung up loses the reply, not the outcome: that is in the log.
        reply.send(result).ok();
        drop(permit);
        Ok(())
    }
}

impl Activation {
    async fn execute(&mut self, request: &Request) -> Result<Reply, ExecuteError> {
        // Nobody waits for what the cluster asks of itself.
        let mut confirmed =
            request.command.is_internal() || mutant::active(Mutant::AnswerFromMemory);
        for _ in 0..ATTEMPTS_MAX {
            self.refresh()?;
            let now_ms = self.args.shard.clock.now_ms();
            match self.consider(request, now_ms)? {
                Considered::Append(decision) => {
                    if let Some(reply) = self.append(request, decision, now_ms).await? {
                        return Ok(reply);
                    }
                }
                Considered::Answer(answer) if confirmed => return answer.map(|reply| *reply),
                // What a deposed leader remembers is no reason for an answer. An append proves that
                // it leads; without one, it looks again behind a barrier.
                Considered::Answer(_) => {
                    self.args.shard.barrier().await?;
                    self.view = View::Unknown;
                    confirmed = true;
                }
            }
        }
        Err(ExecuteError::Unknown)
    }

    /// What the view says to a request.
    fn consider(&self, request: &Request, now_ms: i64) -> Result<Considered, ExecuteError> {
        if let Some(key) = &request.idempotency
            && let Some(record) = self.reader().key_record(&key.key_hash).map_err(storage)?
        {
            return Ok(Considered::Answer(self.replay(request, key, &record).map(Box::new)));
        }
        let verdict = self
            .allowed(request, now_ms)
            .and_then(|intent| decide(self.args.id, intent, &request.command, now_ms));
        Ok(match verdict {
            Ok(Verdict::Append(decision)) => Considered::Append(decision),
            Ok(Verdict::Unchanged) => Considered::Answer(self.unchanged(false).map(Box::new)),
            Ok(Verdict::StaleGeneration) => Considered::Answer(self.unchanged(true).map(Box::new)),
            Err(rejection) => Considered::Answer(Err(ExecuteError::Rejected(rejection))),
        })
    }

    /// Proposes a decision; `None` when somebody was faster and it has to be decided again.
    async fn append(
        &mut self,
        request: &Request,
        decision: Decision,
        now_ms: i64,
    ) -> Result<Option<Reply>, ExecuteError> {
        let (expected_seq, expected_changes) = match &self.view {
            View::Present(intent) => (intent.state.last_seq, intent.state.changes),
            View::Absent | View::Unknown => (0, 0),
        };
        let append = IntentAppend {
            intent_id: self.args.id.to_bytes(),
            expected_seq,
            submission: decision.submission.as_deref().cloned(),
            events: decision.events.clone(),
            effects: self.effects(&decision, now_ms),
            timers: decision.timers.clone(),
            expected_changes,
            changes: decision.changes.clone(),
            idempotency: request.idempotency.as_ref().map(|key| IdempotencyClaim {
                key_hash: key.key_hash.clone(),
                fingerprint: key.fingerprint.clone(),
                forget_at_ms: now_ms + KEY_RETENTION_MS,
            }),
        };
        let proposed =
            self.args.proposer.propose(Append { kind: Some(Kind::Intent(append)) }).await;
        match proposed {
            Ok(Outcome::Accepted { .. }) => {
                self.observe(&decision);
                let event = decision.events.into_iter().next_back();
                Ok(Some(self.reply(event)?))
            }
            Ok(Outcome::Stale { .. }) => {
                metrics::counter!(names::STALE_APPENDS_TOTAL).increment(1);
                self.view = View::Unknown;
                Ok(None)
            }
            // The next look finds the record and answers from it.
            Ok(Outcome::Taken { record }) => {
                let record = IdempotencyRecord::decode(record)
                    .map_err(|error| ExecuteError::Storage(error.to_string()))?;
                match &request.idempotency {
                    Some(key) => self.replay(request, key, &record).map(Some),
                    None => Err(ExecuteError::Unknown),
                }
            }
            Err(error) => {
                self.view = View::Unknown;
                Err(match error {
                    ProposeError::NotLeader => ExecuteError::NotLeader,
                    ProposeError::Unknown => ExecuteError::Unknown,
                })
            }
        }
    }

    /// The effects that were decided, and what follows for pushes and subscribers.
    fn effects(&self, decision: &Decision, now_ms: i64) -> Vec<Effect> {
        let (publisher, id) = (&self.args.publisher, self.args.id);
        let mut effects = decision.effects.clone();
        let submission = match (&decision.submission, &self.view) {
            (Some(submission), _) => Some(submission),
            (None, View::Present(intent)) => Some(&intent.submission),
            (None, View::Absent | View::Unknown) => None,
        };
        if let Some(submission) = submission {
            publisher.complete(&mut effects, id, submission, &decision.events, now_ms);
        }
        effects
    }

    /// What was appended becomes the view, by the same fold that every replica applied.
    fn observe(&mut self, decision: &Decision) {
        if let Some(submission) = &decision.submission {
            let intent = Intent::new(self.args.id, Arc::clone(submission));
            self.view = View::Present(Box::new(intent));
        }
        if let View::Present(intent) = &mut self.view {
            intent.observe(decision);
        }
    }

    /// The answer to a request whose key was used before: the stored one, or a conflict.
    fn replay(
        &self,
        request: &Request,
        key: &IdempotencyKey,
        record: &IdempotencyRecord,
    ) -> Result<Reply, ExecuteError> {
        if record.fingerprint != key.fingerprint {
            let message = "idempotency key reused with different payload";
            let rejection = Rejection::new(ErrorCode::IdempotencyConflict, message);
            return Err(ExecuteError::Rejected(rejection));
        }
        let id = IntentId::from_slice(&record.intent_id)
            .map_err(|error| ExecuteError::Storage(error.to_string()))?;
        let intent = self.args.shard.visible_intent(id, &request.caller())?;
        let event = match record.seq.checked_sub(1) {
            Some(before) => {
                self.reader().events(id, before, 1).map_err(storage)?.into_iter().next()
            }
            // It changed something that makes no event.
            None => None,
        };
        Ok(Reply { intent, event, replayed: true, stale_policy_generation: false })
    }

    fn unchanged(&self, stale_policy_generation: bool) -> Result<Reply, ExecuteError> {
        Ok(Reply { stale_policy_generation, ..self.reply(None)? })
    }

    fn reply(&self, event: Option<axp_proto::log::Event>) -> Result<Reply, ExecuteError> {
        let View::Present(intent) = &self.view else { return Err(ExecuteError::Unknown) };
        let intent = (**intent).clone();
        Ok(Reply { intent, event, replayed: false, stale_policy_generation: false })
    }

    fn refresh(&mut self) -> Result<(), ExecuteError> {
        if matches!(self.view, View::Unknown) {
            self.view = match self.reader().intent(self.args.id).map_err(storage)? {
                Some(intent) => View::Present(Box::new(intent)),
                None => View::Absent,
            };
        }
        Ok(())
    }

    /// The intent, if this request may be made of it.
    fn allowed(&self, request: &Request, now_ms: i64) -> Result<Option<&Intent>, Rejection> {
        let View::Present(intent) = &self.view else { return Ok(None) };
        if !request.command.is_internal() {
            authorise(intent, &request.caller(), &request.command, now_ms)?;
        }
        Ok(Some(intent))
    }

    fn reader(&self) -> &crate::shard::read::ShardReader {
        self.args.shard.reader()
    }
}
