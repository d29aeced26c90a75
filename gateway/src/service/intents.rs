//! Reading intents. All reads are linearizable: the leader of the shard confirms that it leads.

use std::sync::Arc;

use axp_proto::ids::{GroupId, IntentId};
use axp_proto::log::{Event, Status};
use axp_proto::node::{
    GetIntent, IntentRow, IntentView, ListEvents, ListIntents, QueryRequest, query_request,
    query_response,
};
use axp_proto::shard_map::group_of;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Call, Service};
use crate::cluster::Subscription;
use crate::error::ApiError;

/// Groups that are asked at a time for one list.
const GROUPS_AT_ONCE: usize = 16;
const EVENTS_PER_PAGE: u32 = 1_000;
/// What one answer holds at most; a client goes on with `since`.
const EVENT_PAGES_MAX: usize = 20;
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Which intents of the workspace a list is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListFilter {
    pub(crate) limit: u32,
    pub(crate) statuses: Vec<Status>,
    pub(crate) to_agent: Option<String>,
    pub(crate) from_agent: Option<String>,
    pub(crate) updated_before_ms: Option<i64>,
}

impl Service {
    /// # Errors
    /// 404 for an intent that is unknown or none of the caller's.
    pub(crate) async fn get(&self, call: &Call, intent_id: &str) -> Result<IntentView, ApiError> {
        self.get_by_id(call, parse_id(intent_id)?).await
    }

    pub(super) async fn get_by_id(
        &self,
        call: &Call,
        id: IntentId,
    ) -> Result<IntentView, ApiError> {
        let query = query_request::Query::GetIntent(GetIntent { intent_id: id.to_bytes() });
        match self.query(call, self.group(call, id).await?, query).await? {
            query_response::Outcome::Intent(intent) => Ok(intent),
            _ => Err(ApiError::internal()),
        }
    }

    /// Events after `since`, ascending.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) async fn events(
        &self,
        call: &Call,
        intent_id: &str,
        since: u32,
    ) -> Result<(IntentId, Vec<Event>), ApiError> {
        let id = parse_id(intent_id)?;
        let group = self.group(call, id).await?;
        let mut events: Vec<Event> = Vec::new();
        let mut bytes = 0;
        for _ in 0..EVENT_PAGES_MAX {
            let since = events.last().map_or(since, |event| event.seq);
            let page = ListEvents { intent_id: id.to_bytes(), since, limit: EVENTS_PER_PAGE };
            let query = query_request::Query::ListEvents(page);
            let query_response::Outcome::Events(page) = self.query(call, group, query).await?
            else {
                return Err(ApiError::internal());
            };
            let ended = page.events.last().is_none_or(|event| event.status().is_terminal());
            let whole = page.events.len() < EVENTS_PER_PAGE as usize;
            bytes += page.events.iter().map(|event| event.details_json.len()).sum::<usize>();
            events.extend(page.events);
            if ended || whole || bytes > EVENT_BYTES_MAX {
                break;
            }
        }
        Ok((id, events))
    }

    /// The newest intents of the workspace, over all groups.
    ///
    /// # Errors
    /// When a group has no leader in time.
    pub(crate) async fn list(
        &self,
        call: &Call,
        filter: &ListFilter,
    ) -> Result<Vec<IntentRow>, ApiError> {
        let list = ListIntents {
            limit: filter.limit,
            statuses: filter.statuses.iter().map(|&status| status.into()).collect(),
            to_agent: filter.to_agent.clone().unwrap_or_default(),
            from_agent: filter.from_agent.clone().unwrap_or_default(),
            updated_before_ms: filter.updated_before_ms,
        };
        let ask = |group: u16| {
            let query = query_request::Query::ListIntents(list.clone());
            async move {
                match self.query(call, GroupId(group), query).await? {
                    query_response::Outcome::Intents(found) => Ok(found.intents),
                    _ => Err(ApiError::internal()),
                }
            }
        };
        let groups = 1..=self.shard_groups(call).await?;
        let pages: Vec<Vec<IntentRow>> =
            stream::iter(groups.map(ask)).buffer_unordered(GROUPS_AT_ONCE).try_collect().await?;
        Ok(newest(pages, filter.limit as usize))
    }

    /// Follows an intent after `since`. Whether it exists is told by the first item.
    ///
    /// # Errors
    /// 404 for what is no id.
    pub(crate) async fn watch(
        &self,
        call: &Call,
        intent_id: &str,
        since: u32,
    ) -> Result<(IntentId, Subscription), ApiError> {
        let id = parse_id(intent_id)?;
        let group = self.group(call, id).await?;
        let subscription = Subscription::to_intent(
            Arc::clone(&self.cluster.router),
            group,
            call.caller.scope(&self.reader(call)),
            id,
            since,
            self.config.streams.window,
        );
        Ok((id, subscription))
    }

    pub(super) async fn group(&self, call: &Call, id: IntentId) -> Result<GroupId, ApiError> {
        Ok(group_of(id.slot(), self.shard_groups(call).await?))
    }

    pub(super) async fn query(
        &self,
        call: &Call,
        group: GroupId,
        query: query_request::Query,
    ) -> Result<query_response::Outcome, ApiError> {
        let request = QueryRequest {
            group: group.into(),
            scope: Some(call.caller.scope(&self.reader(call))),
            query: Some(query),
        };
        match self.cluster.router.query(&request, call.deadline).await? {
            query_response::Outcome::Rejection(rejection) => Err(rejection.into()),
            outcome => Ok(outcome),
        }
    }
}

/// Ids are opaque to clients: what cannot be one is unknown, and not malformed.
pub(super) fn parse_id(text: &str) -> Result<IntentId, ApiError> {
    text.parse().map_err(|_| ApiError::intent_not_found())
}

/// Merges the groups' lists in the order that each of them has, which is that of ids: by the time of
/// submission. By `created_at` a group would leave out what was submitted early and created late.
fn newest(pages: Vec<Vec<IntentRow>>, limit: usize) -> Vec<IntentRow> {
    let mut rows: Vec<IntentRow> = pages.into_iter().flatten().collect();
    rows.sort_unstable_by(|a, b| b.intent_id.cmp(&a.intent_id));
    rows.truncate(limit);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u8) -> IntentRow {
        IntentRow { intent_id: vec![id].into(), summary: None }
    }

    #[test]
    fn lists_are_merged_newest_first() {
        let pages = vec![vec![row(3), row(1)], vec![], vec![row(4), row(2)]];
        let ids: Vec<u8> = newest(pages, 3).iter().map(|row| row.intent_id[0]).collect();
        assert_eq!(ids, [4, 3, 2]);
    }
}
