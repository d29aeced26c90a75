//! The mailboxes of a led shard, inboxes included: one actor that gives deliveries their places and
//! decides what owners do to their threads.
//!
//! Other groups hand over batches of effects (`Deliver`), owners act (`Act`). What gathers while a
//! step is in flight goes with the next one. Each step names the last effect that was taken from
//! each source, so a batch that comes twice, or after a gap, is recognised (ADR 0002: why one actor
//! and not one per mailbox). Nothing else changes a thread, so of two who decide it at the same
//! instant the second sees what the first did (ADR 0009).

mod act;
mod announce;
mod places;

use std::collections::VecDeque;
use std::sync::Arc;

use axp_proto::log::append::Kind as AppendKind;
use axp_proto::log::{Append, MailboxAppend, SourceBatch};
use axp_raft_store::{Error, Outcome};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use self::places::Places;
use crate::push::Publisher;
use crate::shard::handle::{ExecuteError, Shard, storage};
use crate::shard::inbox::InboxCommand;
use crate::shard::led::Batch;
use crate::shard::proposer::{ProposeError, Proposer};

/// Batches that may wait for a step; a source that gets no room tries again.
const PENDING_MAX: usize = 256;
/// How often an action is planned again after a step that did not happen.
const ATTEMPTS_MAX: u32 = 4;

#[derive(Debug)]
pub struct Mailboxes;

#[derive(Debug)]
pub struct MailboxesArgs {
    pub shard: Arc<Shard>,
    pub proposer: Proposer,
    /// Makes effects of mailboxes ready to be proposed.
    pub publisher: Publisher,
}

#[derive(Debug)]
pub enum MailboxesMessage {
    Deliver(Batch),
    Act(Box<InboxCommand>),
    /// The step in flight is over.
    Stepped(Result<Outcome, ProposeError>),
}

#[derive(Debug)]
pub struct State {
    args: MailboxesArgs,
    pending: Vec<Batch>,
    /// Actions that wait for a step; each holds a permit, which bounds them.
    actions: VecDeque<InboxCommand>,
    in_flight: Option<InFlight>,
}

/// Who waits for the step that is proposed.
#[derive(Debug, Default)]
struct InFlight {
    batches: Vec<(Batch, u64)>,
    actions: Vec<InboxCommand>,
}

impl Actor for Mailboxes {
    type Msg = MailboxesMessage;
    type State = State;
    type Arguments = MailboxesArgs;

    async fn pre_start(
        &self,
        _myself: ActorRef<MailboxesMessage>,
        args: MailboxesArgs,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { args, pending: Vec::new(), actions: VecDeque::new(), in_flight: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<MailboxesMessage>,
        message: MailboxesMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MailboxesMessage::Deliver(batch) if state.pending.len() >= PENDING_MAX => {
                batch.reply.send(Err(ExecuteError::Overloaded)).ok();
            }
            MailboxesMessage::Deliver(batch) => state.pending.push(batch),
            MailboxesMessage::Act(action) => state.actions.push_back(*action),
            MailboxesMessage::Stepped(outcome) => state.finish(&outcome),
        }
        if state.in_flight.is_none() && !(state.pending.is_empty() && state.actions.is_empty()) {
            state.step(&myself);
        }
        Ok(())
    }
}

impl State {
    /// Answers those who waited for the step that is over.
    fn finish(&mut self, outcome: &Result<Outcome, ProposeError>) {
        let in_flight = self.in_flight.take().unwrap_or_default();
        for (batch, last_effect) in in_flight.batches {
            let answer = match outcome {
                Ok(Outcome::Accepted { .. }) => Ok(last_effect),
                // Somebody stepped before us: the source looks where it stands and comes again.
                Ok(Outcome::Stale { .. } | Outcome::Taken { .. }) => {
                    self.args.shard.reader().taken(batch.source).map_err(storage)
                }
                Err(error) => Err(failed(*error)),
            };
            batch.reply.send(answer).ok();
        }
        for mut action in in_flight.actions.into_iter().rev() {
            match outcome {
                Ok(Outcome::Accepted { .. }) => act::answer(&self.args.shard, action, false),
                Ok(Outcome::Stale { .. } | Outcome::Taken { .. })
                    if action.attempts < ATTEMPTS_MAX =>
                {
                    action.attempts += 1;
                    self.actions.push_front(action);
                }
                Ok(Outcome::Stale { .. } | Outcome::Taken { .. }) => {
                    action.reply.send(Err(ExecuteError::Unknown)).ok();
                }
                Err(error) => {
                    action.reply.send(Err(failed(*error))).ok();
                }
            }
        }
    }

    fn step(&mut self, myself: &ActorRef<MailboxesMessage>) {
        let batches = std::mem::take(&mut self.pending);
        let (append, in_flight) = match self.plan(batches) {
            Ok(planned) => planned,
            Err(error) => {
                storage(error);
                return;
            }
        };
        if in_flight.batches.is_empty() && in_flight.actions.is_empty() {
            return;
        }
        self.in_flight = Some(in_flight);
        let append = Append { kind: Some(AppendKind::Mailbox(append)) };
        let (proposer, myself) = (self.args.proposer.clone(), myself.clone());
        crate::tasks::spawn("mailbox step", async move {
            let outcome = proposer.propose(append).await;
            myself.send_message(MailboxesMessage::Stepped(outcome)).ok();
        });
    }

    /// One step for all batches and actions; those that bring nothing new are answered at once.
    fn plan(&mut self, batches: Vec<Batch>) -> Result<(MailboxAppend, InFlight), Error> {
        let shard = Arc::clone(&self.args.shard);
        let publisher = self.args.publisher.clone();
        let mut places = Places::new(&shard, &publisher);
        let mut append =
            MailboxAppend { expected_step: shard.reader().mailbox_step()?, ..Default::default() };
        let mut in_flight = InFlight::default();
        for batch in batches {
            let taken = shard.reader().taken(batch.source)?;
            let again = in_flight.batches.iter().any(|(other, _)| other.source == batch.source);
            let fresh: Vec<_> =
                batch.effects.iter().skip_while(|effect| effect.number <= taken).collect();
            let continues = fresh.first().is_some_and(|effect| effect.number == taken + 1);
            if again || !continues {
                batch.reply.send(Ok(taken)).ok();
                continue;
            }
            let last_effect = fresh.last().map_or(taken, |effect| effect.number);
            let mut changes = Vec::with_capacity(fresh.len());
            for effect in fresh {
                places.take(effect.effect.as_ref(), &mut changes)?;
            }
            append.sources.push(SourceBatch {
                source_group: batch.source.into(),
                after_effect: taken,
                last_effect,
                changes,
            });
            in_flight.batches.push((batch, last_effect));
        }
        act::plan(&mut places, &mut self.actions, &mut append, &mut in_flight.actions)?;
        append.effects.extend(places.announcements());
        Ok((append, in_flight))
    }
}

fn failed(error: ProposeError) -> ExecuteError {
    match error {
        ProposeError::NotLeader => ExecuteError::NotLeader,
        ProposeError::Unknown => ExecuteError::Unknown,
    }
}
