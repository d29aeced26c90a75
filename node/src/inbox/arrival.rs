//! What comes to a thread from elsewhere: an outcome, a reply, a delegation, the intent's end.

use axp_proto::inbox::{SYSTEM, ended_id};
use axp_proto::json::ObjectWriter;
use axp_proto::log::{
    InboxPost, Thread, ThreadEvent, ThreadEventType, ThreadOrigin, ThreadStatus, Withdraw,
};

use super::evolve::knows;

/// What an arrival does to a thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    /// Of the thread that it creates.
    pub origin: Option<ThreadOrigin>,
    pub events: Vec<ThreadEvent>,
}

/// What a post does; absent when it changes nothing.
#[must_use]
pub fn arrive(thread: Option<&Thread>, post: &InboxPost) -> Option<Arrival> {
    let Some(thread) = thread else {
        let origin = post.origin.clone()?;
        return Some(Arrival {
            origin: Some(origin),
            events: post.event.iter().cloned().collect(),
        });
    };
    let mut event = post.event.clone().filter(|event| !knows(thread, &event.event_id))?;
    if event.r#type() == ThreadEventType::MessagesDeleted {
        // Of the messages that are to go, those that came here.
        event.messages_deleted.retain(|id| thread.message_ids.contains(id));
        if event.messages_deleted.is_empty() {
            return None;
        }
    }
    event.at_ms = event.at_ms.max(thread.updated_at_ms);
    Some(Arrival { origin: None, events: vec![event] })
}

/// The intent of a thread ended as `withdraw` says; absent when the thread is done already.
#[must_use]
pub fn ended(thread: &Thread, withdraw: &Withdraw, now_ms: i64) -> Option<ThreadEvent> {
    let (owner, status) = (withdraw.mailbox.as_ref()?, withdraw.ended());
    let ends = status.is_terminal() && thread.status() != ThreadStatus::Done;
    ends.then(|| ThreadEvent {
        r#type: ThreadEventType::Ended.into(),
        event_id: ended_id(&withdraw.intent_id, owner),
        actor: SYSTEM.to_owned(),
        at_ms: now_ms.max(thread.updated_at_ms),
        details_json: ObjectWriter::default().string("status", status.wire_name()).finish(),
        status: ThreadStatus::Done.into(),
        ..ThreadEvent::default()
    })
}
