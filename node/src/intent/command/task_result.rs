//! A person's decision on a human task: exactly one, since it ends the task (contract, tasks.md 3).
//! A decision to let somebody else decide is none yet.

use axp_proto::error_code::ErrorCode;
use axp_proto::json::ObjectWriter;
use axp_proto::log::{Event, EventType, Holder, Status};
use axp_proto::task::{check, is_negative};
use bytes::Bytes;

use super::transfer::{self, Transfer};
use super::{Expected, submit};
use crate::intent::decide::{Decision, Verdict, next_event};
use crate::intent::links;
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;
use crate::intent::task::{self, Task};
use crate::intent::workflow;

/// How an answer came, for the audit trail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskAudit {
    pub channel: String,
    pub from: String,
    /// Of the task as it was shown.
    pub task_sha256: String,
}

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
    pub delegate_to: Option<Box<Holder>>,
    /// Number of the task that was looked at.
    pub expected_task: Option<u32>,
    /// How the answer came.
    pub audit: Option<TaskAudit>,
    /// The same for all attempts of one request.
    pub request_id: Bytes,
    /// The hash of the link with which it came; empty without.
    pub link_hash: Bytes,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    answer: &TaskResult,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    if intent.is_repeat(&answer.request_id) {
        return Ok(Verdict::Unchanged);
    }
    if intent.is_terminal() {
        return Err(Rejection::terminal(intent.state.status()));
    }
    let Some(task) = task::current(intent) else {
        return Err(Rejection::new(ErrorCode::InvalidState, "no task is pending"));
    };
    if answer.expected_task.is_some_and(|expected| expected != task.number) {
        let message = "the task is no longer pending: another one waits now";
        return Err(Rejection::new(ErrorCode::InvalidState, message));
    }
    if answer.expected.is_stale(intent.state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    let link = match &answer.link_hash[..] {
        [] => None,
        hash => Some(links::check(intent, hash, &task, now_ms)?),
    };
    let answer = &TaskResult {
        // Whoever has the link answers for whom it was made.
        actor: link.map_or_else(|| answer.actor.clone(), |link| link.recipient.clone()),
        ..answer.clone()
    };
    check(&task.rules, &answer.outcome, &answer.comment, answer.has_evidence).map_err(
        |broken| {
            let message = format!("{}: {}", broken.field, broken.message);
            Rejection::new(ErrorCode::ValidationError, message)
        },
    )?;
    if let Some(to) = &answer.delegate_to {
        let (to, actor) = (Holder::clone(to), answer.actor.clone());
        let transfer = Transfer { to, actor, reason: answer.comment.clone() };
        let details = audited(ObjectWriter::default(), answer, &task);
        let verdict = transfer::pass_on(intent, &transfer, details, now_ms)?;
        return Ok(consumed(verdict, intent, answer));
    }
    let decided = if intent.has_workflow() {
        workflow::answered(intent, answer, &task, now_ms)
    } else {
        Verdict::Append(end(intent, answer, &task, now_ms))
    };
    Ok(consumed(decided, intent, answer))
}

/// A link is used up in the append of the decision, so that it decides once.
pub(in crate::intent) fn consumed(
    mut verdict: Verdict,
    intent: &Intent,
    answer: &TaskResult,
) -> Verdict {
    if let Verdict::Append(decision) = &mut verdict
        && !answer.link_hash.is_empty()
    {
        let links = links::used(intent, &answer.link_hash);
        decision.set_links(links, answer.delegate_to.as_deref());
    }
    verdict
}

/// The answer ends the intent.
fn end(intent: &Intent, answer: &TaskResult, task: &Task, now_ms: i64) -> Decision {
    let (kind, status, member) = if is_negative(&answer.outcome) {
        (EventType::Failed, Status::Failed, "error")
    } else {
        (EventType::Completed, Status::Completed, "result")
    };
    let details = ObjectWriter::default().raw(member, &answer.answer_json);
    let details = details.raw("task_result", &answer.answer_json);
    let event = Event {
        details_json: audited(details, answer, task).finish(),
        ..next_event(intent, kind, status, actor(answer), now_ms)
    };
    Decision::ending(intent, event).asked_by(&answer.request_id)
}

/// Whom the deciding event names.
pub(in crate::intent) fn actor(answer: &TaskResult) -> &str {
    if answer.actor.is_empty() { submit::RUNTIME } else { &answer.actor }
}

/// Adds who decided, by which channel, from where and about what, as the audit trail keeps it.
pub(in crate::intent) fn audited(
    details: ObjectWriter,
    answer: &TaskResult,
    task: &Task,
) -> ObjectWriter {
    let Some(audit) = &answer.audit else { return details };
    let decided = ObjectWriter::default()
        .string("by", actor(answer))
        .string_if("channel", &audit.channel)
        .string_if("from", &audit.from)
        .string_if("task_sha256", &audit.task_sha256)
        .raw("task_number", task.number.to_string().as_bytes());
    details.raw("decided", &decided.finish())
}
