//! Inboxes: the threads of an owner, and what the owner does to them (contract, inbox.md).
//!
//! What may happen to a thread is decided by the node that leads its mailbox. Here it is settled who
//! asks for whose inbox, what a body says, and what a decision means for the intent behind it.

mod completion;
mod cursor;
mod deletion;
mod handover;
mod settle;

use axp_proto::error_code::ErrorCode;
use axp_proto::ids::{GroupId, IntentId};
use axp_proto::inbox;
use axp_proto::log::{Decided, MailboxKey, ThreadStatus};
use axp_proto::node::inbox_request::Action;
use axp_proto::node::{
    GetThread, InboxDone, InboxRequest, ListThreads, QueryRequest, Scope, ThreadChangesAfter,
    ThreadDecide, ThreadDelegate, ThreadList, ThreadRead, ThreadReply, ThreadView, query_request,
    query_response,
};
use axp_proto::shard_map::{group_of, mailbox_slot};
use bytes::Bytes;
use uuid::Uuid;

pub(crate) use self::completion::Completion;
pub(crate) use self::deletion::Deletion;
use super::idempotency::Claim;
use super::target::Target;
use super::{Call, Service};
use crate::error::ApiError;
use crate::json::Reader;

const MESSAGE_MAX: usize = 131_072;
const NOTE_MAX: usize = 2_000;
const ADDRESS_MAX: usize = 383;

/// An inbox that the caller may use.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    pub(crate) mailbox: MailboxKey,
    group: GroupId,
}

/// A thread with its owner, as it is told.
#[derive(Debug)]
pub(crate) struct OwnThread {
    pub(crate) owner: String,
    pub(crate) view: ThreadView,
}

/// A page of changes; each with the cursor after it.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) changes: Vec<(String, OwnThread)>,
    pub(crate) next_cursor: Option<String>,
    pub(crate) has_more: bool,
}

impl Service {
    /// The threads of the caller's inbox, newest update first.
    ///
    /// # Errors
    /// 403 for an inbox of others.
    pub(crate) async fn threads(
        &self,
        call: &Call,
        status: Option<ThreadStatus>,
        limit: u32,
    ) -> Result<Vec<OwnThread>, ApiError> {
        let inbox = self.inbox(call).await?;
        let mailbox = Some(inbox.mailbox.clone());
        let status = status.unwrap_or_default().into();
        let list = query_request::Query::ListThreads(ListThreads { mailbox, status, limit });
        Ok(self
            .thread_list(call, &inbox, list)
            .await?
            .threads
            .into_iter()
            .map(own(&inbox))
            .collect())
    }

