//! Whether a group's log and state, which reach the disk independently, fit together at open.
//!
//! ```text
//! state older than the log           openraft replays                     nothing to do here
//! state newer than the log's end     openraft purges the log to it        nothing to do here
//! log has another, older entry       the tail was replaced, the state     drop the log, the state
//!   where the state stands           reached the disk, the log did not    covers what counts
//! state older than the purged id     entries are gone that it needs       refuse
//! log has a newer entry there        cannot happen                        refuse
//! ```

use std::ops::ControlFlow;

use axp_proto::{ids::GroupId, raft};

use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::keyspace::{LogField, LogKeys};
use crate::record;
use crate::state::{GroupRecord, StateStore};
use crate::types::LogId;
use crate::wire;

pub(super) fn check(
    group: GroupId,
    log: &dyn Engine,
    state: &StateStore,
    record: &GroupRecord,
) -> Result<(), Error> {
    let keys = LogKeys(group);
    let purged = read::<raft::LogId>(keys, log, &keys.field(LogField::Purged))?;
    let purged = purged.as_ref().map(wire::log_id_from_proto).transpose()?;
    if record.applied < purged {
        return Err(Error::Corrupt(format!(
            "group {group}: the state stands at {}, but the log was purged up to {}",
            text(record.applied),
            text(purged)
        )));
    }
    let Some(applied) = record.applied else { return Ok(()) };
    let entry = read::<raft::Entry>(keys, log, &keys.entry(applied.index()))?;
    let Some(entry) = entry.map(wire::entry_from_proto).transpose()? else { return Ok(()) };
    if entry.log_id == applied {
        return Ok(());
    }
    if entry.log_id > applied {
        return Err(Error::Corrupt(format!(
            "group {group}: the state stands at {applied}, but the log holds {} there",
            entry.log_id
        )));
    }
    // The state's entry is committed, so it is newer, and whatever follows the older one in the
    // log is not committed. The state covers the rest, once it is durable.
    tracing::warn!(%group, %applied, log = %entry.log_id, "drop a log that was replaced");
    state.sync()?;
    drop_log(keys, log, applied)
}

fn read<M: prost::Message + Default>(
    keys: LogKeys,
    log: &dyn Engine,
    key: &[u8],
) -> Result<Option<M>, Error> {
    let what = || format!("group {}: a record of the log", keys.0);
    log.get(key)?.map(|value| record::decode(&value, what)).transpose()
}

fn text(log_id: Option<LogId>) -> String {
    log_id.map_or_else(|| "nothing".to_owned(), |log_id| log_id.to_string())
}

/// Removes all entries and records that they are purged up to `applied`, in one batch.
fn drop_log(keys: LogKeys, log: &dyn Engine, applied: LogId) -> Result<(), Error> {
    let mut batch = Batch::default();
    let record = record::encode(&wire::log_id_to_proto(&applied));
    batch.put(keys.field(LogField::Purged), record);
    log.scan(&keys.entry(0), &keys.entries_end(), &mut |key, _| {
        batch.delete(key.to_vec());
        ControlFlow::Continue(())
    })?;
    log.write(batch)?;
    log.sync()
}
