//! Control resume: WAITING goes on as IN_PROGRESS; anything else open stays as it is.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::{ObjectWriter, member};
use axp_proto::log::{Event, EventType, HolderKind, Status};

use super::{Expected, TaskResult, submit, task_result};
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::reminders;
use crate::intent::state::Intent;
use crate::intent::workflow;

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
    if let Some((_, step)) = intent.human_step() {
        if member(&step.human_task_json, "form_schema").is_some() {
            let message = "the step has a form to fill in: answer with task_result";
            return Err(Rejection::new(ErrorCode::InvalidState, message));
        }
        // Approving the step is an answer like any other: the task's rules hold for it.
        let answer = TaskResult {
            outcome: "approved".to_owned(),
            comment: reason.to_owned(),
            answer_json: ObjectWriter::default()
                .string("outcome", "approved")
                .string_if("comment", reason)
                .finish(),
            actor: actor.to_owned(),
            ..TaskResult::default()
        };
        return task_result::decide(intent, &answer, now_ms);
    }
    if intent.has_workflow() {
        return Ok(workflow::control_resume(intent, actor, now_ms));
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
