//! Folding one intent's append: its state, submission, events, list row, timers, effects and key.

use axp_proto::ids::IntentId;
use axp_proto::log::{
    EventChunk, IdempotencyClaim, IdempotencyRecord, IntentAppend, IntentState, IntentSummary,
    KeysForgotten, Submission, TimerChange,
};
use axp_proto::mutant::{self, Mutant};
use axp_raft_store::{Error, Outcome, Transaction};

use super::ShardApplier;
use super::task::{self, Waited};
use crate::clock::Clock;
use crate::intent::{fold, fold_changes, fold_timer};
use crate::shard::bells::Topic;
use crate::shard::keys;
use crate::shard::tables::{Rows, put};

impl ShardApplier {
    pub(super) fn intent(
        &self,
        tx: &mut Transaction<'_>,
        append: &IntentAppend,
    ) -> Result<Outcome, Error> {
        let id = IntentId::from_slice(&append.intent_id).map_err(Error::applier)?;
        let stored: Option<IntentState> = tx.message(&keys::intent(id))?;
        let (last_seq, changes) =
            stored.as_ref().map_or((0, 0), |state| (state.last_seq, state.changes));
        // A proposal of a deposed leader, or a repeat: somebody appended before it.
        let stale = (append.expected_seq, append.expected_changes) != (last_seq, changes);
        if stale && !mutant::active(Mutant::StaleAppendTaken) {
            return Ok(Outcome::Stale { position: u64::from(last_seq) });
        }
        if let Some(claim) = &append.idempotency
            && let Some(record) = tx.get(&keys::idempotency(&claim.key_hash))?
            && !mutant::active(Mutant::KeyUnchecked)
        {
            return Ok(Outcome::Taken { record });
        }
        let waited = stored.as_ref().and_then(Waited::of);
        let mut state = match (stored, &append.submission) {
            (Some(state), None) => state,
            (None, Some(submission)) => create(tx, id, submission),
            _ => return Err(Error::applier(format!("{id}: a submission belongs to seq 1"))),
        };
        self.fold_append(tx, id, &mut state, append)?;
        task::follow(tx, id, waited.as_ref(), &state)?;
        if let Some(claim) = &append.idempotency {
            let seq = if append.events.is_empty() { 0 } else { state.last_seq };
            claim_key(tx, claim, id, &state, seq);
        }
        self.touch(|touched| touched.topics.push(Topic::Intent(id)));
        Ok(Outcome::Accepted { position: u64::from(state.last_seq) })
    }

    fn fold_append(
        &self,
        tx: &mut Transaction<'_>,
        id: IntentId,
        state: &mut IntentState,
        append: &IntentAppend,
    ) -> Result<(), Error> {
        for event in &append.events {
            fold(state, event);
        }
        for change in &append.timers {
            self.change_timer(tx, id, state, change);
        }
        fold_changes(state, &append.changes, append.events.is_empty());
        if mutant::active(Mutant::ApplyByClock) {
            state.updated_at_ms = Clock::system().now_ms();
        }
        self.put_effects(tx, &append.effects)?;
        if !append.events.is_empty() {
            let chunk = EventChunk { events: append.events.clone() };
            put(tx, keys::event_chunk(id, state.last_seq), &chunk);
        }
        put_summary(tx, id, state, append.submission.as_ref())?;
        put(tx, keys::intent(id), state);
        Ok(())
    }

    fn change_timer(
        &self,
        tx: &mut Transaction<'_>,
        id: IntentId,
        state: &mut IntentState,
        change: &TimerChange,
    ) {
        let before = state.timers.iter().find(|timer| timer.kind == change.kind);
        if let Some(due) = before.and_then(|timer| timer.due_at_ms) {
            tx.delete(keys::timer(due, id, change.kind()));
        }
        if let Some(due) = change.due_at_ms {
            tx.put(keys::timer(due, id, change.kind()), Vec::new());
            self.touch(|touched| touched.timers = true);
        }
        fold_timer(state, change);
    }
}

fn create(tx: &mut Transaction<'_>, id: IntentId, submission: &Submission) -> IntentState {
    put(tx, keys::submission(id), submission);
    IntentState {
        created_at_ms: submission.created_at_ms,
        org_id: submission.org_id.clone(),
        workspace_id: submission.workspace_id.clone(),
        ..IntentState::default()
    }
}

fn put_summary(
    tx: &mut Transaction<'_>,
    id: IntentId,
    state: &IntentState,
    submission: Option<&Submission>,
) -> Result<(), Error> {
    let key = keys::list_row(&state.workspace_id, id);
    let before = match submission {
        Some(submission) => IntentSummary {
            created_at_ms: submission.created_at_ms,
            to_agent: submission.to_agent.clone(),
            from_agent: submission.from_agent.clone(),
            intent_type: submission.intent_type.clone(),
            ..IntentSummary::default()
        },
        None => tx.message(&key)?.unwrap_or_default(),
    };
    let summary =
        IntentSummary { status: state.status, updated_at_ms: state.updated_at_ms, ..before };
    put(tx, key, &summary);
    Ok(())
}

fn claim_key(
    tx: &mut Transaction<'_>,
    claim: &IdempotencyClaim,
    id: IntentId,
    state: &IntentState,
    seq: u32,
) {
    let record = IdempotencyRecord {
        fingerprint: claim.fingerprint.clone(),
        intent_id: id.to_bytes(),
        seq,
        status: state.status,
        at_ms: state.updated_at_ms,
        forget_at_ms: claim.forget_at_ms,
    };
    put(tx, keys::idempotency(&claim.key_hash), &record);
    tx.put(keys::forgetting(claim.forget_at_ms, &claim.key_hash), Vec::new());
}

pub(super) fn forget_keys(
    tx: &mut Transaction<'_>,
    forgotten: &KeysForgotten,
) -> Result<Outcome, Error> {
    let mut count = 0;
    for hash in &forgotten.key_hashes {
        let key = keys::idempotency(hash);
        if let Some(record) = tx.message::<IdempotencyRecord>(&key)? {
            tx.delete(keys::forgetting(record.forget_at_ms, hash));
            tx.delete(key);
            count += 1;
        }
    }
    Ok(Outcome::Accepted { position: count })
}
