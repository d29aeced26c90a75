//! What can be asked of an intent; one file for each command's rules.

use std::sync::Arc;

use axp_proto::log::{Status, Submission, TimerKind};
use bytes::Bytes;

pub(super) mod agent_result;
pub(super) mod control_resume;
pub(super) mod expire;
pub(super) mod resolve;
pub(super) mod submit;

/// One command, already authenticated and scoped to somebody who may see the intent.
#[derive(Debug, Clone)]
pub enum Command {
    Submit(Arc<Submission>),
    /// The owner ends it: COMPLETED, FAILED or CANCELED (contract, intents.md 7).
    Resolve {
        status: Status,
        outcome_json: Bytes,
        reason: String,
        actor: String,
        expected: Expected,
    },
    /// The agent ends it (contract, intents.md 8, third meaning).
    AgentResult {
        failed: bool,
        outcome_json: Bytes,
        actor: String,
        expected: Expected,
    },
    /// Unblocks a waiting intent and must not end it (contract, intents.md 8, second meaning).
    ControlResume {
        reason: String,
        actor: String,
        expected: Expected,
    },
    /// A timer says that it is due.
    Expire(TimerKind),
}

/// A demand on the policy generation, if the caller made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected(pub Option<u32>);

impl Expected {
    pub(super) fn is_stale(self, generation: u32) -> bool {
        self.0.is_some_and(|expected| expected != generation)
    }
}
