//! Reads of the log: from memory where possible, from the engine below that.
//!
//! An entry that should be there and is not, or whose checksum is wrong, is an error and never the
//! end of the log.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

use super::Shared;
use crate::blocking;
use crate::engine::Engine;
use crate::error::Error;
use crate::keyspace::LogKeys;
use crate::metrics as names;
use crate::record;
use crate::types::Entry;
use crate::wire;

/// The entries present in `start..end`, until they exceed `bytes`; at least one if there is one.
pub(super) async fn range(
    shared: &Arc<Shared>,
    start: u64,
    end: u64,
    mut bytes: usize,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut next = start;
    loop {
        let below = {
            let memory = shared.memory();
            let present = memory.present();
            next = next.max(present.start);
            let end = end.min(present.end);
            if next >= end || (bytes == 0 && !entries.is_empty()) {
                return Ok(entries);
            }
            let recent_from = memory.recent_from();
            if next >= recent_from {
                memory.copy_recent(next, end, &mut bytes, &mut entries);
                return Ok(entries);
            }
            next..end.min(recent_from)
        };
        metrics::counter!(names::LOG_CACHE_MISSES).increment(1);
        let (cold, task_bytes) = (shared.clone(), bytes);
        let range = below.clone();
        // May wait for the disk.
        let read =
            move || from_engine(cold.keys, &*cold.engine, range.start, range.end, task_bytes);
        let read = blocking::run(read).await.map_err(|_| Error::Closed)?;
        let (found, used) = read?;
        let Some(last) = found.last().map(|entry| entry.log_id.index()) else {
            // Purged or truncated meanwhile, or lost.
            if shared.memory().present().start > below.start
                || shared.memory().present().end <= below.start
            {
                next = below.start;
                continue;
            }
            return Err(missing(shared.keys, below.start));
        };
        let first = found[0].log_id.index();
        if first != below.start && shared.memory().present().start < first {
            return Err(missing(shared.keys, below.start));
        }
        bytes = bytes.saturating_sub(used);
        entries.extend(found);
        next = last + 1;
    }
}

fn missing(keys: LogKeys, index: u64) -> Error {
    Error::Corrupt(format!("group {}: entry {index} of the log is missing", keys.0))
}

/// Reads consecutive entries from the engine; answers them and their size.
fn from_engine(
    keys: LogKeys,
    engine: &dyn Engine,
    start: u64,
    end: u64,
    bytes: usize,
) -> Result<(Vec<Entry>, usize), Error> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut used = 0;
    let mut result = Ok(());
    engine.scan(&keys.entry(start), &keys.entry(end), &mut |key, value| match decode(
        keys, key, value,
    ) {
        Ok(entry) => {
            let index = entry.log_id.index();
            if let Some(previous) = entries.last()
                && previous.log_id.index() + 1 != index
            {
                result = Err(missing(keys, previous.log_id.index() + 1));
                return ControlFlow::Break(());
            }
            used += value.len();
            entries.push(entry);
            if used >= bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        Err(error) => {
            result = Err(error);
            ControlFlow::Break(())
        }
    })?;
    result.map(|()| (entries, used))
}

/// Decodes the record of an entry and checks that it stands where it belongs.
pub(super) fn decode(keys: LogKeys, key: &[u8], value: &[u8]) -> Result<Entry, Error> {
    let at = LogKeys::index(key);
    let what = || format!("group {}: log entry {}", keys.0, at.unwrap_or_default());
    let message = record::decode(&Bytes::copy_from_slice(value), what)?;
    let entry = wire::entry_from_proto(message)?;
    if Some(entry.log_id.index()) != at {
        return Err(Error::Corrupt(format!("{} holds {}", what(), entry.log_id)));
    }
    Ok(entry)
}
