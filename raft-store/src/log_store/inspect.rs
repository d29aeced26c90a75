//! What a simulated disk would still have of an entry after a power loss.

use axp_proto::ids::GroupId;
use axp_proto::raft;

use super::read;
use crate::engine::sim::Sim;
use crate::error::Error;
use crate::keyspace::{LogField, LogKeys, StateKeys};
use crate::record;
use crate::state::GroupRecord;
use crate::types::LogId;
use crate::wire;

/// Whether the entry, or a state that has it, is durable on a disk with these two instances.
///
/// # Errors
/// When a durable record is damaged.
pub fn is_durable(log: &Sim, state: &Sim, group: GroupId, id: &LogId) -> Result<bool, Error> {
    let keys = LogKeys(group);
    let key = keys.entry(id.index());
    if let Some(value) = log.get_durable(&key) {
        return Ok(read::decode(keys, &key, &value)?.log_id == *id);
    }
    let reaches = |last: Option<LogId>| last.is_some_and(|last| last.index() >= id.index());
    if let Some(value) = log.get_durable(&keys.field(LogField::Purged)) {
        let what = || format!("group {group}: the purged id");
        let purged: raft::LogId = record::decode(&value, what)?;
        if reaches(Some(wire::log_id_from_proto(&purged)?)) {
            return Ok(true);
        }
    }
    let Some(value) = state.get_durable(&StateKeys(group).record()) else { return Ok(false) };
    Ok(reaches(GroupRecord::decode(group, &value)?.applied))
}
