//! Controls: how the intent is to be carried out, changed by members (contract, intents.md 9).
//!
//! Known ones act: `timeout_seconds` ends the intent that long after it was set, `max_retry_count`
//! bounds the attempts to deliver it, `retry_backoff_seconds` spaces them. All others are kept.

use axp_proto::log::state_change::Kind;
use axp_proto::log::{Change, ControlsSet, Member, TimerKind};

use super::Expected;
use crate::intent::decide::{Decision, Verdict};
use crate::intent::members::{check_bounds, number, patched};
use crate::intent::rejection::Rejection;
use crate::intent::state::Intent;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateControls {
    pub patch: Vec<Member>,
    pub actor: String,
    pub reason: String,
    pub expected: Expected,
}

pub(in crate::intent) fn decide(
    intent: &Intent,
    update: &UpdateControls,
    now_ms: i64,
) -> Result<Verdict, Rejection> {
    let state = &intent.state;
    if intent.is_terminal() {
        return Err(Rejection::terminal(state.status()));
    }
    if update.expected.is_stale(state.policy_generation) {
        return Ok(Verdict::StaleGeneration);
    }
    let controls = patched(&state.controls, &update.patch)?;
    if controls == state.controls {
        return Ok(Verdict::Unchanged);
    }
    let envelope = state.policy.as_ref().map(|policy| &policy.envelope[..]);
    check_bounds(&controls, envelope.unwrap_or_default())?;
    let mut decision = Decision::default();
    let timeout = number(&controls, "timeout_seconds");
    if timeout != intent.control("timeout_seconds") {
        let due = timeout.map(|seconds| now_ms.saturating_add(i64::from(seconds) * 1000));
        decision.timer(TimerKind::Execution, due);
    }
    let policy_generation = state.policy_generation + 1;
    let (actor, reason) = (update.actor.clone(), update.reason.clone());
    let by = Some(Change { actor, reason, at_ms: now_ms });
    decision.change(Kind::Controls(ControlsSet { policy_generation, controls, by }));
    Ok(Verdict::Append(decision))
}
