//! Acknowledge: the agent has the intent and will work on it.

use axp_proto::log::{Event, EventType, HolderKind, Status};

use super::submit;
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

pub(in crate::intent) fn decide(
    intent: &Intent,
    actor: &str,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    // A workflow is no agent's: who works on a step has its child.
    if intent.has_workflow() && !intent.is_deposited() {
        return Ok(Verdict::Unchanged);
    }
    // Who has more than acknowledged it has acknowledged it.
    if !matches!(intent.state.status(), Status::Submitted | Status::Delivered) {
        return Ok(Verdict::Unchanged);
    }
    let mut decision = Decision::default();
    let mut after = intent.clone();
    let mut push = |kind, status, actor: &str| {
        let holder = after.mailbox().address;
        let event = Event {
            handler: holder.clone(),
            pending_with: Some(submit::pending_with(HolderKind::Agent, &holder)),
            ..next_event(&after, kind, status, actor, now_ms)
        };
        after.evolve(&event);
        decision.events.push(event);
    };
    if intent.state.status() == Status::Submitted {
        // It cannot have it without a delivery: the answer to a push is still on its way here.
        push(EventType::Delivered, Status::Delivered, submit::RUNTIME);
    }
    push(EventType::Acknowledged, Status::Acknowledged, actor);
    if after.is_deposited() {
        decision.deposit(submit::deposit(&after));
    }
    Ok(Verdict::Append(decision))
}
