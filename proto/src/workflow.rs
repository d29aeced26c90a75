//! Where a workflow stands, for all who look at an intent.

use crate::log::step::Kind;
use crate::log::{HumanStep, IntentState, Step, Submission, WorkflowState};

/// The step at which an intent's workflow is, while the intent is open.
#[must_use]
pub fn current_step<'a>(
    submission: &'a Submission,
    state: &'a IntentState,
) -> Option<(&'a WorkflowState, &'a Step)> {
    let at = state.workflow.as_ref().filter(|_| !state.status().is_terminal())?;
    let steps = &submission.workflow.as_ref()?.steps;
    Some((at, steps.get(at.step as usize)?))
}

/// The human step at which it is, with the number that tells it from others.
#[must_use]
pub fn current_human_step<'a>(
    submission: &'a Submission,
    state: &'a IntentState,
) -> Option<(u32, &'a HumanStep)> {
    match current_step(submission, state)? {
        (at, Step { kind: Some(Kind::Human(human)), .. }) => Some((at.entered, human)),
        _ => None,
    }
}
