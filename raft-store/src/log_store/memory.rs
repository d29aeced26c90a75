//! What a group's log keeps in memory: its ids, and recent entries for replication and apply.
//!
//! Entries which are not yet in the engine are always here; written ones stay while there is room.

use std::collections::VecDeque;
use std::ops::Range;

use axp_proto::ids::GroupId;
use openraft::entry::EntryPayload;

use crate::error::Error;
use crate::types::{Entry, LogId, Vote};

/// What an entry costs beside its payload, roughly.
const ENTRY_BYTES: usize = 96;

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) committed_queued: bool,
    pub(super) purged: Option<LogId>,
    pub(super) last: Option<LogId>,
    /// Index of the oldest entry present; meaningless while there is none.
    pub(super) first: u64,
    /// Counts truncations: what was on its way to the engine before one says nothing afterwards.
    pub(super) epoch: u64,
    /// The newest entries, without a hole, up to `last`.
    recent: VecDeque<Entry>,
    recent_bytes: usize,
    bytes_max: usize,
    /// Entries below this index are in the engine.
    unwritten: u64,
}

impl Memory {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            vote: None,
            committed: None,
            committed_queued: false,
            purged: None,
            last: None,
            first: 0,
            epoch: 0,
            recent: VecDeque::new(),
            recent_bytes: 0,
            bytes_max,
            unwritten: 0,
        }
    }

    /// The indexes present.
    pub(super) fn present(&self) -> Range<u64> {
        match (self.last, self.purged) {
            (Some(last), Some(purged)) if last.index() <= purged.index() => 0..0,
            (Some(last), _) => self.first..last.index() + 1,
            (None, _) => 0..0,
        }
    }

    /// Where the recent entries begin; the end of the log if there are none.
    pub(super) fn recent_from(&self) -> u64 {
        match self.recent.front() {
            Some(entry) => entry.log_id.index(),
            None => self.present().end,
        }
    }

    /// Copies recent entries from `start` on, up to `end` or until they exceed `bytes`.
    pub(super) fn copy_recent(
        &self,
        start: u64,
        end: u64,
        bytes: &mut usize,
        into: &mut Vec<Entry>,
    ) {
        let Some(front) = self.recent.front() else { return };
        let skip = start.saturating_sub(front.log_id.index());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.recent.len());
        for entry in self.recent.range(skip..) {
            if entry.log_id.index() >= end || (*bytes == 0 && !into.is_empty()) {
                return;
            }
            *bytes = bytes.saturating_sub(cost(entry));
            into.push(entry.clone());
        }
    }

    pub(super) fn push(&mut self, group: GroupId, entry: Entry) -> Result<(), Error> {
        let index = entry.log_id.index();
        match self.last {
            Some(last) if index != last.index() + 1 => {
                let last = last.index();
                let reason = format!("group {group}: entry {index} was appended after {last}");
                return Err(Error::Corrupt(reason));
            }
            _ => {}
        }
        if self.present().is_empty() {
            self.first = index;
            self.unwritten = index;
        }
        self.last = Some(entry.log_id);
        self.recent_bytes += cost(&entry);
        self.recent.push_back(entry);
        self.evict();
        Ok(())
    }

    /// Entries up to `index` are in the engine, if no truncation came between.
    pub(super) fn written(&mut self, index: u64, epoch: u64) {
        if epoch == self.epoch {
            self.unwritten = self.unwritten.max(index + 1);
            self.evict();
        }
    }

    fn evict(&mut self) {
        while self.recent_bytes > self.bytes_max {
            match self.recent.front() {
                Some(entry) if entry.log_id.index() < self.unwritten => self.pop_front(),
                _ => return,
            }
        }
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.recent.pop_front() {
            self.recent_bytes -= cost(&entry);
        }
    }

    /// Forgets entries behind `keep`; answers which, or `None` if there are none.
    pub(super) fn truncate_after(&mut self, keep: Option<LogId>) -> Option<Range<u64>> {
        let present = self.present();
        let from = keep.map_or(present.start, |keep| (keep.index() + 1).max(present.start));
        if from >= present.end {
            return None;
        }
        while self.recent.back().is_some_and(|entry| entry.log_id.index() >= from) {
            if let Some(entry) = self.recent.pop_back() {
                self.recent_bytes -= cost(&entry);
            }
        }
        self.last = if from == present.start { self.purged } else { keep };
        self.epoch += 1;
        self.unwritten = self.unwritten.min(from);
        Some(from..present.end)
    }

    /// Forgets entries up to `log_id`; answers which (perhaps none), or `None` if it was purged.
    pub(super) fn purge(&mut self, log_id: LogId) -> Option<Range<u64>> {
        if self.purged.is_some_and(|purged| purged >= log_id) {
            return None;
        }
        let present = self.present();
        let end = log_id.index() + 1;
        let removed = present.start..present.end.min(end).max(present.start);
        while self.recent.front().is_some_and(|entry| entry.log_id.index() < end) {
            self.pop_front();
        }
        self.purged = Some(log_id);
        if present.end <= end {
            self.last = Some(log_id);
        }
        self.first = self.first.max(end);
        self.unwritten = self.unwritten.max(end);
        Some(removed)
    }
}

fn cost(entry: &Entry) -> usize {
    ENTRY_BYTES
        + match &entry.payload {
            EntryPayload::Normal(payload) => payload.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}
