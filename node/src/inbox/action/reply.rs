//! A reply: a message in the own thread, and the same message in the thread of the other party.

use axp_proto::inbox::{PROTOCOL_AGENT, uuid_text};
use axp_proto::json::ObjectWriter;
use axp_proto::log::{
    InboxMessage, MailboxKey, Thread, ThreadEvent, ThreadEventType, ThreadOrigin,
};

use crate::inbox::decide::{Decision, Request, going_on};

pub(in crate::inbox) fn decide(
    thread: &Thread,
    request: &Request,
    message: &str,
    now_ms: i64,
) -> Decision {
    let sent = InboxMessage {
        message_id: request.action_id.clone(),
        own: true,
        author: request.actor.clone(),
        content: message.to_owned(),
        at_ms: now_ms,
    };
    let details = ObjectWriter::default().string("message_id", &uuid_text(&sent.message_id));
    let event = ThreadEvent {
        details_json: details.finish(),
        status: going_on(thread).into(),
        message: Some(sent.clone()),
        ..request.event(ThreadEventType::ReplySent, now_ms)
    };
    let mut decision = Decision::default();
    let origin = thread.origin.clone().unwrap_or_default();
    if let Some(peer) = origin.peer.clone().filter(|peer| *peer != request.owner) {
        let origin = ThreadOrigin {
            peer: Some(request.owner.clone()),
            delegated_by: String::new(),
            created_at_ms: now_ms,
            ..written(origin, request, &peer)
        };
        let received = ThreadEvent {
            r#type: ThreadEventType::ReplyReceived.into(),
            message: Some(InboxMessage { own: false, ..sent }),
            status: 0,
            ..event.clone()
        };
        decision.post(request, peer, Some(origin), received);
    }
    decision.events.push(event);
    decision
}

/// An answer to an outcome comes from who got the outcome, and not from the protocol's agent.
fn written(origin: ThreadOrigin, request: &Request, peer: &MailboxKey) -> ThreadOrigin {
    if origin.from_agent != PROTOCOL_AGENT {
        return origin;
    }
    let (from_agent, to_agent) = (request.owner.address.clone(), peer.address.clone());
    ThreadOrigin { from_agent, to_agent, ..origin }
}
