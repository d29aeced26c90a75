//! What comes from outside for the step at which a workflow is.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::effect::Kind as EffectKind;
use axp_proto::log::step::Kind;
use axp_proto::log::{
    Effect, Event, EventType, Status, StepEnded, TimerKind, WaitKind, WaitStep, WaitingReason,
};
use axp_proto::task::is_negative;
use bytes::Bytes;

use super::child;
use super::route::{Ended, reason};
use super::walk::Walk;
use crate::intent::command::submit::RUNTIME;
use crate::intent::command::{AgentResult, TaskResult, task_result};
use crate::intent::decide::Verdict;
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;
use crate::intent::task::Task;

/// A child has ended. One of another attempt is none of ours any more.
pub(in crate::intent) fn step_ended(intent: &Intent, told: &StepEnded, now_ms: i64) -> Verdict {
    let Some((state, _)) = intent.step() else { return Verdict::Unchanged };
    let current = (state.entered, state.attempt) == (told.entered, told.attempt);
    if !current || state.child_id.is_empty() {
        return Verdict::Unchanged;
    }
    let outcome = told.outcome_json.clone();
    let failed = |reason| Ended::failed(reason, outcome.clone(), &told.actor);
    let ended = match told.status() {
        Status::Completed => Ended::completed(outcome, &told.actor),
        Status::TimedOut => Ended::timed_out(outcome, &told.actor),
        Status::Canceled => Ended { status: Status::Canceled, ..failed(reason::CANCELED) },
        _ => failed(reason::FAILED),
    };
    let mut walk = Walk::of(intent, now_ms);
    walk.state.last_request = Bytes::new();
    walk.attempt_ended(&ended);
    walk.verdict()
}

/// Somebody answers for the agent, at the intent that has the workflow.
pub(in crate::intent) fn agent_result(
    intent: &Intent,
    result: &AgentResult,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    let agent = intent.step().filter(|(_, step)| matches!(step.kind, Some(Kind::Agent(_))));
    if agent.is_none() {
        let message = "the step that is pending waits for no agent: a human task is answered with \
                       task_result";
        return Err(Rejection::new(ErrorCode::InvalidState, message));
    }
    let (outcome, actor) = (result.outcome_json.clone(), &result.actor);
    let ended = if result.failed {
        Ended::failed(reason::FAILED, outcome, actor)
    } else {
        Ended::completed(outcome, actor)
    };
    let mut walk = Walk::of(intent, now_ms);
    walk.stop_child(Status::Canceled, "the step was answered at its scenario");
    walk.state.last_request = result.request_id.clone();
    walk.step_ended(&ended);
    Ok(walk.verdict())
}

/// A person has answered the task of the step; that it keeps to the rules is checked.
pub(in crate::intent) fn answered(
    intent: &Intent,
    answer: &TaskResult,
    task: &Task,
    now_ms: i64,
) -> Verdict {
    let json = answer.answer_json.clone();
    let details =
        ObjectWriter::default().string("outcome", &answer.outcome).raw("task_result", &json);
    let details_json = task_result::audited(details, answer, task).finish();
    let actor = task_result::actor(answer);
    let ended = if is_negative(&answer.outcome) {
        Ended::failed(reason::REJECTED, json, actor)
    } else {
        Ended::completed(json, actor)
    };
    let mut walk = Walk::of(intent, now_ms);
    walk.state.last_request = answer.request_id.clone();
    walk.step_ended(&Ended { details_json, ..ended });
    walk.verdict()
}

/// Whatever waits for a time waits no longer. An agent is not hurried.
pub(in crate::intent) fn control_resume(intent: &Intent, actor: &str, now_ms: i64) -> Verdict {
    if intent.timer(TimerKind::StepWait).is_none() {
        return Verdict::Unchanged;
    }
    let mut walk = Walk::of(intent, now_ms);
    walk.state.last_request = Bytes::new();
    match walk.step().kind {
        Some(Kind::Wait(_)) => walk.step_ended(&Ended::completed(Bytes::new(), actor)),
        _ => walk.retry(),
    }
    walk.verdict()
}

/// A timer of the step is due.
pub(in crate::intent) fn expire(intent: &Intent, kind: TimerKind, now_ms: i64) -> Verdict {
    let Some((_, step)) = intent.step() else { return Verdict::Unchanged };
    let mut walk = Walk::of(intent, now_ms);
    walk.state.last_request = Bytes::new();
    match (kind, &step.kind) {
        (TimerKind::StepWait, Some(Kind::Wait(wait))) => walk.waited(wait),
        (TimerKind::StepWait, _) => walk.retry(),
        _ => walk.deadline_passed(),
    }
    walk.verdict()
}

impl Walk {
    fn deadline_passed(&mut self) {
        self.stop_child(Status::TimedOut, reason::TIMEOUT);
        self.attempt_ended(&Ended::timed_out(Bytes::new(), RUNTIME));
    }

    fn stop_child(&mut self, status: Status, reason: &str) {
        if let Some(Effect { kind: Some(EffectKind::StepStop(stop)) }) =
            child::stopped(Some(&self.state), status, reason)
        {
            self.effect(EffectKind::StepStop(stop));
        }
        self.state.child_id = Bytes::new();
    }

    fn waited(&mut self, wait: &WaitStep) {
        let ended = match wait.kind() {
            WaitKind::Timeout => Ended::timed_out(Bytes::new(), RUNTIME),
            WaitKind::Reminder => {
                let details = super::enter::step_details(&self.step())
                    .raw("reminder_count", b"1")
                    .string_if("message", &wait.message);
                self.push(Event {
                    waiting_reason: WaitingReason::Time.into(),
                    details_json: details.finish(),
                    ..self.own(EventType::Reminder, Status::Waiting)
                });
                Ended::completed(Bytes::new(), RUNTIME)
            }
            WaitKind::Delay | WaitKind::Unspecified => Ended::completed(Bytes::new(), RUNTIME),
        };
        self.step_ended(&ended);
    }
}
