//! An agent's result: ends the intent from any open status (contract, intents.md 8).

use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Status};
use bytes::Bytes;

use super::Expected;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

pub(in crate::intent) fn decide(
    intent: &Intent,
    failed: bool,
    outcome_json: &Bytes,
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
    let (kind, status, member) = if failed {
        (EventType::Failed, Status::Failed, "error")
    } else {
        (EventType::Completed, Status::Completed, "result")
    };
    let event = Event {
        details_json: ObjectWriter::default().raw(member, outcome_json).finish(),
        handler: intent.mailbox().address,
        ..next_event(intent, kind, status, actor, now_ms)
    };
    Ok(Verdict::Append(Decision::ending(intent, event)))
}
