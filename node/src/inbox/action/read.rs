//! Reading: noted once for what is there; what arrives later is unread again.

use axp_proto::log::{Thread, ThreadEventType};

use crate::inbox::decide::{Decision, Request};

/// Absent when everything is read already.
pub(in crate::inbox) fn decide(
    thread: &Thread,
    request: &Request,
    now_ms: i64,
) -> Option<Decision> {
    let event = || request.event(ThreadEventType::Read, now_ms);
    (!thread.read).then(|| Decision { events: vec![event()], effects: Vec::new() })
}
