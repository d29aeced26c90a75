//! Rows of the human tasks that are open, so that listing them scans nothing else.

use std::collections::BTreeSet;

use axp_proto::ids::IntentId;
use axp_proto::log::{IntentState, OpenTask, Submission};
use axp_raft_store::{Error, Transaction};

use crate::intent::{task_number, waits_for_human};
use crate::shard::keys;
use crate::shard::tables::{Rows, put};

/// What is to be known of an intent that waited for somebody before an append.
#[derive(Debug)]
pub(super) struct Waited {
    number: u32,
    holder_workspace: String,
}

impl Waited {
    pub(super) fn of(state: &IntentState) -> Option<Self> {
        waits_for_human(state)
            .then(|| Self { number: task_number(state), holder_workspace: holder_workspace(state) })
    }
}

/// Keeps the rows in step with an intent that an append has changed. One row in each workspace whose
/// people may answer: the sender's, the target's, the holder's.
pub(super) fn follow(
    tx: &mut Transaction<'_>,
    id: IntentId,
    before: Option<&Waited>,
    after: &IntentState,
) -> Result<(), Error> {
    let waits = waits_for_human(after);
    if before.is_none() && !waits {
        return Ok(());
    }
    let submission: Submission = tx.message(&keys::submission(id))?.unwrap_or_default();
    let workspaces = |holder: String| -> BTreeSet<String> {
        let parties = [&submission.workspace_id, &submission.target_workspace_id];
        let all = parties.into_iter().cloned().chain([holder]);
        all.filter(|workspace| !workspace.is_empty()).collect()
    };
    let old = before.map(|it| workspaces(it.holder_workspace.clone())).unwrap_or_default();
    let new = if waits { workspaces(holder_workspace(after)) } else { BTreeSet::new() };
    for gone in old.difference(&new) {
        tx.delete(keys::open_task(gone, id));
    }
    let number = task_number(after);
    for workspace in &new {
        let key = keys::open_task(workspace, id);
        let known: Option<OpenTask> = tx.message(&key)?;
        let same = known.filter(|known| {
            before.is_some_and(|before| before.number == number)
                && known.assignees.iter().all(|it| after.assignees.contains(it))
        });
        let assigned_at_ms = same.map_or(after.updated_at_ms, |known| known.assigned_at_ms);
        let assignees = after.assignees.clone();
        put(tx, key, &OpenTask { number, assigned_at_ms, assignees });
    }
    Ok(())
}

fn holder_workspace(state: &IntentState) -> String {
    let mailbox = state.holder.as_ref().and_then(|holder| holder.mailbox.as_ref());
    mailbox.map(|mailbox| mailbox.workspace_id.clone()).unwrap_or_default()
}
