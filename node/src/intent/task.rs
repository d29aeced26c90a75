//! Which human task waits for an answer now. All that is done with human tasks asks here.

use axp_proto::log::{IntentState, Status, TaskRules, WaitingReason};
use bytes::Bytes;

use super::state::Intent;

/// A human task as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Of the step that asks; 0 when the intent itself is the task. An answer that names another
    /// number was meant for a task that is over.
    pub number: u32,
    pub rules: TaskRules,
    /// As people are shown it, an object.
    pub json: Bytes,
}

/// The number of the task that an intent waits with, if it does: that of its workflow's step.
#[must_use]
pub fn number(state: &IntentState) -> u32 {
    state.workflow.as_ref().map_or(0, |workflow| workflow.entered)
}

/// Whether an intent waits for a person; with a task, that is.
#[must_use]
pub fn waits_for_human(state: &IntentState) -> bool {
    state.status() == Status::Waiting && state.waiting_reason() == WaitingReason::Human
}

/// The task that waits for an answer, if any does.
#[must_use]
pub fn current(intent: &Intent) -> Option<Task> {
    if let Some((number, step)) = intent.human_step() {
        let (rules, json) = (step.task.clone().unwrap_or_default(), step.human_task_json.clone());
        return intent.waits_for_human().then_some(Task { number, rules, json });
    }
    let submission = &intent.submission;
    if !intent.waits_for_human() || submission.human_task_json.is_empty() {
        return None;
    }
    Some(Task {
        number: number(&intent.state),
        rules: submission.task.clone().unwrap_or_default(),
        json: submission.human_task_json.clone(),
    })
}
