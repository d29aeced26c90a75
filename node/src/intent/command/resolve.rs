//! Resolve: the owner ends an intent from any open status (contract, intents.md 7).

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Status};
use bytes::Bytes;

use super::Expected;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

/// How the owner wants it to end.
pub(in crate::intent) struct Outcome<'a> {
    pub(in crate::intent) status: Status,
    pub(in crate::intent) outcome_json: &'a Bytes,
    pub(in crate::intent) reason: &'a str,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    outcome: &Outcome<'_>,
    actor: &str,
    expected: Expected,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    if expected.is_stale(intent.state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    let (kind, member) = match outcome.status {
        Status::Completed => (EventType::Completed, Some("result")),
        Status::Failed => (EventType::Failed, Some("error")),
        Status::Canceled => (EventType::Canceled, None),
        _ => {
            let message = "status must be COMPLETED, FAILED or CANCELED";
            return Err(Rejection::new(ErrorCode::ValidationError, message));
        }
    };
    let mut details = ObjectWriter::default();
    if let Some(member) = member {
        details = details.raw(member, outcome.outcome_json);
    }
    let event = Event {
        details_json: details.string_if("reason", outcome.reason).finish(),
        ..next_event(intent, kind, outcome.status, actor, now_ms)
    };
    Ok(Verdict::Append(Decision::ending(intent, event)))
}
