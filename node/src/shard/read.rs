//! Reads of a shard's applied state. Whether they are linearizable is decided by the caller, who
//! passes a read barrier first (`Shard::barrier`); what is read is always a committed prefix.

mod inbox;

use std::ops::ControlFlow;
use std::sync::Arc;

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::log::{
    Delivery, Effect, Event, EventChunk, IdempotencyRecord, IntentState, IntentSummary,
    MailboxEntry, MailboxKey, Status, Submission, TimerKind,
};
use axp_proto::node::{IntentRow, NumberedEffect};
use axp_raft_store::{Error, StateReader};
use bytes::Bytes;

use super::keys;
use super::tables::{Rows, decode};
use crate::intent::Intent;

mod push;
mod task;

pub use push::DueParcels;

/// How many keys or records one look takes.
pub(super) const DUE_MAX: usize = 256;

/// How many rows are read by their keys, one by one, before a scan is the cheaper way: a scan looks
/// into every table that the engine has, a key is usually found in its memory.
const KEYS_MAX: usize = 8;

/// When a timer was due, whose it is, and which one.
pub type DueTimer = (i64, IntentId, TimerKind);

/// Typed reads of one shard.
#[derive(Debug, Clone)]
pub struct ShardReader(StateReader);

impl ShardReader {
    #[must_use]
    pub fn new(reader: StateReader) -> Self {
        Self(reader)
    }

    /// An intent as it stands, with its terminal event if it has ended.
    ///
    /// # Errors
    /// When storage fails or holds what this program cannot read; so for all reads here.
    pub fn intent(&self, id: IntentId) -> Result<Option<Intent>, Error> {
        let Some(state) = self.0.message::<IntentState>(&keys::intent(id))? else {
            return Ok(None);
        };
        let submission: Submission = self
            .0
            .message(&keys::submission(id))?
            .ok_or_else(|| Error::Corrupt(format!("intent {id} has no submission")))?;
        let mut intent = Intent::new(id, Arc::new(submission));
        if state.terminal_seq != 0 {
            let terminal = self.events(id, state.terminal_seq - 1, 1)?.into_iter().next();
            intent.terminal_event = terminal.map(Arc::new);
        }
        intent.state = state;
        Ok(Some(intent))
    }

