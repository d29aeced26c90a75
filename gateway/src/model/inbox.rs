//! Threads, their messages, and approvals (contract, inbox.md and approvals.md).

use axp_proto::inbox::uuid_text;
use axp_proto::log::{Approval, Decided, InboxMessage, Thread, ThreadEntry};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::RawJson;
use crate::clock::rfc3339;
use crate::service::{Changes, Deletion, OwnThread};

/// What the contract allows for the actor of an entry; an address may be longer.
const ACTOR_MAX: usize = 120;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadBody {
    /// The id of the intent that it is about.
    pub(crate) thread_id: String,
    pub(crate) intent_id: String,
    /// `pending`, `active` or `done`.
    pub(crate) status: &'static str,
    pub(crate) owner_agent: String,
    pub(crate) from_agent: String,
    pub(crate) to_agent: String,
    pub(crate) intent_type: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    /// At most 128 entries: the first one, and the newest.
    pub(crate) timeline: Vec<ThreadEntryBody>,
    /// Entries that are no longer kept, between the first and the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeline_dropped: Option<u32>,
    /// `approve` or `reject`, once it is decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<&'static str>,
    pub(crate) read: bool,
    pub(crate) message_count: usize,
    /// Of a single thread, oldest first: at most 100, fewer if they are large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) messages: Option<Vec<MessageBody>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadEntryBody {
    pub(crate) event_id: String,
    pub(crate) event_type: &'static str,
    pub(crate) actor: String,
    pub(crate) at: String,
    pub(crate) details: RawJson,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageBody {
    pub(crate) message_id: String,
    /// `self` when the owner wrote it, `other` when it came.
    pub(crate) role: &'static str,
    pub(crate) author: String,
    pub(crate) content: String,
    pub(crate) at: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadAnswer {
    pub(crate) ok: bool,
    pub(crate) thread: ThreadBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadListBody {
    pub(crate) ok: bool,
    pub(crate) threads: Vec<ThreadBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadChangesBody {
    pub(crate) ok: bool,
    pub(crate) changes: Vec<ThreadChangeBody>,
    /// Where to go on; null while the inbox has never changed.
    pub(crate) next_cursor: Option<String>,
    pub(crate) has_more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ThreadChangeBody {
    pub(crate) cursor: String,
    pub(crate) thread: ThreadBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedMessagesBody {
    pub(crate) ok: bool,
    pub(crate) thread: ThreadBody,
    /// `self` or `both`
    pub(crate) mode: &'static str,
    pub(crate) deleted_count: usize,
    pub(crate) message_ids: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalAnswer {
    pub(crate) ok: bool,
    pub(crate) approval: ApprovalBody,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApprovalBody {
    pub(crate) approval_id: String,
    /// `approve` or `reject`
    pub(crate) decision: &'static str,
    pub(crate) comment: Option<String>,
    pub(crate) decided_at: String,
}

impl ThreadBody {
    /// As lists show it: without messages.
    fn brief(own: &OwnThread) -> Self {
        let none = Thread::default();
        let thread = own.view.thread.as_ref().unwrap_or(&none);
        let origin = thread.origin.clone().unwrap_or_default();
        let decision = thread.decision();
        Self {
            thread_id: uuid_text(&own.view.thread_id),
            intent_id: uuid_text(&own.view.thread_id),
            status: thread.status().wire_name(),
            owner_agent: own.owner.clone(),
            from_agent: origin.from_agent,
            to_agent: origin.to_agent,
            intent_type: origin.intent_type,
            created_at: rfc3339(origin.created_at_ms),
            updated_at: rfc3339(thread.updated_at_ms),
            timeline: thread.timeline.iter().map(ThreadEntryBody::new).collect(),
            timeline_dropped: (thread.entries_dropped > 0).then_some(thread.entries_dropped),
            decision: (decision != Decided::Unspecified).then(|| decision.wire_name()),
            read: thread.read,
            message_count: thread.message_ids.len(),
            messages: None,
        }
    }

    fn whole(own: &OwnThread) -> Self {
        let messages = own.view.messages.iter().map(MessageBody::new).collect();
        Self { messages: Some(messages), ..Self::brief(own) }
    }
}

impl ThreadEntryBody {
    fn new(entry: &ThreadEntry) -> Self {
        Self {
            event_id: uuid_text(&entry.event_id),
            event_type: entry.r#type().wire_name(),
            actor: entry.actor.chars().take(ACTOR_MAX).collect(),
            at: rfc3339(entry.at_ms),
            details: RawJson::new(&entry.details_json),
        }
    }
}

impl MessageBody {
    fn new(message: &InboxMessage) -> Self {
        Self {
            message_id: uuid_text(&message.message_id),
            role: if message.own { "self" } else { "other" },
            author: message.author.clone(),
            content: message.content.clone(),
            at: rfc3339(message.at_ms),
        }
    }
}

impl ThreadAnswer {
    pub(crate) fn new(own: &OwnThread) -> Self {
        Self { ok: true, thread: ThreadBody::whole(own) }
    }
}

impl ThreadListBody {
    pub(crate) fn new(threads: &[OwnThread]) -> Self {
        Self { ok: true, threads: threads.iter().map(ThreadBody::brief).collect() }
    }
}

impl ThreadChangesBody {
    pub(crate) fn new(changes: Changes) -> Self {
        let change = |(cursor, own): (String, OwnThread)| ThreadChangeBody {
            cursor,
            thread: ThreadBody::brief(&own),
        };
        Self {
            ok: true,
            changes: changes.changes.into_iter().map(change).collect(),
            next_cursor: changes.next_cursor,
            has_more: changes.has_more,
        }
    }
}

impl DeletedMessagesBody {
    /// Which messages went is told by the entry that the deletion left in the timeline.
    pub(crate) fn new(deletion: &Deletion) -> Self {
        let timeline = deletion.thread.view.thread.iter().flat_map(|thread| &thread.timeline);
        let mut entries = timeline.filter(|entry| entry.event_id == deletion.event_id);
        let details = entries.next().map(|entry| &entry.details_json[..]).unwrap_or(b"{}");
        let details: Value = serde_json::from_slice(details).unwrap_or_default();
        let ids = details["message_ids"].as_array().into_iter().flatten();
        let message_ids: Vec<_> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            ok: true,
            thread: ThreadBody::whole(&deletion.thread),
            mode: if deletion.both { "both" } else { "self" },
            deleted_count: message_ids.len(),
            message_ids,
        }
    }
}

impl ApprovalAnswer {
    pub(crate) fn new(approval: &Approval) -> Self {
        let body = ApprovalBody {
            approval_id: uuid_text(&approval.approval_id),
            decision: approval.decision().wire_name(),
            comment: (!approval.comment.is_empty()).then(|| approval.comment.clone()),
            decided_at: rfc3339(approval.decided_at_ms),
        };
        Self { ok: true, approval: body }
    }
}
