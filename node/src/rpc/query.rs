//! Linearizable reads: a read barrier, then the applied state.

use std::sync::Arc;
use std::time::Duration;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::IntentId;
use axp_proto::log::{MailboxKey, OpenTask};
use axp_proto::node::query_request::Query;
use axp_proto::node::query_response::Outcome;
use axp_proto::node::{
    DeliveryList, EventList, IntentList, LinkedTask, ListIntents, MailboxBacklog, ParcelList,
    QueryRequest, QueryResponse, Scope, TaskList, TaskRow,
};
use tonic::Status;

use super::{Context, push, records, rejection, view};
use crate::intent::{Caller, Intent, Rejection};
use crate::shard::handle::storage;
use crate::shard::{ExecuteError, Shard};

/// Items that one answer may carry.
const LIMIT_MAX: usize = 1000;
/// How long a read may wait for what it expects.
const AWAIT_MAX: Duration = Duration::from_secs(5);

pub(super) async fn answer(
    context: &Context,
    request: QueryRequest,
) -> Result<QueryResponse, Status> {
    let shard = context.shard(request.group)?;
    let scope = request.scope.ok_or_else(|| Status::invalid_argument("no scope"))?;
    let query = request
        .query
        .ok_or_else(|| Status::invalid_argument("no query that this version knows"))?;
    let outcome = match read(shard, &scope, query).await {
        Ok(outcome) => outcome,
        Err(ExecuteError::Rejected(refusal)) => Outcome::Rejection(rejection(&refusal)),
        Err(ExecuteError::NotLeader) => Outcome::NotLeader(context.not_leader(&shard.raft)),
        Err(error) => return Err(Status::unavailable(error.to_string())),
    };
    Ok(QueryResponse { outcome: Some(outcome) })
}

async fn read(shard: &Arc<Shard>, scope: &Scope, query: Query) -> Result<Outcome, ExecuteError> {
    shard.barrier().await?;
    match query {
        Query::GetIntent(get) => {
            let intent = shard.visible_intent(intent_id(&get.intent_id)?, &caller(scope))?;
            Ok(Outcome::Intent(view(&intent)))
        }
        Query::ListEvents(list) => {
            let id = intent_id(&list.intent_id)?;
            shard.visible_intent(id, &caller(scope))?;
            let limit = limit(list.limit);
            let events = shard.reader().events(id, list.since, limit).map_err(storage)?;
            Ok(Outcome::Events(EventList { events }))
        }
        Query::ListIntents(list) => list_intents(shard, scope, &list),
        Query::MailboxBacklog(backlog) => mailbox_backlog(shard, scope, &backlog),
        Query::ListDeadLetters(list) => {
            let parcels = shard.reader().dead_parcels(&scope.workspace_id, limit(list.limit));
            Ok(Outcome::DeadLetters(ParcelList { parcels: parcels.map_err(storage)? }))
        }
        Query::GetPublished(get) => {
            push::published(shard, &scope.workspace_id, &get.event_id).map(Outcome::Published)
        }
        Query::GetRecords(get) => records::get(shard, get),
        Query::ListRecords(list) => records::list(shard, &list),
        Query::ListThreads(list) => {
            let mailbox = own(list.mailbox.clone(), scope)?;
            let threads = shard.reader().threads(&mailbox, list.status(), limit(list.limit));
            Ok(Outcome::Threads(threads.map_err(storage)?))
        }
        Query::ThreadChanges(list) => {
            let mailbox = own(list.mailbox, scope)?;
            let threads = shard.reader().thread_changes(&mailbox, list.since, limit(list.limit));
            Ok(Outcome::Threads(threads.map_err(storage)?))
        }
        Query::GetThread(get) => {
            let mailbox = own(get.mailbox, scope)?;
            let patience = Duration::from_millis(get.await_ms.into()).min(AWAIT_MAX);
            let (id, event) = (&get.thread_id, &get.await_event_id);
            let view = shard.await_thread(&mailbox, id, event, patience).await?;
            view.map(Outcome::Thread).ok_or_else(|| unknown("thread not found"))
        }
        Query::GetApproval(get) => {
            let place = own(get.mailbox, scope)?;
            let approval = shard.reader().approval(&place).map_err(storage)?;
            approval.map(Outcome::Approval).ok_or_else(|| unknown("approval not found"))
        }
        Query::ListTasks(list) => {
            let after = (!list.after.is_empty()).then(|| intent_id(&list.after)).transpose()?;
            let (workspace, limit) = (&scope.workspace_id, limit(list.limit));
            let tasks = shard.reader().open_tasks(workspace, after, &list.assignee, limit);
            let row = |(row, intent): (OpenTask, Intent)| TaskRow {
                assigned_at_ms: row.assigned_at_ms,
                intent: Some(view(&intent)),
            };
            let tasks = tasks.map_err(storage)?.into_iter().map(row).collect();
            Ok(Outcome::Tasks(TaskList { tasks }))
        }
        Query::GetLinkedTask(get) => {
            let intent = shard.reader().intent(intent_id(&get.intent_id)?).map_err(storage)?;
            let found = intent.and_then(|intent| {
                let link = intent.state.links.iter().find(|it| it.hash == get.link_hash)?.clone();
                Some(LinkedTask { link: Some(link), intent: Some(view(&intent)) })
            });
            found.map(Outcome::LinkedTask).ok_or_else(|| unknown("link not found"))
        }
    }
}

