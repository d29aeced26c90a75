//! Delegating: somebody else gets a thread about the intent, and the owner keeps the own one.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{
    MailboxKey, Thread, ThreadEvent, ThreadEventType, ThreadOrigin, ThreadStatus,
};

use crate::inbox::decide::{Decision, Request, going_on};
use crate::intent::Rejection;

/// To how many a thread may be delegated; each is told of messages that are deleted for all.
const PARTICIPANTS_MAX: usize = 16;

pub(in crate::inbox) fn decide(
    thread: &Thread,
    request: &Request,
    to: Option<&MailboxKey>,
    note: &str,
    now_ms: i64,
) -> Result<Decision, Rejection> {
    if thread.status() == ThreadStatus::Done {
        return Err(Rejection::new(ErrorCode::InvalidState, "the thread is done"));
    }
    let known = to.is_some_and(|to| thread.participants.contains(to));
    if to.is_some() && !known && thread.participants.len() >= PARTICIPANTS_MAX {
        let message = "the thread was delegated to 16 others already";
        return Err(Rejection::new(ErrorCode::ValidationError, message));
    }
    if to == Some(&request.owner) {
        let message = "a thread cannot be delegated to its owner";
        return Err(Rejection::new(ErrorCode::ValidationError, message));
    }
    let address = to.map(|to| to.address.as_str()).unwrap_or_default();
    let details = ObjectWriter::default().string_if("delegate_to", address);
    let event = ThreadEvent {
        details_json: details.string_if("note", note).finish(),
        status: going_on(thread).into(),
        joined: to.cloned(),
        ..request.event(ThreadEventType::Delegated, now_ms)
    };
    let mut decision = Decision::default();
    if let Some(to) = to {
        let origin = ThreadOrigin {
            peer: Some(request.owner.clone()),
            delegated_by: request.owner.address.clone(),
            created_at_ms: now_ms,
            ..thread.origin.clone().unwrap_or_default()
        };
        let received = ThreadEvent { joined: None, status: 0, ..event.clone() };
        decision.post(request, to.clone(), Some(origin), received);
    }
    decision.events.push(event);
    Ok(decision)
}
