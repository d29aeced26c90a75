//! Control resume: WAITING goes on as IN_PROGRESS; anything else open stays as it is.

use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, HolderKind, Status};

use super::{Expected, submit};
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::reminders;
use crate::intent::state::Intent;

pub(in crate::intent) fn decide(
    intent: &Intent,
    reason: &str,
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
    if intent.state.status() != Status::Waiting {
        return Ok(Verdict::Unchanged);
    }
    let event = Event {
        details_json: ObjectWriter::default().string_if("reason", reason).finish(),
        pending_with: Some(submit::pending_with(HolderKind::Agent, &intent.mailbox().address)),
        ..next_event(intent, EventType::InProgress, Status::InProgress, actor, now_ms)
    };
    let mut decision = Decision::default();
    decision.clear(intent, &reminders::TIMERS);
    if intent.is_deposited() {
        // The same place in the mailbox, with the status as of now: a restarted agent sees it.
        let mut after = intent.clone();
        after.evolve(&event);
        decision.deposit(submit::deposit(&after));
    }
    decision.events.push(event);
    Ok(Verdict::Append(decision))
}
