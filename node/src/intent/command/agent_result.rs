//! An agent's result: ends the intent from any open status (contract, intents.md 8).

use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Status};
use bytes::Bytes;

use super::Expected;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;
use crate::intent::workflow;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentResult {
    pub failed: bool,
    pub outcome_json: Bytes,
    pub actor: String,
    pub expected: Expected,
    /// The same for all attempts of one request.
    pub request_id: Bytes,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    result: &AgentResult,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_repeat(&result.request_id) {
        return Ok(Verdict::Unchanged);
    }
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    if result.expected.is_stale(intent.state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    if intent.has_workflow() {
        return workflow::agent_result(intent, result, now_ms);
    }
    let (kind, status, member) = if result.failed {
        (EventType::Failed, Status::Failed, "error")
    } else {
        (EventType::Completed, Status::Completed, "result")
    };
    let event = Event {
        details_json: ObjectWriter::default().raw(member, &result.outcome_json).finish(),
        handler: intent.mailbox().address,
        ..next_event(intent, kind, status, &result.actor, now_ms)
    };
    Ok(Verdict::Append(Decision::ending(intent, event).asked_by(&result.request_id)))
}