    /// Events after `since`, ascending, at most `limit`.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn events(&self, id: IntentId, since: u32, limit: usize) -> Result<Vec<Event>, Error> {
        let state: Option<IntentState> = self.0.message(&keys::intent(id))?;
        let mut last = state.map_or(0, |state| state.last_seq);
        // Most readers miss the last append or two, and each chunk names the one before it.
        let mut chunks = Vec::new();
        while last > since {
            if chunks.len() == KEYS_MAX {
                return self.scan_events(id, since, limit);
            }
            let chunk: EventChunk = self
                .0
                .message(&keys::event_chunk(id, last))?
                .ok_or_else(|| Error::Corrupt(format!("intent {id} has no event {last}")))?;
            last = chunk.events.first().map_or(0, |event| event.seq.saturating_sub(1));
            chunks.push(chunk);
        }
        let events = chunks.into_iter().rev().flat_map(|chunk| chunk.events);
        Ok(events.filter(|event| event.seq > since).take(limit).collect())
    }

    fn scan_events(&self, id: IntentId, since: u32, limit: usize) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let from = keys::event_chunk(id, since.saturating_add(1));
        self.scan(&keys::events(id), &from, |_, value| {
            let chunk: EventChunk = decode(Bytes::copy_from_slice(value))?;
            events.extend(chunk.events.into_iter().filter(|event| event.seq > since));
            Ok(events.len() < limit)
        })?;
        events.truncate(limit);
        Ok(events)
    }

    /// A workspace's intents, newest first.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn list(
        &self,
        workspace_id: &str,
        limit: usize,
        wanted: impl Fn(&IntentSummary) -> bool,
    ) -> Result<Vec<IntentRow>, Error> {
        let mut rows = Vec::new();
        let prefix = keys::list(workspace_id);
        self.scan(&prefix, &prefix, |key, value| {
            let summary: IntentSummary = decode(Bytes::copy_from_slice(value))?;
            if wanted(&summary) {
                let id = keys::list_row_id(key)
                    .ok_or_else(|| Error::Corrupt("a list row without an intent id".to_owned()))?;
                rows.push(IntentRow { intent_id: id.to_bytes(), summary: Some(summary) });
            }
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    /// Deliveries of a mailbox after a cursor, ascending.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn deliveries(
        &self,
        mailbox: &MailboxKey,
        since: u32,
        limit: usize,
    ) -> Result<Vec<MailboxEntry>, Error> {
        let mut entries = Vec::new();
        let mut visit = |cursor: u32, value: Bytes| {
            let delivery: Delivery = decode(value)?;
            if delivery.status() != Status::Unspecified {
                entries.push(MailboxEntry { cursor, delivery: Some(delivery) });
            }
            Ok(entries.len() < limit)
        };
        let head = self.mailbox_head(mailbox)?;
        if (head.saturating_sub(since) as usize) <= KEYS_MAX {
            for cursor in since.saturating_add(1)..=head {
                if let Some(value) = self.0.get(&keys::mailbox_row(mailbox, cursor))?
                    && !visit(cursor, value)?
                {
                    break;
                }
            }
        } else {
            let from = keys::mailbox_row(mailbox, since.saturating_add(1));
            self.scan(&keys::mailbox(mailbox), &from, |key, value| {
                let cursor = keys::mailbox_row_cursor(key).unwrap_or_default();
                visit(cursor, Bytes::copy_from_slice(value))
            })?;
        }
        Ok(entries)
    }

    /// Who took an idempotency key.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn key_record(&self, key_hash: &[u8]) -> Result<Option<IdempotencyRecord>, Error> {
        self.0.message(&keys::idempotency(key_hash))
    }

    /// Where a mailbox stands: the last cursor it gave out.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn mailbox_head(&self, mailbox: &MailboxKey) -> Result<u32, Error> {
        cursor(self.0.number(&keys::mailbox_head(mailbox))?)
    }

    /// The cursor under which an intent lies in a mailbox; 0 when it does not.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn mailbox_place(&self, mailbox: &MailboxKey, intent_id: &[u8]) -> Result<u32, Error> {
        cursor(self.0.number(&keys::mailbox_place(mailbox, intent_id))?)
    }

    /// The last effect that was taken from a source group.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn taken(&self, source: GroupId) -> Result<u64, Error> {
        self.0.number(&keys::taken(source))
    }

    /// The last step of the shard's mailboxes.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn mailbox_step(&self) -> Result<u64, Error> {
        self.0.number(keys::MAILBOX_STEP)
    }

    /// First and last effect that a target has still to take: `(done, last)`.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn outbox_range(&self, target: GroupId) -> Result<(u64, u64), Error> {
        let done = self.0.number(&keys::outbox_done(target))?;
        Ok((done, self.0.number(&keys::outbox_last(target))?))
    }

    /// Effects for a target after `after`, ascending, bounded by count and bytes.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn effects(
        &self,
        target: GroupId,
        after: u64,
        count_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<NumberedEffect>, Error> {
        let (mut effects, mut bytes) = (Vec::new(), 0);
        // Numbers are dense, and what is not taken yet is recent: each is found by its key.
        let (done, _) = self.outbox_range(target)?;
        for number in after.max(done) + 1.. {
            let Some(value) = self.0.get(&keys::outbox_row(target, number))? else { break };
            bytes += value.len();
            effects.push(NumberedEffect { number, effect: Some(decode::<Effect>(value)?) });
            if effects.len() >= count_max || bytes >= bytes_max {
                break;
            }
        }
        Ok(effects)
    }

    /// Timers that are due at `from_ms` or later, at most `limit`, and when the next one will be.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn due_timers(
        &self,
        from_ms: i64,
        now_ms: i64,
        limit: usize,
    ) -> Result<(Vec<DueTimer>, Option<i64>), Error> {
        let (mut due, mut next) = (Vec::new(), None);
        // Times before 1970 would sort behind all others; there are none.
        let from = keys::timers_from(from_ms.max(0));
        self.scan(keys::TIMERS, &from, |key, _| {
            let timer = keys::parse_timer(key)
                .ok_or_else(|| Error::Corrupt("a timer without an intent".to_owned()))?;
            if timer.0 > now_ms {
                next = Some(timer.0);
                return Ok(false);
            }
            due.push(timer);
            Ok(due.len() < limit)
        })?;
        Ok((due, next))
    }

    /// Hashes of idempotency keys that may be forgotten.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn forgettable_keys(&self, now_ms: i64) -> Result<Vec<Bytes>, Error> {
        let mut hashes = Vec::new();
        self.scan(keys::FORGETTING, keys::FORGETTING, |key, _| {
            match keys::parse_forgetting(key) {
                Some((at, hash)) if at <= now_ms => hashes.push(Bytes::copy_from_slice(hash)),
                _ => return Ok(false),
            }
            Ok(hashes.len() < DUE_MAX)
        })?;
        Ok(hashes)
    }

    pub(super) fn message<M: prost::Message + Default>(
        &self,
        key: &[u8],
    ) -> Result<Option<M>, Error> {
        self.0.message(key)
    }

    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut failure = None;
        self.0.scan(prefix, from, &mut fallible(visit, &mut failure))?;
        failure.map_or(Ok(()), Err)
    }

    /// From the last key of the prefix to the first.
    fn scan_back(
        &self,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut failure = None;
        self.0.scan_back(prefix, None, &mut fallible(visit, &mut failure))?;
        failure.map_or(Ok(()), Err)
    }
}

/// A visitor that goes on while it is told so, and stops at what it cannot read.
fn fallible(
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    failure: &mut Option<Error>,
) -> impl FnMut(&[u8], &[u8]) -> ControlFlow<()> {
    move |key, value| match visit(key, value) {
        Ok(true) => ControlFlow::Continue(()),
        Ok(false) => ControlFlow::Break(()),
        Err(error) => {
            *failure = Some(error);
            ControlFlow::Break(())
        }
    }
}

fn cursor(number: u64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::Corrupt(format!("mailbox cursor {number}")))
}