    /// What changed in the caller's inbox after a cursor, ascending.
    ///
    /// # Errors
    /// 422 for a cursor that is none, or another inbox's.
    pub(crate) async fn thread_changes(
        &self,
        call: &Call,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Changes, ApiError> {
        let inbox = self.inbox(call).await?;
        let since = match cursor {
            Some(text) => cursor::parse(&inbox.mailbox, text).ok_or_else(|| {
                ApiError::invalid(&["query", "cursor"], "is no cursor of this inbox", "value_error")
            })?,
            None => 0,
        };
        let mailbox = Some(inbox.mailbox.clone());
        let after = ThreadChangesAfter { mailbox, since, limit };
        let list = query_request::Query::ThreadChanges(after);
        let list = self.thread_list(call, &inbox, list).await?;
        let with_cursor = |view: ThreadView| {
            let number = view.thread.as_ref().map_or(0, |thread| thread.number);
            (cursor::format(&inbox.mailbox, number), own(&inbox)(view))
        };
        let changes: Vec<_> = list.threads.into_iter().map(with_cursor).collect();
        let next_cursor = changes.last().map(|(cursor, _)| cursor.clone());
        let next_cursor = next_cursor.or_else(|| cursor.map(str::to_owned));
        Ok(Changes { changes, next_cursor, has_more: list.has_more })
    }

    /// One thread with its messages.
    ///
    /// # Errors
    /// 404 for a thread that is unknown or none of this owner's.
    pub(crate) async fn thread(&self, call: &Call, id: &str) -> Result<OwnThread, ApiError> {
        let inbox = self.inbox(call).await?;
        let view = self.thread_in(call, &inbox, parse_id(id)?).await?;
        Ok(own(&inbox)(view))
    }

    /// # Errors
    /// 404 as [`Self::thread`], 422 for a bad body.
    pub(crate) async fn reply(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<OwnThread, ApiError> {
        let mut reader = Reader::new(body)?;
        let message = reader.required_string("message", 1, MESSAGE_MAX).unwrap_or_default();
        reader.finish()?;
        let action = Action::Reply(ThreadReply { message });
        self.act(call, id, "reply", body, action).await.map(|(thread, _)| thread)
    }

    /// Somebody else gets a thread; and the intent, if the owner is who works on it.
    ///
    /// # Errors
    /// 403 for a delegate that does not let the caller in, 404, 409 when the thread is done, 422.
    pub(crate) async fn delegate(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<OwnThread, ApiError> {
        let mut reader = Reader::new(body)?;
        let to = reader.string("delegate_to", 3, ADDRESS_MAX);
        let note = reader.string("note", 1, NOTE_MAX).unwrap_or_default();
        reader.finish()?;
        let target = match to {
            Some(to) => Some(self.receiver(call, call.caller.normalise(&to)?).await?),
            None => None,
        };
        let delegate_to = target.as_ref().map(Target::mailbox);
        let action = Action::Delegate(ThreadDelegate { delegate_to, note: note.clone() });
        // The thread first: it is stored by this, and outlives the delivery that it was seen in.
        let (thread, _) = self.act(call, id, "delegate", body, action).await?;
        if let Some(target) = target {
            self.hand_over(call, parse_id(id)?, target, note).await?;
        }
        Ok(thread)
    }

    /// Approves or rejects. A pending task of the intent is answered first, in the intent's own log:
    /// that log is the truth, and the thread notes what it took.
    ///
    /// # Errors
    /// 404, 409 when it is decided already, 422.
    pub(crate) async fn decide(
        &self,
        call: &Call,
        id: &str,
        decision: Decided,
        body: &Bytes,
    ) -> Result<OwnThread, ApiError> {
        let mut reader = Reader::new(body)?;
        let comment = reader.string("comment", 1, NOTE_MAX).unwrap_or_default();
        reader.finish()?;
        let inbox = self.inbox(call).await?;
        let intent_id = parse_id(id)?;
        let view = self.thread_in(call, &inbox, intent_id).await?;
        if is_asked(&inbox, &view) {
            let actor = &inbox.mailbox.address;
            self.settle(call, intent_id, actor, decision, &comment).await?;
        }
        let verb = if decision == Decided::Approved { "approve" } else { "reject" };
        let action = Action::Decide(ThreadDecide { decision: decision.into(), comment });
        self.act(call, id, verb, body, action).await.map(|(thread, _)| thread)
    }

    /// # Errors
    /// 404.
    pub(crate) async fn mark_read(
        &self,
        call: &Call,
        id: &str,
        body: &Bytes,
    ) -> Result<OwnThread, ApiError> {
        let action = Action::Read(ThreadRead {});
        self.act(call, id, "read", body, action).await.map(|(thread, _)| thread)
    }

    /// Runs an action on a thread of the caller's inbox; the thread after it, and the action's id.
    async fn act(
        &self,
        call: &Call,
        id: &str,
        verb: &str,
        body: &[u8],
        action: Action,
    ) -> Result<(OwnThread, Bytes), ApiError> {
        let (inbox, intent_id) = (self.inbox(call).await?, parse_id(id)?);
        let owner = &inbox.mailbox.address;
        // The same key in another inbox is another key.
        let route = format!("POST /v1/inbox/{intent_id}/{verb} {owner}");
        let claim = Claim::of(call, &route, body)?;
        let action_id = action_id(claim.as_ref());
        let thread_id = intent_id.to_bytes();
        let done =
            self.act_on(call, &inbox, thread_id, action_id.clone(), claim.as_ref(), action).await?;
        let view = done.thread.ok_or_else(ApiError::internal)?;
        Ok((own(&inbox)(view), action_id))
    }

    pub(super) async fn act_on(
        &self,
        call: &Call,
        inbox: &Inbox,
        thread_id: Bytes,
        action_id: Bytes,
        claim: Option<&Claim>,
        action: Action,
    ) -> Result<InboxDone, ApiError> {
        let request = InboxRequest {
            group: inbox.group.into(),
            scope: Some(scope(call, inbox)),
            idempotency: claim.map(Claim::to_wire),
            mailbox: Some(inbox.mailbox.clone()),
            thread_id,
            action_id,
            action: Some(action),
        };
        Ok(self.cluster.router.inbox(&request, call.deadline).await??)
    }

    /// The inbox of the acting agent, whose mailbox must be in the caller's workspace.
    async fn inbox(&self, call: &Call) -> Result<Inbox, ApiError> {
        let target = self.target(call, self.acting_agent(call)?).await?;
        if target.workspace_id != call.caller.workspace_id() {
            let message = "owner_agent belongs to another workspace";
            return Err(ApiError::new(ErrorCode::InvalidActorScope, message));
        }
        self.inbox_of(call, target.mailbox()).await
    }

    pub(super) async fn inbox_of(
        &self,
        call: &Call,
        mailbox: MailboxKey,
    ) -> Result<Inbox, ApiError> {
        let group = group_of(mailbox_slot(&mailbox), self.shard_groups(call).await?);
        Ok(Inbox { mailbox, group })
    }

    async fn thread_in(
        &self,
        call: &Call,
        inbox: &Inbox,
        id: IntentId,
    ) -> Result<ThreadView, ApiError> {
        let mailbox = Some(inbox.mailbox.clone());
        let get = GetThread { mailbox, thread_id: id.to_bytes(), ..GetThread::default() };
        match self.ask(call, inbox, query_request::Query::GetThread(get)).await? {
            query_response::Outcome::Thread(view) => Ok(view),
            _ => Err(ApiError::internal()),
        }
    }

    async fn thread_list(
        &self,
        call: &Call,
        inbox: &Inbox,
        query: query_request::Query,
    ) -> Result<ThreadList, ApiError> {
        match self.ask(call, inbox, query).await? {
            query_response::Outcome::Threads(list) => Ok(list),
            _ => Err(ApiError::internal()),
        }
    }

    pub(super) async fn ask(
        &self,
        call: &Call,
        inbox: &Inbox,
        query: query_request::Query,
    ) -> Result<query_response::Outcome, ApiError> {
        let request = QueryRequest {
            group: inbox.group.into(),
            scope: Some(scope(call, inbox)),
            query: Some(query),
        };
        match self.cluster.router.query(&request, call.deadline).await? {
            query_response::Outcome::Rejection(rejection) => Err(rejection.into()),
            outcome => Ok(outcome),
        }
    }
}

/// In the workspace of the mailbox: whether the caller may use it was decided before.
fn scope(call: &Call, inbox: &Inbox) -> Scope {
    let workspace_id = inbox.mailbox.workspace_id.clone();
    Scope { workspace_id, ..call.caller.scope(&inbox.mailbox.address) }
}

fn own(inbox: &Inbox) -> impl Fn(ThreadView) -> OwnThread {
    let owner = inbox.mailbox.address.clone();
    move |view| OwnThread { owner: owner.clone(), view }
}

/// Whether a decision in this thread is an answer to what the intent asks. Who sent the intent, or
/// gets its outcome, decides nothing for it.
fn is_asked(inbox: &Inbox, view: &ThreadView) -> bool {
    let Some(thread) = &view.thread else { return false };
    let Some(origin) = &thread.origin else { return false };
    let delegated = !origin.delegated_by.is_empty();
    let open = thread.decision() == Decided::Unspecified;
    open && (delegated || origin.to_agent == inbox.mailbox.address)
}

/// With a key the same each time it comes, so that a repeat is recognised.
pub(super) fn action_id(claim: Option<&Claim>) -> Bytes {
    match claim {
        Some(claim) => inbox::action_id(&claim.hash),
        None => Bytes::copy_from_slice(Uuid::new_v4().as_bytes()),
    }
}

/// Ids are opaque to clients: what cannot be one is unknown, and not malformed.
fn parse_id(text: &str) -> Result<IntentId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("thread not found"))
}
