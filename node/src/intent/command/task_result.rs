//! A person's decision on a human task: exactly one, since it ends the intent (contract, tasks.md 3).
//! A decision to let somebody else decide is none yet.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Holder, Status, TaskRules};
use bytes::Bytes;

use super::transfer::{self, Transfer};
use super::{Expected, submit};
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

/// Outcomes that end the intent as FAILED.
const NEGATIVE: [&str; 5] = ["rejected", "denied", "declined", "failed", "changes_requested"];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskResult {
    pub outcome: String,
    pub comment: String,
    /// The whole answer, an object.
    pub answer_json: Bytes,
    pub has_evidence: bool,
    pub actor: String,
    pub expected: Expected,
    /// The task goes on to somebody else.
    pub delegate_to: Option<Holder>,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    answer: &TaskResult,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    if !intent.waits_for_human() {
        return Err(Rejection::new(ErrorCode::InvalidState, "no task is pending"));
    }
    if answer.expected.is_stale(intent.state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    if let Some(rules) = &intent.submission.task {
        check(rules, answer)?;
    }
    if let Some(to) = &answer.delegate_to {
        let (to, actor) = (to.clone(), answer.actor.clone());
        let transfer = Transfer { to, actor, reason: answer.comment.clone() };
        return transfer::decide(intent, &transfer, now_ms);
    }
    let negative = NEGATIVE.contains(&answer.outcome.as_str());
    let (kind, status, member) = if negative {
        (EventType::Failed, Status::Failed, "error")
    } else {
        (EventType::Completed, Status::Completed, "result")
    };
    let details = ObjectWriter::default()
        .raw(member, &answer.answer_json)
        .raw("task_result", &answer.answer_json)
        .finish();
    let actor = if answer.actor.is_empty() { submit::RUNTIME } else { &answer.actor };
    let event = Event { details_json: details, ..next_event(intent, kind, status, actor, now_ms) };
    Ok(Verdict::Append(Decision::ending(intent, event)))
}

/// What the task demands of an answer, in the order of the contract.
fn check(rules: &TaskRules, answer: &TaskResult) -> Result<(), Rejection> {
    let refuse = |message: String| Err(Rejection::new(ErrorCode::ValidationError, message));
    if !rules.allowed_outcomes.contains(&answer.outcome) {
        let allowed = rules.allowed_outcomes.join(", ");
        return refuse(format!("outcome: {} is not one of {allowed}", answer.outcome));
    }
    if rules.comment_required && answer.comment.trim().is_empty() {
        return refuse("comment: is required by this task".to_owned());
    }
    let negative = NEGATIVE.contains(&answer.outcome.as_str());
    if rules.evidence_required && !negative && !answer.has_evidence {
        return refuse("data.evidence: is required by this task".to_owned());
    }
    Ok(())
}
