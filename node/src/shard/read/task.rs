//! Reads of open human tasks.

use axp_proto::ids::IntentId;
use axp_proto::log::OpenTask;
use axp_proto::task::is_assigned;
use axp_raft_store::Error;
use bytes::Bytes;

use super::ShardReader;
use crate::intent::{Intent, current};
use crate::shard::keys;
use crate::shard::tables::decode;

impl ShardReader {
    /// Open tasks of a workspace, of the newest intent first, behind `after`; those that `assignee`
    /// may answer, or all. With each the intent that waits with it.
    ///
    /// # Errors
    /// See [`Self::intent`].
    pub fn open_tasks(
        &self,
        workspace_id: &str,
        after: Option<IntentId>,
        assignee: &str,
        limit: usize,
    ) -> Result<Vec<(OpenTask, Intent)>, Error> {
        let prefix = keys::open_tasks(workspace_id);
        let from = after.map_or_else(
            || prefix.clone(),
            |after| [keys::open_task(workspace_id, after), vec![0]].concat(),
        );
        let mut found = Vec::new();
        self.scan(&prefix, &from, |key, value| {
            let row: OpenTask = decode(Bytes::copy_from_slice(value))?;
            if assignee.is_empty() || is_assigned(&row.assignees, assignee) {
                let id = keys::list_row_id(key)
                    .ok_or_else(|| Error::Corrupt("an open task without an intent".to_owned()))?;
                found.push((row, id));
            }
            Ok(found.len() < limit)
        })?;
        let mut tasks = Vec::with_capacity(found.len());
        for (row, id) in found {
            // Decided since the scan: then it is none any more.
            if let Some(intent) = self.intent(id)?.filter(|intent| current(intent).is_some()) {
                tasks.push((row, intent));
            }
        }
        Ok(tasks)
    }
}
