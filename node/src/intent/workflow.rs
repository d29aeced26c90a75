//! Workflows: an intent that carries out a scenario, step by step (ADR 0013).
//!
//! ```text
//! submit --> enter --+--> agent step:  a child intent ------- StepEnded, deadline, resume --+
//!              ^     +--> human step:  WAITING_FOR_HUMAN ---- task result, deadline --------+--> ended
//!              |     +--> wait:        WAITING_FOR_TIME ----- timer, control resume --------+     |
//!              |     +--> notify:      goes on at once -------------------------------------+     |
//!              +------------------------- on_success, on_failure ---------------------------------+
//!                                         nothing follows: COMPLETED or FAILED
//! ```
//!
//! Where it stands is part of the intent's state and changes with the append that says so, together
//! with the effects for the child: nothing is between two steps that a crash could lose. What comes
//! from outside for a step that is over is recognised by `entered` and `attempt`, or by its request.

mod child;
mod decide;
mod enter;
mod route;
mod walk;

pub(super) use self::child::{ended as child_ended, start, stop, stopped as child_stopped};
pub(super) use self::decide::{agent_result, answered, control_resume, expire, step_ended};
pub(super) use self::walk::Walk;

use axp_proto::log::{HumanStep, Step, WorkflowState};
use axp_proto::workflow::{current_human_step, current_step};

use super::state::Intent;

/// Steps that one workflow enters: what bounds those that go in circles.
pub(super) const ENTERED_MAX: u32 = 1_000;
/// What the results of all steps may take together. With the last one a second time, the event that
/// completes the workflow stays below the 64 KiB that clients read (contract, intents.md 6).
pub(super) const RESULTS_BYTES_MAX: usize = 30 * 1024;

impl Intent {
    /// The step at which its workflow is, while it is open.
    #[must_use]
    pub fn step(&self) -> Option<(&WorkflowState, &Step)> {
        current_step(&self.submission, &self.state)
    }

    /// The human step at which its workflow is, with the number that tells it from others.
    #[must_use]
    pub fn human_step(&self) -> Option<(u32, &HumanStep)> {
        current_human_step(&self.submission, &self.state)
    }

    /// Whether it carries out a workflow.
    #[must_use]
    pub fn has_workflow(&self) -> bool {
        self.submission.workflow.is_some()
    }
}
