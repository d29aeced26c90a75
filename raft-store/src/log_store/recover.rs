//! Opening a group's log: every record is read and checked once.
//!
//! The engine has brought the log back to a prefix of what was written. So a hole, a record that
//! does not verify or an entry that goes back in term is damage, and the group is not opened.

use std::ops::ControlFlow;

use axp_proto::raft;
use prost::Message;

use super::memory::Memory;
use super::read;
use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::keyspace::{LogField, LogKeys};
use crate::record;
use crate::types::LogId;
use crate::wire;

pub(super) fn recover(
    keys: LogKeys,
    engine: &dyn Engine,
    cache_bytes_max: usize,
) -> Result<Memory, Error> {
    let mut memory = Memory::new(cache_bytes_max);
    let vote = field::<raft::LeaderVote>(keys, engine, LogField::Vote)?;
    memory.vote = vote.as_ref().map(wire::vote_from_proto).transpose()?;
    let committed = field::<raft::LogId>(keys, engine, LogField::Committed)?;
    memory.committed = committed.as_ref().map(wire::log_id_from_proto).transpose()?;
    let purged = field::<raft::LogId>(keys, engine, LogField::Purged)?;
    memory.purged = purged.as_ref().map(wire::log_id_from_proto).transpose()?;

    remove_purged(keys, engine, memory.purged)?;
    let first = memory.purged.map_or(0, |purged| purged.index() + 1);
    memory.first = first;
    memory.last = last_entry(keys, engine, first)?.or(memory.purged);
    Ok(memory)
}

fn field<M: Message + Default>(
    keys: LogKeys,
    engine: &dyn Engine,
    field: LogField,
) -> Result<Option<M>, Error> {
    let value = engine.get(&keys.field(field))?;
    let what = || format!("group {}: {field:?} of the log", keys.0);
    value.map(|value| record::decode(&value, what)).transpose()
}

/// Removes what an interrupted purge left below the purged id.
fn remove_purged(keys: LogKeys, engine: &dyn Engine, purged: Option<LogId>) -> Result<(), Error> {
    let Some(purged) = purged else { return Ok(()) };
    loop {
        let mut batch = Batch::default();
        engine.scan(&keys.entry(0), &keys.entry(purged.index() + 1), &mut |key, _| {
            batch.delete(key.to_vec());
            if batch.len() < 4096 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        engine.write(batch)?;
    }
}

/// Checks all entries from `first` on; answers the last one's id.
fn last_entry(keys: LogKeys, engine: &dyn Engine, first: u64) -> Result<Option<LogId>, Error> {
    let mut last: Option<LogId> = None;
    let mut result = Ok(());
    engine.scan(&keys.entry(first), &keys.entries_end(), &mut |key, value| {
        let expected = last.map_or(first, |last| last.index() + 1);
        match check(keys, key, value, expected, last) {
            Ok(log_id) => {
                last = Some(log_id);
                ControlFlow::Continue(())
            }
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        }
    })?;
    result.map(|()| last)
}

fn check(
    keys: LogKeys,
    key: &[u8],
    value: &[u8],
    expected: u64,
    last: Option<LogId>,
) -> Result<LogId, Error> {
    let log_id = read::decode(keys, key, value)?.log_id;
    if log_id.index() != expected {
        let found = log_id.index();
        let reason = format!("group {}: the log goes on at {found} instead of {expected}", keys.0);
        return Err(Error::Corrupt(reason));
    }
    match last {
        Some(last) if log_id < last => {
            let reason = format!("group {}: log id {log_id} after {last}", keys.0);
            Err(Error::Corrupt(reason))
        }
        _ => Ok(log_id),
    }
}