/// Who reads.
pub(super) fn caller(scope: &Scope) -> Caller<'_> {
    Caller {
        org_id: &scope.org_id,
        workspace_id: &scope.workspace_id,
        address: &scope.actor,
        asserted: false,
    }
}

fn list_intents(shard: &Shard, scope: &Scope, list: &ListIntents) -> Result<Outcome, ExecuteError> {
    let wanted = |summary: &axp_proto::log::IntentSummary| {
        (list.statuses.is_empty() || list.statuses.contains(&summary.status))
            && (list.to_agent.is_empty() || list.to_agent == summary.to_agent)
            && (list.from_agent.is_empty() || list.from_agent == summary.from_agent)
            && list.updated_before_ms.is_none_or(|before| summary.updated_at_ms < before)
    };
    let rows = shard.reader().list(&scope.workspace_id, limit(list.limit), wanted);
    Ok(Outcome::Intents(IntentList { intents: rows.map_err(storage)? }))
}

fn mailbox_backlog(
    shard: &Shard,
    scope: &Scope,
    backlog: &MailboxBacklog,
) -> Result<Outcome, ExecuteError> {
    let mailbox = own(backlog.mailbox.clone(), scope)?;
    let entries = shard.reader().deliveries(&mailbox, backlog.since, limit(backlog.limit));
    Ok(Outcome::Deliveries(DeliveryList { entries: entries.map_err(storage)? }))
}

/// A mailbox, if the scope may look into it.
fn own(mailbox: Option<MailboxKey>, scope: &Scope) -> Result<MailboxKey, ExecuteError> {
    mailbox.filter(|mailbox| mailbox.workspace_id == scope.workspace_id).ok_or_else(foreign_mailbox)
}

fn unknown(message: &'static str) -> ExecuteError {
    ExecuteError::Rejected(Rejection::new(ErrorCode::NotFound, message))
}

pub(super) fn foreign_mailbox() -> ExecuteError {
    let message = "the mailbox belongs to another workspace";
    ExecuteError::Rejected(Rejection::new(ErrorCode::InvalidActorScope, message))
}

pub(super) fn intent_id(bytes: &[u8]) -> Result<IntentId, ExecuteError> {
    IntentId::from_slice(bytes).map_err(|_| ExecuteError::Rejected(Rejection::not_found()))
}

pub(super) fn limit(asked: u32) -> usize {
    match asked as usize {
        0 => LIMIT_MAX,
        limit => limit.min(LIMIT_MAX),
    }
}
