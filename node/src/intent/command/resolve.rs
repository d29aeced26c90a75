//! Resolve: the owner ends an intent from any open status (contract, intents.md 7).

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Status};
use axp_proto::mutant::{self, Mutant};
use bytes::Bytes;

use super::Expected;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resolve {
    pub status: Status,
    pub outcome_json: Bytes,
    pub reason: String,
    pub actor: String,
    pub expected: Expected,
    /// The same for all attempts of one request.
    pub request_id: Bytes,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    resolve: &Resolve,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_repeat(&resolve.request_id) {
        return Ok(Verdict::Unchanged);
    }
    if intent.is_terminal() && !mutant::active(Mutant::EndsTwice) {
        return Err(Rejection::terminal(intent.state.status()));
    }
    if resolve.expected.is_stale(intent.state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    let (kind, member) = match resolve.status {
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
        details = details.raw(member, &resolve.outcome_json);
    }
    let event = Event {
        details_json: details.string_if("reason", &resolve.reason).finish(),
        ..next_event(intent, kind, resolve.status, &resolve.actor, now_ms)
    };
    Ok(Verdict::Append(Decision::ending(intent, event).asked_by(&resolve.request_id)))
}
