//! Approving and rejecting: once per thread, whoever comes first.
//!
//! What a decision means for the intent is settled before, in the intent's own log; here it is
//! noted. So a decision that the intent has taken is accepted even if its end arrived here first.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Decided, Thread, ThreadEvent, ThreadEventType, ThreadStatus};

use crate::inbox::decide::{Decision, Request};
use crate::intent::Rejection;

pub(in crate::inbox) fn decide(
    thread: &Thread,
    request: &Request,
    decision: Decided,
    comment: &str,
    now_ms: i64,
) -> Result<Decision, Rejection> {
    let decided = match thread.decision() {
        Decided::Unspecified => None,
        Decided::Approved => Some("the thread is approved already"),
        Decided::Rejected => Some("the thread is rejected already"),
    };
    if let Some(decided) = decided {
        return Err(Rejection::new(ErrorCode::InvalidState, decided));
    }
    let kind = match decision {
        Decided::Approved => ThreadEventType::Approved,
        Decided::Rejected => ThreadEventType::Rejected,
        Decided::Unspecified => {
            let message = "a decision is approve or reject";
            return Err(Rejection::new(ErrorCode::ValidationError, message));
        }
    };
    let event = ThreadEvent {
        details_json: ObjectWriter::default().string_if("comment", comment).finish(),
        status: ThreadStatus::Done.into(),
        ..request.event(kind, now_ms)
    };
    Ok(Decision { events: vec![event], effects: Vec::new() })
}
