//! The mailboxes of a led shard: one actor that gives deliveries their places.
//!
//! Other groups hand over batches of effects (`Deliver`). What gathers while a step is in flight
//! goes with the next one. Each step names the last effect that was taken from each source, so a
//! batch that comes twice, or after a gap, is recognised (ADR 0002: why one actor and not one per
//! mailbox).

use std::collections::HashMap;
use std::sync::Arc;

use axp_proto::log::append::Kind as AppendKind;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::mailbox_change::Kind as ChangeKind;
use axp_proto::log::{
    Append, Effect, MailboxAppend, MailboxChange, MailboxEntry, MailboxKey, SourceBatch,
};
use axp_raft_store::{Error, Outcome};
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::push::Publisher;
use crate::shard::handle::{ExecuteError, Shard, storage};
use crate::shard::led::Batch;
use crate::shard::proposer::{ProposeError, Proposer};

/// Batches that may wait for a step; a source that gets no room tries again.
const PENDING_MAX: usize = 256;
/// Steps between two places; see the contract, agents.md 4.
const CURSOR_STEP: u32 = 2;

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
    /// The step in flight is over.
    Stepped(Result<Outcome, ProposeError>),
}

#[derive(Debug)]
pub struct State {
    args: MailboxesArgs,
    pending: Vec<Batch>,
    in_flight: Option<Vec<(Batch, u64)>>,
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
        Ok(State { args, pending: Vec::new(), in_flight: None })
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
            MailboxesMessage::Stepped(outcome) => state.finish(&outcome),
        }
        if state.in_flight.is_none() && !state.pending.is_empty() {
            state.step(&myself);
        }
        Ok(())
    }
}

impl State {
    /// Answers the batches of the step that is over.
    fn finish(&mut self, outcome: &Result<Outcome, ProposeError>) {
        for (batch, last_effect) in self.in_flight.take().unwrap_or_default() {
            let answer = match outcome {
                Ok(Outcome::Accepted { .. }) => Ok(last_effect),
                // Somebody stepped before us: the source looks where it stands and comes again.
                Ok(Outcome::Stale { .. } | Outcome::Taken { .. }) => {
                    self.args.shard.reader().taken(batch.source).map_err(storage)
                }
                Err(ProposeError::NotLeader) => Err(ExecuteError::NotLeader),
                Err(ProposeError::Unknown) => Err(ExecuteError::Unknown),
            };
            batch.reply.send(answer).ok();
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
        if in_flight.is_empty() {
            return;
        }
        self.in_flight = Some(in_flight);
        let (proposer, myself) = (self.args.proposer.clone(), myself.clone());
        crate::tasks::spawn("mailbox step", async move {
            let outcome = proposer.propose(append).await;
            myself.send_message(MailboxesMessage::Stepped(outcome)).ok();
        });
    }

    /// One step for all batches; those that bring nothing new are answered at once.
    fn plan(&mut self, batches: Vec<Batch>) -> Result<(Append, Vec<(Batch, u64)>), Error> {
        let mut places =
            Places { shard: &self.args.shard, heads: HashMap::new(), at: HashMap::new() };
        let (mut sources, mut in_flight) = (Vec::new(), Vec::new());
        for batch in batches {
            let taken = self.args.shard.reader().taken(batch.source)?;
            let again =
                in_flight.iter().any(|(other, _): &(Batch, u64)| other.source == batch.source);
            let fresh: Vec<_> =
                batch.effects.iter().skip_while(|effect| effect.number <= taken).collect();
            let continues = fresh.first().is_some_and(|effect| effect.number == taken + 1);
            if again || !continues {
                batch.reply.send(Ok(taken)).ok();
                continue;
            }
            let last_effect = fresh.last().map_or(taken, |effect| effect.number);
            let changes = fresh
                .into_iter()
                .filter_map(|effect| places.change(effect.effect.as_ref()).transpose())
                .collect::<Result<_, _>>()?;
            sources.push(SourceBatch {
                source_group: batch.source.into(),
                after_effect: taken,
                last_effect,
                changes,
            });
            in_flight.push((batch, last_effect));
        }
        let expected_step = self.args.shard.reader().mailbox_step()?;
        let append = MailboxAppend { expected_step, sources };
        Ok((Append { kind: Some(AppendKind::Mailbox(append)) }, in_flight))
    }
}

/// Where deliveries lie, as of the state and of what this step has placed so far.
struct Places<'a> {
    shard: &'a Shard,
    heads: HashMap<MailboxKey, u32>,
    at: HashMap<(MailboxKey, Bytes), u32>,
}

impl Places<'_> {
    fn change(&mut self, effect: Option<&Effect>) -> Result<Option<MailboxChange>, Error> {
        Ok(match effect.and_then(|effect| effect.kind.as_ref()) {
            Some(EffectKind::Deposit(deposit)) => {
                let (Some(mailbox), Some(delivery)) = (&deposit.mailbox, &deposit.delivery) else {
                    return Err(Error::applier("a deposit without mailbox or delivery"));
                };
                let cursor = self.place(mailbox, &delivery.intent_id)?;
                let entry = MailboxEntry { cursor, delivery: Some(delivery.clone()) };
                Some(MailboxChange {
                    mailbox: Some(mailbox.clone()),
                    kind: Some(ChangeKind::Deposit(entry)),
                })
            }
            Some(EffectKind::Withdraw(withdraw)) => withdraw.mailbox.clone().map(|mailbox| {
                let intent_id = withdraw.intent_id.clone();
                self.at.insert((mailbox.clone(), intent_id.clone()), 0);
                let kind = Some(ChangeKind::Withdraw(intent_id));
                MailboxChange { mailbox: Some(mailbox), kind }
            }),
            Some(
                EffectKind::PublishEvent(_)
                | EffectKind::QueuePush(_)
                | EffectKind::WithdrawPush(_),
            ) => return Err(Error::applier("a push does not go to another shard")),
            // Skipping it would lose it: the source keeps it until this node is upgraded.
            None => return Err(Error::applier("an effect of an unknown kind")),
        })
    }

    /// An intent that lies in the mailbox keeps its place; a new one gets the next.
    fn place(&mut self, mailbox: &MailboxKey, intent_id: &Bytes) -> Result<u32, Error> {
        let key = (mailbox.clone(), intent_id.clone());
        let known = match self.at.get(&key) {
            Some(cursor) => *cursor,
            None => self.shard.reader().mailbox_place(mailbox, intent_id)?,
        };
        if known != 0 {
            return Ok(known);
        }
        let head = match self.heads.get(mailbox) {
            Some(head) => *head,
            None => self.shard.reader().mailbox_head(mailbox)?,
        };
        let cursor = head + CURSOR_STEP;
        self.heads.insert(mailbox.clone(), cursor);
        self.at.insert(key, cursor);
        Ok(cursor)
    }
}
