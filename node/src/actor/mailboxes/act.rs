//! What owners do in their inboxes, as part of a step.
//!
//! A step holds one action for each thread, decided on what is committed: so nobody is told of a
//! decision that may still get lost. Who is refused, or finds it done, hears so after the leader has
//! confirmed that it still is one: what a deposed leader remembers is no reason to refuse.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use axp_proto::error_code::ErrorCode;
use axp_proto::log::mailbox_change::Kind as ChangeKind;
use axp_proto::log::{
    Approval, IdempotencyClaim, InboxClaim, MailboxAppend, MailboxChange, MailboxKey,
};
use axp_proto::node::IdempotencyKey;
use axp_raft_store::Error;
use bytes::Bytes;

use super::super::intent::KEY_RETENTION_MS;
use super::places::Places;
use crate::inbox::{Decision, Request, Verdict, decide, decide_approval};
use crate::intent::Rejection;
use crate::shard::handle::{ExecuteError, Shard, storage};
use crate::shard::inbox::{InboxCommand, InboxReply, InboxView, Subject};

/// Actions in one step, and bytes of what they change, give or take one action.
const ACTIONS_MAX: usize = 256;
const BYTES_MAX: usize = 1024 * 1024;

/// What an action comes to.
enum Planned {
    Append(Vec<MailboxChange>, Vec<axp_proto::log::Effect>),
    Replayed,
    /// It is as it was wanted to be.
    Unchanged,
    Rejected(Rejection),
}

/// Moves actions into the step, and leaves those in the queue that have to wait for the next one.
pub(super) fn plan(
    places: &mut Places<'_>,
    queue: &mut VecDeque<InboxCommand>,
    append: &mut MailboxAppend,
    in_flight: &mut Vec<InboxCommand>,
) -> Result<(), Error> {
    let (mut waiting, mut keys, mut bytes) = (VecDeque::new(), HashSet::new(), 0);
    let term = places.shard.term();
    while let Some(action) = queue.pop_front() {
        let (mailbox, id) = action.request.subject.key();
        let claimed = action.request.idempotency.as_ref();
        let taken = claimed.is_some_and(|key| keys.contains(&key.key_hash));
        if in_flight.len() >= ACTIONS_MAX
            || bytes > BYTES_MAX
            || taken
            || places.is_changed(mailbox, id)
        {
            waiting.push_back(action);
            continue;
        }
        match plan_one(places, &action)? {
            Planned::Append(changes, effects) => {
                bytes += changes.iter().map(prost::Message::encoded_len).sum::<usize>();
                bytes += effects.iter().map(prost::Message::encoded_len).sum::<usize>();
                if let Some(key) = claimed {
                    append.claims.push(claim(key, id, places.now_ms));
                    keys.insert(key.key_hash.clone());
                }
                places.mark(mailbox, id);
                append.changes.extend(changes);
                append.effects.extend(effects);
                in_flight.push(action);
            }
            Planned::Replayed => confirm(Arc::clone(places.shard), term, action, Ok(true)),
            Planned::Unchanged => confirm(Arc::clone(places.shard), term, action, Ok(false)),
            Planned::Rejected(rejection) => {
                confirm(Arc::clone(places.shard), term, action, Err(rejection))
            }
        }
    }
    *queue = waiting;
    Ok(())
}

fn plan_one(places: &mut Places<'_>, action: &InboxCommand) -> Result<Planned, Error> {
    if let Some(key) = &action.request.idempotency
        && let Some(record) = places.shard.reader().key_record(&key.key_hash)?
    {
        if record.fingerprint == key.fingerprint {
            return Ok(Planned::Replayed);
        }
        let message = "idempotency key reused with different payload";
        return Ok(Planned::Rejected(Rejection::new(ErrorCode::IdempotencyConflict, message)));
    }
    let planned = match &action.request.subject {
        Subject::Thread(request) => plan_thread(places, request)?,
        Subject::Approval { place, wanted } => plan_approval(places, place, wanted)?,
    };
    Ok(match planned {
        // The key is claimed all the same: what comes with it later is a repeat.
        Planned::Unchanged if action.request.idempotency.is_some() => {
            Planned::Append(Vec::new(), Vec::new())
        }
        planned => planned,
    })
}

fn plan_thread(places: &mut Places<'_>, request: &Request) -> Result<Planned, Error> {
    let key = (request.owner.clone(), request.thread_id.clone());
    let thread = places.thread(&key)?;
    match decide(thread.as_ref(), request, places.now_ms) {
        Ok(Verdict::Append(Decision { events, effects })) => {
            let change = places.change_thread(key, thread, None, events)?;
            Ok(Planned::Append(vec![change], effects))
        }
        Ok(Verdict::Unchanged) => Ok(Planned::Unchanged),
        Err(rejection) => Ok(Planned::Rejected(rejection)),
    }
}

fn plan_approval(
    places: &Places<'_>,
    place: &MailboxKey,
    wanted: &Approval,
) -> Result<Planned, Error> {
    let stored = places.shard.reader().approval(place)?;
    match decide_approval(stored.as_ref(), wanted, places.now_ms) {
        Ok(Some(approval)) => {
            let kind = Some(ChangeKind::Approval(approval));
            Ok(Planned::Append(vec![MailboxChange { mailbox: Some(place.clone()), kind }], vec![]))
        }
        Ok(None) => Ok(Planned::Unchanged),
        Err(rejection) => Ok(Planned::Rejected(rejection)),
    }
}

fn claim(key: &IdempotencyKey, id: &Bytes, now_ms: i64) -> InboxClaim {
    let claim = IdempotencyClaim {
        key_hash: key.key_hash.clone(),
        fingerprint: key.fingerprint.clone(),
        forget_at_ms: now_ms + KEY_RETENTION_MS,
    };
    InboxClaim { claim: Some(claim), thread_id: id.clone(), at_ms: now_ms }
}

/// Answers an action that changes nothing, once it is sure that nobody else has led since `term`.
fn confirm(shard: Arc<Shard>, term: u64, action: InboxCommand, outcome: Result<bool, Rejection>) {
    crate::tasks::spawn("answer of an inbox", async move {
        let led = shard.barrier().await;
        let led = led.and_then(|()| match shard.term() == term {
            true => Ok(()),
            false => Err(ExecuteError::NotLeader),
        });
        match (led, outcome) {
            (Err(error), _) => {
                action.reply.send(Err(error)).ok();
            }
            (Ok(()), Ok(replayed)) => answer(&shard, action, replayed),
            (Ok(()), Err(rejection)) => {
                action.reply.send(Err(ExecuteError::Rejected(rejection))).ok();
            }
        }
    });
}

/// Answers with the subject as it stands.
pub(super) fn answer(shard: &Shard, action: InboxCommand, replayed: bool) {
    let now = match &action.request.subject {
        Subject::Thread(request) => shard
            .reader()
            .thread_view(&request.owner, &request.thread_id)
            .map(|view| view.map(|view| InboxView::Thread(Box::new(view)))),
        Subject::Approval { place, .. } => {
            shard.reader().approval(place).map(|approval| approval.map(InboxView::Approval))
        }
    };
    let reply = match now {
        Ok(Some(now)) => Ok(InboxReply { now, replayed }),
        Ok(None) => {
            let gone = Rejection::new(ErrorCode::NotFound, "thread not found");
            Err(ExecuteError::Rejected(gone))
        }
        Err(error) => Err(storage(error)),
    };
    action.reply.send(reply).ok();
}
