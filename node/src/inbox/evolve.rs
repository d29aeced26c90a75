//! Folding: the same events give the same thread, live and on replay, on every replica.
//!
//! Old events are for ever: a change in what a fold does with one is a new event type instead. The
//! bounds are part of the fold: other numbers would make replicas of two versions differ.

use axp_proto::inbox::{SYSTEM, received_id};
use axp_proto::json::ObjectWriter;
use axp_proto::log::{
    Decided, Delivery, InboxMessage, MailboxKey, Thread, ThreadEntry, ThreadEvent, ThreadEventType,
    ThreadOrigin, ThreadStatus,
};
use bytes::Bytes;

/// Entries of a timeline. Beyond it, or beyond the bytes, the oldest after the first one go.
const ENTRIES_MAX: usize = 128;
/// Bytes of a timeline's details, of which the newest entry may take more alone.
const DETAILS_BYTES_MAX: usize = 64 * 1024;
/// Messages that a thread keeps; the oldest go.
const MESSAGES_MAX: usize = 100;

/// A change of the messages that are stored beside a thread.
#[derive(Debug, Clone, PartialEq)]
pub enum MessageChange {
    Put(InboxMessage),
    Delete(Bytes),
}

/// A thread in which nothing has happened but that the intent came.
#[must_use]
pub fn create(thread_id: &[u8], owner: &MailboxKey, origin: ThreadOrigin, number: u32) -> Thread {
    let details = ObjectWriter::default().string("intent_type", &origin.intent_type);
    let received = ThreadEntry {
        event_id: received_id(thread_id, owner),
        r#type: ThreadEventType::Received.into(),
        actor: SYSTEM.to_owned(),
        at_ms: origin.created_at_ms,
        details_json: details.string_if("delegated_by", &origin.delegated_by).finish(),
    };
    Thread {
        status: ThreadStatus::Pending.into(),
        updated_at_ms: origin.created_at_ms,
        number,
        timeline: vec![received],
        origin: Some(origin),
        ..Thread::default()
    }
}

/// What the thread of a delivery is about, as long as nothing else is stored of it.
#[must_use]
pub fn origin_of(owner: &MailboxKey, delivery: &Delivery) -> ThreadOrigin {
    let elsewhere = !delivery.from_workspace_id.is_empty();
    let workspace_id =
        if elsewhere { &delivery.from_workspace_id } else { &owner.workspace_id }.clone();
    ThreadOrigin {
        intent_type: delivery.intent_type.clone(),
        from_agent: delivery.from_agent.clone(),
        to_agent: delivery.to_agent.clone(),
        created_at_ms: match delivery.created_at_ms {
            0 => delivery.at_ms,
            created_at_ms => created_at_ms,
        },
        peer: Some(MailboxKey { workspace_id, address: delivery.from_agent.clone() }),
        delegated_by: String::new(),
    }
}

/// Folds one event into a thread, and tells what becomes of its messages.
pub fn fold(thread: &mut Thread, event: &ThreadEvent) -> Vec<MessageChange> {
    if event.status() != ThreadStatus::Unspecified {
        thread.status = event.status;
    }
    thread.updated_at_ms = event.at_ms;
    match event.r#type() {
        ThreadEventType::Approved => thread.set_decision(Decided::Approved),
        ThreadEventType::Rejected => thread.set_decision(Decided::Rejected),
        ThreadEventType::Read => thread.read = true,
        ThreadEventType::CompletionDelivered
        | ThreadEventType::Ended
        | ThreadEventType::ReplyReceived => thread.read = false,
        ThreadEventType::Unspecified
        | ThreadEventType::Received
        | ThreadEventType::ReplySent
        | ThreadEventType::Delegated
        | ThreadEventType::MessagesDeleted => {}
    }
    if let Some(joined) = event.joined.as_ref().filter(|it| !thread.participants.contains(it)) {
        thread.participants.push(joined.clone());
    }
    thread.timeline.push(ThreadEntry {
        event_id: event.event_id.clone(),
        r#type: event.r#type,
        actor: event.actor.clone(),
        at_ms: event.at_ms,
        details_json: event.details_json.clone(),
    });
    trim(thread);
    fold_messages(thread, event)
}

fn fold_messages(thread: &mut Thread, event: &ThreadEvent) -> Vec<MessageChange> {
    let mut changes = Vec::new();
    for id in &event.messages_deleted {
        if let Some(at) = thread.message_ids.iter().position(|known| known == id) {
            changes.push(MessageChange::Delete(thread.message_ids.remove(at)));
        }
    }
    if let Some(message) = &event.message {
        thread.message_ids.push(message.message_id.clone());
        changes.push(MessageChange::Put(message.clone()));
        if thread.message_ids.len() > MESSAGES_MAX {
            changes.push(MessageChange::Delete(thread.message_ids.remove(0)));
        }
    }
    changes
}

/// Keeps the first entry and the newest ones.
fn trim(thread: &mut Thread) {
    let mut bytes: usize = thread.timeline.iter().map(|entry| entry.details_json.len()).sum();
    let full = |entries: usize, bytes| entries > ENTRIES_MAX || bytes > DETAILS_BYTES_MAX;
    while thread.timeline.len() > 2 && full(thread.timeline.len(), bytes) {
        bytes -= thread.timeline.remove(1).details_json.len();
        thread.entries_dropped += 1;
    }
}

/// Whether this event happened to the thread already.
pub(super) fn knows(thread: &Thread, event_id: &[u8]) -> bool {
    thread.timeline.iter().any(|entry| entry.event_id == event_id)
}
