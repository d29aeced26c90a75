//! What can be asked of an intent; one file for each command's rules.

use std::sync::Arc;

use axp_proto::log::{DeliveryMode, Status, StepEnded, Submission, TaskLink, TimerKind};

pub(super) mod acknowledge;
pub(super) mod agent_result;
pub(super) mod control_resume;
pub(super) mod delivery_result;
pub(super) mod expire;
pub(super) mod rebind;
pub(super) mod remind;
pub(super) mod resolve;
pub(super) mod submit;
pub(super) mod task_result;
pub(super) mod transfer;
pub(super) mod update_controls;
pub(super) mod update_policy;

pub use agent_result::AgentResult;
pub use delivery_result::DeliveryResult;
pub use resolve::Resolve;
pub use task_result::{TaskAudit, TaskResult};
pub use transfer::Transfer;
pub use update_controls::UpdateControls;
pub use update_policy::UpdatePolicy;

/// One command, already authenticated and scoped to somebody who may see the intent.
#[derive(Debug, Clone)]
pub enum Command {
    Submit(Arc<Submission>),
    /// The owner ends it: COMPLETED, FAILED or CANCELED (contract, intents.md 7).
    Resolve(Resolve),
    /// The agent ends it (contract, intents.md 8, third meaning).
    AgentResult(AgentResult),
    /// Unblocks a waiting intent and must not end it (contract, intents.md 8, second meaning).
    ControlResume {
        reason: String,
        actor: String,
        expected: Expected,
    },
    /// A person decides a human task (contract, intents.md 8, first meaning).
    TaskResult(TaskResult),
    UpdateControls(UpdateControls),
    UpdatePolicy(UpdatePolicy),
    /// The agent has it and will work on it.
    Acknowledge {
        actor: String,
    },
    /// Somebody else is to work on it.
    Transfer(Transfer),
    /// The holder's agent wants its deliveries by another road.
    Rebind(DeliveryMode),
    /// What became of an attempt to hand it to its agent.
    DeliveryResult(DeliveryResult),
    /// A workflow asks for a step of its own.
    StartStep(Arc<Submission>),
    /// A workflow needs this step no more.
    StopStep {
        status: Status,
        reason: String,
    },
    /// A step of this intent's workflow has ended.
    StepEnded(StepEnded),
    /// Somebody who is asked gets a link to answer with.
    AddLink(TaskLink),
    /// A timer says that it is due.
    Expire(TimerKind),
}

impl Command {
    /// Whether the cluster asks this of itself, on behalf of nobody.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::Expire(_)
                | Self::DeliveryResult(_)
                | Self::Rebind(_)
                | Self::StartStep(_)
                | Self::StopStep { .. }
                | Self::StepEnded(_)
                | Self::AddLink(_)
        )
    }
}

/// A demand on the policy generation, if the caller made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected(pub Option<u32>);

impl Expected {
    pub(super) fn is_stale(self, generation: u32) -> bool {
        self.0.is_some_and(|expected| expected != generation)
    }
}
