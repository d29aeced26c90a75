//! The human tasks that wait for an answer (contract, tasks.md 1).

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::node::{ListTasks, TaskRow, query_request, query_response};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::ApiError;
use crate::service::{Call, Service};

/// Groups that are asked at a time.
const GROUPS_AT_ONCE: usize = 16;

/// A page of open tasks.
#[derive(Debug)]
pub(crate) struct OpenTasks {
    pub(crate) rows: Vec<TaskRow>,
    /// Where the next page begins; absent when this one was the last.
    pub(crate) next_cursor: Option<String>,
}

impl Service {
    /// Open tasks over all shards, of the newest intent first: those of the caller's workspace, or
    /// those that the agent it acts as may answer.
    ///
    /// # Errors
    /// When a group has no leader in time, or the cursor is none.
    pub(crate) async fn open_tasks(
        &self,
        call: &Call,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<OpenTasks, ApiError> {
        let after = cursor.map(str::parse::<IntentId>).transpose().map_err(|_| {
            ApiError::invalid(&["query", "cursor"], "must be a next_cursor", "value_error")
        })?;
        let acting = self.acting_agent(call)?;
        let assignee = if acting == call.caller.address() { String::new() } else { acting };
        let list =
            ListTasks { limit, after: after.map(IntentId::to_bytes).unwrap_or_default(), assignee };
        let ask = |group: u16| {
            let query = query_request::Query::ListTasks(list.clone());
            async move {
                match self.query(call, GroupId(group), query).await? {
                    query_response::Outcome::Tasks(found) => Ok(found.tasks),
                    _ => Err(ApiError::internal()),
                }
            }
        };
        let groups = 1..=self.shard_groups(call).await?;
        let pages: Vec<Vec<TaskRow>> =
            stream::iter(groups.map(ask)).buffer_unordered(GROUPS_AT_ONCE).try_collect().await?;
        Ok(merge(pages, limit as usize))
    }
}

/// One page of the groups' pages. Ids begin with the time, so their order is one of all groups.
fn merge(pages: Vec<Vec<TaskRow>>, limit: usize) -> OpenTasks {
    let id = |row: &TaskRow| {
        IntentId::from_slice(&row.intent.as_ref().map(|it| it.intent_id.clone())?).ok()
    };
    let more = pages.iter().any(|page| page.len() >= limit);
    let mut rows: Vec<TaskRow> = pages.into_iter().flatten().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(id(row)));
    let more = more || rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().and_then(id).map(|id| id.to_string());
    OpenTasks { next_cursor: last.filter(|_| more), rows }
}

#[cfg(test)]
mod tests {
    use axp_proto::ids::Slot;
    use axp_proto::node::IntentView;

    use super::*;

    fn id(ms: u64, slot: u16) -> IntentId {
        IntentId::new(ms, Slot::new(slot).unwrap(), 0)
    }

    fn page(ids: &[IntentId]) -> Vec<TaskRow> {
        let row = |id: &IntentId| TaskRow {
            intent: Some(IntentView { intent_id: id.to_bytes(), ..IntentView::default() }),
            assigned_at_ms: 0,
        };
        ids.iter().map(row).collect()
    }

    #[test]
    fn pages_of_groups_become_one_newest_first() {
        let pages = vec![page(&[id(9, 1), id(3, 1)]), page(&[id(7, 2)])];
        let merged = merge(pages.clone(), 2);
        assert_eq!(merged.next_cursor, Some(id(7, 2).to_string()));
        assert_eq!(merged.rows, page(&[id(9, 1), id(7, 2)]));
        let all = merge(pages, 5);
        assert_eq!((all.rows.len(), all.next_cursor), (3, None));
    }
}
