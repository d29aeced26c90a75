//! Deleting messages: for the owner, or for all who have them. The timeline keeps that it was done.

use axp_proto::inbox::uuid_text;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Thread, ThreadEvent, ThreadEventType};
use bytes::Bytes;

use crate::inbox::decide::{Decision, Request};

/// Absent when there is nothing to delete.
pub(in crate::inbox) fn decide(
    thread: &Thread,
    request: &Request,
    both: bool,
    wanted: &[Bytes],
    last: usize,
    now_ms: i64,
) -> Option<Decision> {
    let from = thread.message_ids.len().saturating_sub(last);
    let (older, latest) = thread.message_ids.split_at(from);
    let named = older.iter().filter(|id| wanted.contains(*id));
    let deleted: Vec<Bytes> = named.chain(latest).cloned().collect();
    if deleted.is_empty() {
        return None;
    }
    let mut ids = String::from("[");
    for (index, id) in deleted.iter().enumerate() {
        let separator = if index == 0 { "\"" } else { ",\"" };
        ids.extend([separator, &uuid_text(id), "\""]);
    }
    ids.push(']');
    let details = ObjectWriter::default().string("mode", if both { "both" } else { "self" });
    let event = ThreadEvent {
        details_json: details.raw("message_ids", ids.as_bytes()).finish(),
        messages_deleted: deleted,
        ..request.event(ThreadEventType::MessagesDeleted, now_ms)
    };
    let mut decision = Decision::default();
    if both {
        let peer = thread.origin.as_ref().and_then(|origin| origin.peer.as_ref());
        let others = peer.into_iter().chain(&thread.participants);
        for other in others.filter(|other| **other != request.owner) {
            decision.post(request, other.clone(), None, event.clone());
        }
    }
    decision.events.push(event);
    Some(decision)
}
